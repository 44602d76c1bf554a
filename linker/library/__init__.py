"""mkshlib: objects -> a target library at a fixed address, and its stub library."""
