"""Files: the part of the host's tree that the guest sees, operations on paths, open files and descriptors.

grants.py       which directories of the host the guest sees, and where; places.py: the parts of the tree
namespace.py    the walk along a path; openat2.py: several components in one step
filesystem.py   paths of a process: resolving them, looking at files
open_files.py   open(2); entries.py: making, removing and moving names; inodes.py: mode, times, size
rights.py       owners of files, and permissions
opening.py      from a found file to an open one
descriptions.py open files of all kinds; host_files.py: those of the host
descriptors.py  the table of descriptors
made_files.py   open files whose contents are made here: the texts of /proc, random bytes
synthetic.py    status of files that are made here: /dev, /proc
epoll_file.py, timer_file.py, signal_file.py, watch_file.py, pid_file.py   the open files of epoll instances, timers, signals, inotify, pidfds
"""
