"""Sockets inside the guest: AF_UNIX, and AF_INET and AF_INET6 on the loopback addresses, between the processes of one run.

No host socket gets a name, and no address of the host is ever used. A guest's socket is one end of an unnamed pair (socketpair(2));
the other end lies in the run's store (shared/store.py) under the socket's number. connect(2) takes that end out of the store and sends it to
the socket that listens. A datagram is written into the end that belongs to its receiver.

addresses.py      struct sockaddr and the addresses they hold;  constants.py: numbers of the interface
table.py          the record of each socket in shared memory: state, addresses, who has connected
lookup.py         which addresses are free, ephemeral ports, who is meant by an address
connections.py    sockets are made, bound, listened to, accepted, shut down;  connecting.py: connected
endpoint.py       a socket's host descriptor and record;  socket_file.py: the open file
streams.py, datagrams.py   how they transfer;  transfer.py: what is transferred
ancillary.py      control messages: descriptors and credentials;  passing.py: an open file as a message, and back
passing_events.py   those of events
options.py        getsockopt and setsockopt
"""
