"""nginx in front of a server: unprivileged, in a folder of its own, on a loopback port."""

import os
import socket
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme

from tests.support.server import Server
from tests.support.services import Service, program
from tests.support.tls import authority

_CONFIGURATION = """
daemon off;
worker_processes 1;
user {user};
pid {folder}/pid;
error_log stderr info;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port}{tls};
        add_header X-Connection $connection;
        location / {{
            proxy_pass {upstream};
            {directives}
        }}
    }}
}}
"""


UNBUFFERED = "proxy_buffering off;"
HTTP_1_1 = "proxy_http_version 1.1; proxy_set_header Connection '';"
GZIP = "gzip on; gzip_types text/event-stream application/json; gzip_min_length 1;"


@dataclass(frozen=True)
class NginxConfig:
    """A way to set nginx up, and the coding that the client takes: firsttoken asks for none on streams."""

    directives: str
    coding: str = "identity"

    @property
    def is_buffered(self) -> bool:
        return UNBUFFERED not in self.directives


NGINX_CONFIGS = {
    "default": NginxConfig(""),
    "unbuffered": NginxConfig(UNBUFFERED),
    "http 1.1": NginxConfig(HTTP_1_1),
    "http 1.1, unbuffered": NginxConfig(HTTP_1_1 + UNBUFFERED),
    "gzip, not taken": NginxConfig(GZIP),
    "gzip": NginxConfig(GZIP, "gzip"),
    "gzip, unbuffered": NginxConfig(GZIP + UNBUFFERED, "gzip"),
}


@contextmanager
def behind_nginx(server: Server, folder: Path, directives: str = "", *, tls: bool = False) -> Generator[str]:
    """The base URL of a server behind nginx."""
    with nginx(folder, f"http://127.0.0.1:{server.port}", directives, tls=tls) as address:
        yield f"{address}/v1"


@contextmanager
def nginx(folder: Path, upstream: str, directives: str = "", *, tls: bool = False) -> Generator[str]:
    """nginx in front of an origin (`http://host:port`), with these directives beside `proxy_pass`; gives its own.

    With `tls` it ends TLS, with a certificate for localhost. Each response names the connection in `x-connection`.
    """
    command = [program("nginx"), "-e", "stderr", "-c", str(folder / "nginx.conf")]
    # It can't listen on a port that it chooses itself, but it takes a listening socket over, as at its own upgrade.
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = int(listener.getsockname()[1])
        text = _CONFIGURATION.format(
            folder=folder,
            port=port,
            upstream=upstream,
            directives=directives,
            user=_user(),
            tls=_tls(folder) if tls else "",
        )
        (folder / "nginx.conf").write_text(text)
        inherited = listener.fileno()
        service = Service(command, env={"NGINX": f"{inherited};"}, folder=folder, sockets=[inherited])
    with service:
        service.wait_for("start worker process ", 30)
        yield f"https://localhost:{port}" if tls else f"http://127.0.0.1:{port}"


def _user() -> str:
    """Who runs the tests: started by root, nginx would have another user work, who may not read their folders."""
    import grp
    import pwd

    return f"{pwd.getpwuid(os.getuid()).pw_name} {grp.getgrgid(os.getgid()).gr_name}"


def _tls(folder: Path) -> str:
    certificate: trustme.LeafCert = authority().issue_cert("localhost")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    return f" ssl; ssl_certificate {folder}/server.pem; ssl_certificate_key {folder}/server.pem"
