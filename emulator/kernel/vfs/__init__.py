"""Files: what the guest sees of the host, operations on paths, open files and descriptors.

grants.py       which directories of the host are seen, and where; places.py: what the tree is made of
namespace.py    the walk along a path; openat2.py: several components in one step
filesystem.py   paths of a process: where they lead, what is seen there
open_files.py   open(2); entries.py: names are made, removed, moved; inodes.py: mode, times, size
rights.py       who owns what, and what that allows
opening.py      from a found file to an open one
descriptions.py open files, whatever they are; host_files.py: those of the host
descriptors.py  the table of descriptors
made_files.py   open files whose contents are made here: the texts of /proc, random bytes
synthetic.py    status of files that are made here: /dev, /proc
epoll_file.py, timer_file.py, signal_file.py, watch_file.py   the open files of epoll instances, timers, signals and inotify
"""
