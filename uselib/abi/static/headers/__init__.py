"""C header files -> their public declarations."""
