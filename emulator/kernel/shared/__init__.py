"""What all processes of one run have in common, beside the table of process numbers (pids.py).

A guest's processes are processes of the host, forked from each other. Objects of the guest's kernel that do not belong to one of them
(sockets, System V IPC) lie in shared memory that all inherit.

run.py      RunShared: the memory, the lock and the store, made before the first fork
lock.py     a lock that the host's kernel lets go when its holder ends
store.py    descriptors of the host's by number, which any process can put there and any other can get
files.py    /dev/shm
signal_boxes.py  what there is to say of signals that processes send each other
"""
