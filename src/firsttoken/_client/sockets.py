"""What both shells do with sockets before there is a connection."""

import socket

KEEP_ALIVE_AFTER_S = 60
"""Silence after which the system asks the peer whether it is still there: load balancers drop silent connections."""

Address = tuple[socket.AddressFamily, tuple[object, ...]]


def new_socket(family: socket.AddressFamily) -> socket.socket:
    """A TCP socket that does not block, sends at once, and keeps its connection alive."""
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEP_ALIVE_AFTER_S)
    return sock


def resolve_host(host: str, port: int, flags: int = 0) -> list[Address]:
    """What the system's resolver says; with `AI_NUMERICHOST` at once, and nothing where the host is a name.

    Raises:
        OSError: there is no such host.
    """
    try:
        infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    except socket.gaierror:
        if flags & socket.AI_NUMERICHOST:
            return []
        raise
    except UnicodeError as error:
        raise socket.gaierror(socket.EAI_NONAME, f"no host name: {error}") from error
    return [(info[0], info[4]) for info in infos]
