"""How `--strace` shows addresses and options of sockets, as strace(1) does."""

from __future__ import annotations

import socket as host

from uselib.emulator.kernel.sockets.addresses import family_of
from uselib.emulator.kernel.sockets.constants import AF_INET, AF_INET6, AF_UNIX
from uselib.emulator.kernel.strace.tables import CHOICES
from uselib.emulator.kernel.strace.text import quoted


def shown_sockaddr(data: bytes) -> str:
    """`{sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("127.0.0.1")}`."""
    if len(data) < 2:
        return f"{{sa_data={quoted(data)}}}"
    family = family_of(data)
    name = CHOICES["socket_domain"].get(family, str(family))
    if family == AF_UNIX:
        path = data[2:]
        if not path:
            return f"{{sa_family={name}}}"
        if path.startswith(b"\0"):
            return f"{{sa_family={name}, sun_path=@{quoted(path[1:])}}}"
        return f"{{sa_family={name}, sun_path={quoted(path.split(bytes(1))[0])}}}"
    port = int.from_bytes(data[2:4], "big")
    if family == AF_INET and len(data) >= 16:
        address = host.inet_ntop(host.AF_INET, data[4:8])
        return f'{{sa_family={name}, sin_port=htons({port}), sin_addr=inet_addr("{address}")}}'
    if family == AF_INET6 and len(data) >= 24:
        address = host.inet_ntop(host.AF_INET6, data[8:24])
        flow = int.from_bytes(data[4:8], "big")
        scope = int.from_bytes(data[24:28], "little")
        return (
            f"{{sa_family={name}, sin6_port=htons({port}), sin6_flowinfo=htonl({flow}), "
            f'inet_pton(AF_INET6, "{address}", &sin6_addr), sin6_scope_id={scope}}}'
        )
    return f"{{sa_family={name}, sa_data={quoted(data[2:16])}}}"
