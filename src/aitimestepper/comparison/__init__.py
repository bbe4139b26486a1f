"""Methods at equal force evaluations: own integrators and REBOUND's, each tuned on each system."""
