"""Two Facts (and programs) -> a Report."""
