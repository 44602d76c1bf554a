"""Numbers of the socket interface on x86. Source: include/linux/socket.h, include/uapi/asm-generic/socket.h, include/uapi/linux/in.h."""

from __future__ import annotations

AF_UNSPEC, AF_UNIX, AF_INET, AF_INET6 = 0, 1, 2, 10
INET = (AF_INET, AF_INET6)
SOCK_STREAM, SOCK_DGRAM, SOCK_RAW, SOCK_RDM, SOCK_SEQPACKET = 1, 2, 3, 4, 5
IPPROTO_IP, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_IPV6 = 0, 6, 17, 41
SOL_SOCKET = 1
SOMAXCONN = 4096

MSG_OOB, MSG_PEEK, MSG_DONTROUTE, MSG_CTRUNC, MSG_TRUNC, MSG_DONTWAIT = 0x1, 0x2, 0x4, 0x8, 0x20, 0x40
MSG_EOR, MSG_WAITALL, MSG_ERRQUEUE, MSG_NOSIGNAL, MSG_MORE, MSG_WAITFORONE = (
    0x80,
    0x100,
    0x2000,
    0x4000,
    0x8000,
    0x10000,
)
MSG_CMSG_CLOEXEC = 0x40000000

SCM_RIGHTS, SCM_CREDENTIALS = 1, 2
SHUT_READ, SHUT_WRITE = 1, 2  # bits of SocketRecord.shut
