"""Loader: images into address spaces, as exec and uselib(2) would."""
