"""The command line: one file for each subcommand. The only part of the package that prints."""
