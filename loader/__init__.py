"""Loader: images into address spaces, as exec and uselib(2) would.

programs/    exec and uselib(2): a module a format of files
libraries/   which library file of which version is taken, and what it depends on
memory/      address spaces: mappings, and the host memory behind them
"""
