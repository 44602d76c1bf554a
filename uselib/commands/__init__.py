"""One module per subcommand of `uselib`; each has run(argv) -> exit status and is imported only when asked for."""
