"""tinyproxy, a small forward proxy, on a loopback port."""

import re
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.services import Service, free_port, program

USER, PASSWORD = "user", "geheim-geheim"

_CONFIGURATION = """
Port {port}
Listen 127.0.0.1
Timeout 60
MaxClients 50
LogLevel Connect
LogFile "{log}"
{access}
"""


@dataclass(frozen=True)
class Tinyproxy:
    """A running proxy."""

    port: int
    log: Path

    def asked_for(self) -> list[str]:
        """The tunnels that were asked for, as host:port."""
        return re.findall(r": CONNECT (\S+) HTTP/", self.log.read_text())


@contextmanager
def tinyproxy(folder: Path, *, password: bool = False) -> Generator[Tinyproxy]:
    """A forward proxy, which may want `USER` and `PASSWORD`."""
    command = program("tinyproxy")
    port = free_port()
    access = f"BasicAuth {USER} {PASSWORD}" if password else ""
    log = folder / "tinyproxy.log"
    configuration = folder / "tinyproxy.conf"
    configuration.write_text(_CONFIGURATION.format(port=port, access=access, log=log))
    with Service([command, "-d", "-c", str(configuration)], env={}, folder=folder) as service:
        service.wait_until_listening(port, 30)
        yield Tinyproxy(port, log)
