"""mkshlib --previous: what a library remembers of its releases, and how a new one keeps their addresses."""
