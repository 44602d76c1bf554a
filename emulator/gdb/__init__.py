"""`uselib run --gdb`: a stub for GDB's remote serial protocol over the machine.

wire        packets on the connection
stub        requests -> answers
target      what the requests work on: memory, breakpoints, watchpoints, libraries, files
libraries   what is loaded, and where
threads     the program's threads: numbers, whose registers are shown, which one goes on
registers   GDB's numbers and descriptions of registers
signal_numbers   GDB's numbers of signals
run         the run loop: GDB is asked at each stop, and Ctrl-C is waited for while the program runs
"""
