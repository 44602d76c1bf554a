"""Many programs x many versions, in parallel, with a cache."""
