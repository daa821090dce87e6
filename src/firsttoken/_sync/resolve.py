"""Host names to addresses, with a deadline: the system's resolver has none and can't be interrupted."""

import socket
import threading
from collections.abc import Callable

Address = tuple[socket.AddressFamily, tuple[object, ...]]


def resolve(host: str, port: int, wait: Callable[[threading.Event], None]) -> list[Address]:
    """The addresses of a host, in the system's order of preference.

    Args:
        host: a name or an address.
        port: to connect to.
        wait: waits for an event, and raises when it has waited for long enough.

    Raises:
        OSError: there is no such host.
    """
    numeric = look_up_now(host, port, socket.AI_NUMERICHOST)
    if numeric:
        return numeric
    found: list[Address] = []
    failures: list[OSError] = []
    done = threading.Event()

    def look_up() -> None:
        try:
            found.extend(look_up_now(host, port, 0))
        except OSError as error:
            failures.append(error)
        finally:
            done.set()

    threading.Thread(target=look_up, name="firsttoken-resolve", daemon=True).start()
    wait(done)
    if failures:
        raise failures[0]
    return found


def look_up_now(host: str, port: int, flags: int) -> list[Address]:
    """What the system's resolver says; with `AI_NUMERICHOST` at once, and nothing where the host is a name."""
    try:
        infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    except socket.gaierror:
        if flags & socket.AI_NUMERICHOST:
            return []
        raise
    except UnicodeError as error:
        raise socket.gaierror(socket.EAI_NONAME, f"no host name: {error}") from error
    return [(info[0], info[4]) for info in infos]
