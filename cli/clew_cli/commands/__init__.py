"""The subcommands, one file a group: arguments in, the pure modules' lines out. Each has ``add``, which makes its parser."""
