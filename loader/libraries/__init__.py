"""Which library file is found, and which libraries depend on which."""
