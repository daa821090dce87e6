"""Host names to addresses, with a deadline: the system's resolver has none and can't be interrupted."""

import socket
import threading
from collections.abc import Callable

from firsttoken._sockets import Address, look_up


def resolve(host: str, port: int, wait: Callable[[threading.Event], None]) -> list[Address]:
    """The addresses of a host, in the system's order of preference.

    Args:
        host: a name or an address.
        port: to connect to.
        wait: waits for an event, and raises when it has waited for long enough.

    Raises:
        OSError: there is no such host.
    """
    numeric = look_up(host, port, socket.AI_NUMERICHOST)
    if numeric:
        return numeric
    found: list[Address] = []
    failures: list[OSError] = []
    done = threading.Event()

    def work() -> None:
        try:
            found.extend(look_up(host, port))
        except OSError as error:
            failures.append(error)
        finally:
            done.set()

    threading.Thread(target=work, name="firsttoken-resolve", daemon=True).start()
    wait(done)
    if failures:
        raise failures[0]
    return found
