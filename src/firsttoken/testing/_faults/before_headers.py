"""Faults before the head of the answer: the connection, and HTTP itself."""

from firsttoken.testing._faults.fault import GAP_S, READ_S, Fault, make_script
from firsttoken.testing._script import close, interim, pause, repeat, reply, reset, role, split, stall, wire_bytes
from firsttoken.testing._server.script import Script, on_connect, refuse

_LINES = b"".join(b"x-filler-%d: %s\r\n" % (number, b"a" * 480) for number in range(8))


def _fault(
    name: str, what: str, script: Script, *, text: str = "", needs_deadline: bool = False, is_retried: bool = False
) -> Fault:
    return Fault(
        name,
        "before the head",
        what,
        script,
        text=text,
        is_complete=bool(text),
        needs_deadline=needs_deadline,
        is_retried=is_retried,
    )


LOST = (
    _fault("refuse", "its port refuses connections", refuse(), is_retried=True),
    _fault("accept-and-close", "closes each connection at once", on_connect(close()), is_retried=True),
    _fault("accept-and-reset", "resets each connection at once", on_connect(reset()), is_retried=True),
    _fault("close-after-request", "reads the request and closes", make_script(close()), is_retried=True),
    _fault("reset-after-request", "reads the request and resets", make_script(reset()), is_retried=True),
    _fault(
        "close-in-head",
        "closes in the middle of the head",
        make_script(wire_bytes(b"HTTP/1.1 200 OK\r\ncont"), close()),
    ),
    _fault(
        "reset-in-head",
        "resets in the middle of the head",
        make_script(wire_bytes(b"HTTP/1.1 200 OK\r\ncont"), pause(READ_S), reset()),
        is_retried=True,
    ),
)
"""The connection is refused, closed or reset."""

SLOW = (
    _fault(
        "slow-head", "sends the head a tenth of a second late", make_script(pause(0.1), *reply("Hello")), text="Hello"
    ),
    _fault(
        "dripping-head",
        "sends the head byte by byte",
        make_script(split(1, role(), gap_s=0.0002), *reply("Hello")),
        text="Hello",
    ),
    _fault("no-head", "reads the request, and is silent", make_script(stall()), needs_deadline=True),
    _fault(
        "stall-in-head",
        "is silent from the middle of the head on",
        make_script(wire_bytes(b"HTTP/1.1 200 OK\r\ncont"), stall()),
        needs_deadline=True,
    ),
    _fault(
        "endless-dripping-head",
        "sends a head byte by byte, forever",
        make_script(wire_bytes(b"HTTP/1.1 200 OK\r\nx-drip: "), repeat(wire_bytes(b"."), gap_s=GAP_S)),
        needs_deadline=True,
    ),
    _fault(
        "endless-headers",
        "sends header lines forever",
        make_script(wire_bytes(b"HTTP/1.1 200 OK\r\n"), repeat(wire_bytes(_LINES), gap_s=0.001)),
        needs_deadline=True,
    ),
    _fault(
        "endless-header-line",
        "sends a header line that never ends",
        make_script(wire_bytes(b"HTTP/1.1 200 OK\r\nx-endless: "), repeat(wire_bytes(b"a" * 4096), gap_s=0.001)),
        needs_deadline=True,
    ),
)
"""The head is late, or never there."""

INTERIM = (
    _fault(
        "interim-then-answer",
        "sends 100 and 103 before the answer",
        make_script(interim(100), interim(103, {"link": "</style.css>; rel=preload"}), *reply("Hello")),
        text="Hello",
    ),
    _fault(
        "endless-interim",
        "sends 102 forever",
        make_script(repeat(interim(102), gap_s=GAP_S)),
        needs_deadline=True,
    ),
    _fault(
        "switching-protocols",
        "answers 101, to speak another protocol",
        make_script(
            wire_bytes(b"HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"), close()
        ),
    ),
)
"""Responses that are not the last one, as 1xx are."""

NOT_HTTP = (
    _fault("ssh", "speaks SSH", make_script(wire_bytes(b"SSH-2.0-OpenSSH_9.6\r\n"), close())),
    _fault(
        "tls-alert",
        "speaks TLS, to a client that does not",
        make_script(wire_bytes(b"\x15\x03\x03\0\x02\x02\x46"), close()),
    ),
    _fault("http-2", "speaks HTTP/2", make_script(wire_bytes(b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64"), close())),
    _fault("body-without-head", "sends events and no head", make_script(wire_bytes(b"data: [DONE]\n\n"), close())),
    _fault(
        "bad-status-line",
        "sends a status that is not a number",
        make_script(wire_bytes(b"HTTP/1.1 OK 200\r\n\r\n"), close()),
    ),
    _fault(
        "bad-header",
        "sends a header without a name",
        make_script(wire_bytes(b"HTTP/1.1 200 OK\r\n: x\r\n\r\n"), close()),
    ),
)
"""What comes is not HTTP/1.1."""

PRE_HEADERS = (*LOST, *SLOW, *INTERIM, *NOT_HTTP)
