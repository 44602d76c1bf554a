"""What runs inside the guest (start-up code, bootstrap, a small C library) and the Python that builds it."""
