"""Objects of link-time optimisation, which only their compiler can read: through its linker plugin (`-plugin`).

plugin_host.py   the plugin, in a process of its own
plugin.py        that process, seen from the linker
placeholder.py   an object with the symbols of such a file, for resolution
compilation.py   all files are read: what the plugin is told of its symbols, and the objects that it gives
"""
