"""/proc as the guest sees it. It is made here and shows the guest's own processes and the fixed machine they run on, and nothing of the host.

tree.py            which names there are, and what each is
facts.py           what is known of a process: of this one, or of another one of the guest
asking.py          what another process is asked;  answering.py: what this one says
process_files.py   the files of /proc/PID: status, stat, limits, ...
memory_files.py    maps, smaps, statm, auxv: what lies in memory
memory_access.py   mem: the memory itself
system_files.py    meminfo, cpuinfo, stat, uptime, sys/kernel/*, ...
cpu_flags.py       the names of CPUID's bits
texts.py           name -> the function that makes the text; which may be written
"""
