"""The `dimse-proxy` command: one module a subcommand, imported only when it is asked for."""
