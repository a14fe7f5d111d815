"""Whether a connection to this machine's own address was made by the user who runs the site.

A browser sends a site's cookies to every port of its host. On a machine with several users, one of them may
listen on another port, get the lab's cookie from a browser that comes there, and send it on. So the cookie
alone says too little, and whose the connection is says the rest: the user's own processes need no cookie.
"""

from __future__ import annotations

import os
from ipaddress import IPv4Address, ip_address
from pathlib import Path

CONNECTIONS = Path("/proc/net/tcp")
"""Linux's list: number, local address, remote address, state, …, and in the eighth column the user."""

_ESTABLISHED = "01"
"""A connection that its maker has closed has no owner any more, and is listed as root's."""


def is_this_user(address: str | None, port: int | None, server_port: int) -> bool:
    """Whether this user made the connection from a loopback `address` and `port`, and has not closed it.

    True where nobody can say: on other systems than Linux, and under servers that tell no port.
    """
    if port is None or not CONNECTIONS.exists():
        return True
    try:
        made_by = ip_address(address or "")
    except ValueError:
        return False
    if not isinstance(made_by, IPv4Address):  # the local server listens on 127.0.0.1
        return False
    client = f"{int.from_bytes(made_by.packed, 'little'):08X}:{port:04X}"
    for line in CONNECTIONS.read_text(encoding="ascii").splitlines()[1:]:
        _, local, remote, state, *_others = columns = line.split()
        if local == client and remote.endswith(f":{server_port:04X}") and state == _ESTABLISHED:
            return int(columns[7]) == os.geteuid()
    return False
