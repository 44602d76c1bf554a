"""The CPU: Unicorn behind a thin layer of our own.

machine.py         memory and registers put together, and the run loop
engine.py          Unicorn's C interface through ctypes; unicorn_library.py: where its library file is
stops.py           why the CPU has stopped, as a fault of the program
cpu.py             the registers as the kernel sees them; registers.py: their numbers; register_file.py: where they are in memory
pages.py           page lookups, from the address space; native_pages.py: those that C answers (native/page_table.c)
code_aliases.py    executed memory that is mapped elsewhere too, or by another process
cpuid.py           what the CPUID instruction says
counter.py         instructions counted, and a limit
turns.py           the order of threads, where native code sees it
slices.py          blocks counted, and the end of a time slice; thread_contexts.py: registers of threads that do not run
stop_checks.py     whether translated code asks after each access if it must stop
x87.py             x87 instructions by the host, where native/core is not built
core.py            loads native/core
native_calls.py    the table of the system calls that native/calls answers

native/core/ replaces functions of Unicorn's CPU on x86-64 hosts: core.h says how, tables.c lists the files with replacements, attach.c
puts them in place. translate.c has decode.c look at each instruction before it is translated (forms.c: which exist), emit.c has
translated code call functions of ours; sse.c, x87.c, x87_memory.c, x87_stack.c, mmx.c, bmi.c and text.c compute on the host's units, align.c
checks alignment, strings.c does REP MOVS and REP STOS in one go, locked.c makes locked instructions atomic between processes, user.c refuses
privileged instructions, tlb.c sets the TLB's size, slices.c counts blocks, starts.c asks at their start whether to stop, host_faults.c
turns the host's SIGBUS in guest memory into the guest's.
native/calls/ is built with it and answers system calls: calls.h says which and how; entry.c is where they come in, files.c, values.c and
guest_memory.c answer them, attention.c hears of signals, turns.c lets threads take turns.
"""
