"""`uselib run --gdb`: a stub for GDB's remote serial protocol over the machine."""
