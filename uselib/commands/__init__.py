"""The commands of `uselib`, a module or package a verb: it parses its options, calls what does the work, and prints the result.

To add a command: a module here with `run(arguments) -> exit status`, and its row in COMMANDS of uselib/cli.py. A module is imported
only when its command is asked for. What a command does belongs elsewhere: linking into linker/, running into emulator/, checking
into uselib/abi, and what Python users may want too into uselib/api.py.

    ld, ld_dir, mkshlib*, shlicc, cc, sysroot, map   make programs, libraries and what they are linked with
    run, trace/                                      run programs in the emulator; record and read traces
    chkshlib*, abi*                                  check a library against the programs that use it
    inspect/, ldd, ldconfig                          look at files and at what is installed
    compare, demo                                    the schemes side by side; a tour in a few seconds
"""
