"""Host names to addresses, within a deadline."""

import socket
import threading
from typing import Any

import pytest

from firsttoken._sync.connection import resolve
from firsttoken.errors import APIConnectionError
from tests.support.clients import REQUEST, MakeClient
from tests.support.server import WAIT_S, Server, completion, respond_sequentially


def no_addresses(_host: str, _port: int, **_options: int) -> list[object]:
    return []


def wait(event: threading.Event) -> None:
    assert event.wait(WAIT_S)


def no_wait(_event: threading.Event) -> None:
    pytest.fail("a number needs no looking up")


@pytest.mark.parametrize(("host", "family"), [("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)])
def test_a_numeric_address_is_not_looked_up(host: str, family: socket.AddressFamily) -> None:
    ((found, address),) = resolve(host, 80, no_wait)
    assert found is family
    assert address[:2] == (host, 80)


def test_a_name_is_looked_up() -> None:
    found = resolve("localhost", 80, wait)
    assert {address[0] for _, address in found} <= {"127.0.0.1", "::1"}
    assert found


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 64 + ".test", "."])
def test_a_name_that_is_none(make_client: MakeClient, host: str) -> None:
    with pytest.raises(OSError, match=r".+"):
        resolve(host, 80, wait)
    with pytest.raises(APIConnectionError) as caught:
        make_client(f"http://{host}/v1").chat_completion(REQUEST)
    assert str(caught.value).startswith(f"no connection to {host}:80: ")
    assert isinstance(caught.value.__cause__, socket.gaierror)


def test_what_the_waiting_raises_comes_out() -> None:
    def give_up(_event: threading.Event) -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        resolve("localhost", 80, give_up)


def test_all_addresses_of_a_host_are_tried(make_client: MakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first refuses: nobody listens on port 1 of it."""
    system = socket.getaddrinfo

    def two_addresses(host: str, port: int, **options: Any) -> list[Any]:
        if host != "two.test" or options.get("flags"):
            return system(host, port, **options)
        return [*system("127.0.0.2", 1, **options), *system("127.0.0.1", port, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", two_addresses)
    with Server(respond_sequentially(lambda peer: peer.answer_json(200, completion()))) as server:
        assert make_client(f"http://two.test:{server.port}/v1").chat_completion(REQUEST).text == "Hello"
        monkeypatch.setattr(socket, "getaddrinfo", no_addresses)
        with pytest.raises(APIConnectionError, match=r"no connection to none\.test:80: the host has no address"):
            make_client("http://none.test/v1").chat_completion(REQUEST)
