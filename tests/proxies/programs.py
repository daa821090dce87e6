"""The proxies: how each is started in front of an origin, on a loopback port, in a folder of its own."""

import re
import subprocess
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.support.nginx import HTTP_1_1, UNBUFFERED, nginx
from tests.support.services import Service, free_port, program

_START_S = 30.0


@dataclass(frozen=True)
class Proxy:
    """A proxy with one set of settings.

    Attributes:
        name: its name, and what differs from its defaults.
        version: the command that prints its version.
        start: start it in front of an origin (`http://host:port`), in a folder; gives its own origin.
    """

    name: str
    version: tuple[str, ...]
    start: Callable[[Path, str], AbstractContextManager[str]]

    def version_text(self) -> str:
        """The version, as digits and dots."""
        command = [program(self.version[0]), *self.version[1:]]
        ran = subprocess.run(command, capture_output=True, text=True, check=True)
        found = re.search(r"\d+\.\d+(\.\d+)?", ran.stdout + ran.stderr)
        assert found
        return found[0]


@contextmanager
def _nginx(folder: Path, origin: str, directives: str) -> Generator[str]:
    with nginx(folder, origin, directives) as address:
        yield address


@contextmanager
def _haproxy(folder: Path, origin: str, options: str) -> Generator[str]:
    port = free_port()
    (folder / "haproxy.cfg").write_text(
        f"defaults\n  mode http\n  option abortonclose\n{options}  timeout connect 5s\n  timeout client 60s\n"
        f"  timeout server 60s\nfrontend web\n  bind 127.0.0.1:{port}\n  default_backend app\n"
        f"backend app\n  server one {origin.removeprefix('http://')}\n"
    )
    with _listening([program("haproxy"), "-db", "-f", folder / "haproxy.cfg"], folder, port) as address:
        yield address


@contextmanager
def _caddy(folder: Path, origin: str) -> Generator[str]:
    port = free_port()
    (folder / "Caddyfile").write_text(
        f"{{\n  admin off\n  auto_https off\n}}\nhttp://127.0.0.1:{port} {{\n  reverse_proxy {origin}\n}}\n"
    )
    with _listening([program("caddy"), "run", "--config", folder / "Caddyfile"], folder, port) as address:
        yield address


@contextmanager
def _varnish(folder: Path, origin: str) -> Generator[str]:
    port = free_port()
    command = [program("varnishd"), "-F", "-a", f"127.0.0.1:{port}", "-b", origin.removeprefix("http://")]
    with _listening([*command, "-n", folder / "varnish", "-s", "malloc,16m"], folder, port) as address:
        yield address


@contextmanager
def _listening(command: list[str | Path], folder: Path, port: int) -> Generator[str]:
    environment = {"HOME": str(folder), "PATH": "/usr/bin:/bin:/usr/sbin:/sbin"}
    with Service(command, env=environment, folder=folder) as service:
        service.wait_until_listening(port, _START_S)
        yield f"http://127.0.0.1:{port}"


PROXIES = (
    Proxy("nginx", ("nginx", "-v"), partial(_nginx, directives="")),
    Proxy("nginx, `proxy_buffering off`", ("nginx", "-v"), partial(_nginx, directives=HTTP_1_1 + UNBUFFERED)),
    Proxy("HAProxy", ("haproxy", "-v"), partial(_haproxy, options="")),
    Proxy("HAProxy, `option http-no-delay`", ("haproxy", "-v"), partial(_haproxy, options="  option http-no-delay\n")),
    Proxy("Caddy", ("caddy", "version"), _caddy),
    Proxy("Varnish", ("varnishd", "-V"), _varnish),
)
