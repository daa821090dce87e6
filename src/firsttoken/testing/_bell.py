"""The bell that a server rings when it is closed: every thread that waits for a socket waits for it, too."""

import os
import socket


class Bell:
    """Something to select on; once it has rung it stays so.

    Attributes:
        has_rung: whether it has.
    """

    def __init__(self) -> None:
        self.has_rung = False
        self._ear, self._hand = socket.socketpair()
        self._process = os.getpid()

    def fileno(self) -> int:
        """What becomes readable when it rings."""
        return self._ear.fileno()

    def ring(self) -> None:
        """Wake all who wait. In a forked child nobody is woken: the threads, and the server, are the parent's."""
        if os.getpid() == self._process:
            self.has_rung = True
            self._hand.close()

    def close(self) -> None:
        """Give up the sockets; nobody may wait any more."""
        self._hand.close()
        self._ear.close()
