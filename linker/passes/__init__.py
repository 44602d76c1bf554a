"""The passes of link(), in the order of linker/link.py. model.py has what they work on."""
