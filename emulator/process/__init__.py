"""One run of a guest program, which is one process and the processes that it forks.

    run_options   what the user says: RunOptions, and the options of `uselib run` that make it
    host          what the run takes from whoever starts it: open files, signals, the loader, the report of a death
    parts         a process from these two, without a program yet (no_program.py)
    run           Runner: loads the program, runs machine after machine until the end, reports it
    hooks         who takes part in a run (tracer, gdb stub, ABI check), and what is called when
    kernel_tap    how they see each system call or exception
    default_limits  what a run may take if nobody says how much: memory, the size of a file
    watcher       the thread that stops the CPU for a signal of the host or a time limit
    host_signals  signals of the host that wait while something is done
    faults        from a CPU exception to signal, si_code and exact address
    operands      where the instruction that has faulted reads and writes
    reports       what the user reads when a signal has killed the program
    schedules     the program in several orders of its threads, until one ends in another way
    interfaces    what machine, kernel and tracer know of each other

A new event of a run goes into hooks.py; a new option into the table of run_options.py; a new limit into run.py, where the others are.
"""
