"""/proc as the guest sees it: made here, of the guest's own processes and of the fixed machine it runs on. Nothing of the host's is shown.

tree.py            which names there are, and what each is
facts.py           what is known of a process, of this one or of another of the guest's
process_files.py   the files of /proc/PID: status, stat, limits, ...
memory_files.py    maps, smaps, statm, auxv: what lies in memory
system_files.py    meminfo, cpuinfo, stat, uptime, sys/kernel/*, ...
cpu_flags.py       the names of CPUID's bits
texts.py           name -> the function that makes the text; which may be written
"""
