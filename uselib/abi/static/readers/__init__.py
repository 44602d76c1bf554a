"""A file of any kind -> Facts."""
