"""One run: from a configuration to a checked request, a plan, the compiled loop and a recording."""
