"""Files: the guest's tree, paths, descriptors."""
