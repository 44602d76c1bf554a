"""The passes of link(), in the order of link.py."""
