"""The `friesian` command, one file per subcommand."""
