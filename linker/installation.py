"""Where this installation of uselib is, for programs that start Python again."""

import os

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
"""The folder of the package `uselib`. Its parent, on sys.path, makes `import uselib` work."""
