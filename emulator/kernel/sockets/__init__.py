"""Sockets inside the guest: AF_UNIX, and AF_INET and AF_INET6 on the loopback addresses, between the processes of one run.

No socket of the host's has a name, and no address of the host's is ever used. A guest's socket is one end of an unnamed pair (socketpair(2));
the other end lies in the run's store (shared/store.py) under the socket's number. To connect is to take it out of there and to send it
to the socket that listens; a datagram is written into the end that belongs to its receiver.

addresses.py      struct sockaddr and the addresses they hold;  constants.py: numbers of the interface
table.py          what is kept of each socket in shared memory: state, addresses, who has connected
lookup.py         which addresses are free, ephemeral ports, who is meant by an address
connections.py    made, bound, connected, listened to, accepted, shut down
endpoint.py       a socket's host descriptor and record;  socket_file.py: the open file
streams.py, datagrams.py   how they transfer;  transfer.py: what is transferred
ancillary.py      control messages: descriptors and credentials;  passing.py: an open file as a message, and back
options.py        getsockopt and setsockopt
"""
