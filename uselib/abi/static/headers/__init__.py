"""C header files -> what they declare in public."""
