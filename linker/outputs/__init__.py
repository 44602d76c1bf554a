"""What differs between the kinds of output. Others: linker/library (target libraries), linker/historical (old formats)."""
