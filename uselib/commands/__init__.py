"""The commands of `uselib`, one module or package for each: it parses options, calls the code that does the work, and prints the result.

To add a command: a module here with `run(arguments) -> exit status`, and its row in COMMANDS of uselib/cli.py. A module is imported
only when its command is asked for. What a command does belongs elsewhere: linking into linker/, running into emulator/, checking
into uselib/abi, and what is useful from Python into uselib/api.py.

    ld, ld_dir, mkshlib*, shlicc, cc, sysroot, map   make programs, libraries, sysroots and maps
    run, trace/                                      run programs in the emulator; record and read traces
    chkshlib*, abi*                                  check a library against the programs that use it
    inspect/, ldd, ldconfig                          show files and installed libraries
    compare, demo                                    compare the schemes; a short demonstration
"""
