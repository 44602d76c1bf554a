"""Files: what the guest sees of the host, operations on paths, open files and descriptors."""
