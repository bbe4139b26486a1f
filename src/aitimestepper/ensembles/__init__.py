"""Many runs side by side, in threads or on a cluster."""
