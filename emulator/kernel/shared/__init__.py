"""What all processes of one run share.

A guest's processes are host processes, forked from each other. Objects of the guest's kernel that belong to no single process (sockets,
System V IPC) lie in shared memory that all of them inherit.

process_rows.py  the table of process numbers, and facts that processes publish
run.py           RunShared: the memory, the lock and the store, made before the first fork
lock.py          a lock that the host's kernel releases when its holder ends
store.py         host descriptors by number: any process can put one there, and any other can get it
requests.py      what one process asks another one, and the answer
files.py         /dev/shm
signal_boxes.py  what siginfo_t says of signals that processes send each other
"""
