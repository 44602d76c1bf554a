"""File formats: bytes to dataclasses and back; no policy and no I/O."""
