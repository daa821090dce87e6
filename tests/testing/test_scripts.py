"""Scripts: what stands for one, and which of them answers which request."""

import pytest

from firsttoken.testing import (
    FAULTS,
    Request,
    Script,
    ScriptedServer,
    ScriptLike,
    close,
    finish,
    on_connect,
    refuse,
    reply,
    wire_bytes,
)
from firsttoken.testing._server.script import as_script
from tests.support.raw_client import RawClient, asked, body_of, texts_in


@pytest.mark.parametrize(
    ("script", "texts"),
    [
        ("Why, hello", ["Why,", " hello"]),
        (["Why,", " hello"], ["Why,", " hello"]),
        (reply("Hello"), ["Hello"]),
        (Script(tuple(reply("Hello"))), ["Hello"]),
        (iter(["Hello"]), ["Hello"]),
        ({"choices": [{"index": 0, "delta": {"content": "Hello"}}]}, ["Hello"]),
        (finish(), []),
        ([], []),
    ],
    ids=["text", "list", "reply", "script", "iterator", "chunk", "step", "nothing"],
)
def test_what_is_a_script(script: ScriptLike, texts: list[str]) -> None:
    with ScriptedServer(script) as server:
        assert [texts_in(asked(server)) for _ in range(2)] == [texts] * 2


def test_bytes_are_a_body() -> None:
    with ScriptedServer(b"data: [DONE]\n\n") as server:
        assert body_of(asked(server)) == b"data: [DONE]\n\n"


def test_a_fault_is_a_script() -> None:
    assert as_script(FAULTS[0]) is FAULTS[0].script


def test_what_is_no_script_is_refused() -> None:
    with pytest.raises(TypeError, match=r"int is not a script; hint: a str, a list of steps, a Fault, or a function"):
        ScriptedServer(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_a_coroutine_function_is_refused() -> None:
    async def answer(_: Request) -> str:
        return "Hello"

    with pytest.raises(TypeError, match="is a coroutine function; hint: a script is given by a plain one, in a thread"):
        ScriptedServer(answer)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_a_refusal_stands_alone() -> None:
    with pytest.raises(ValueError, match=r"refuse\(\) must stand alone"):
        ScriptedServer("Hello", refuse())
    with ScriptedServer("Hello") as server:
        with pytest.raises(ValueError, match=r"refuse\(\) must stand alone"):
            server.set_scripts("other", refuse())
        assert texts_in(asked(server)) == ["Hello"]  # as before


def test_a_script_may_not_wait_for_a_request() -> None:
    with ScriptedServer("Hello", on_connect(wire_bytes(b"220 mail.example\r\n")), "Hello") as server:
        assert texts_in(asked(server)) == ["Hello"]
        with RawClient(server) as client:
            assert client.read_all() == b"220 mail.example\r\n"
        assert texts_in(asked(server)) == ["Hello"]
        assert len(server.journal.entries) == 2


def test_such_a_script_answers_a_request_where_a_connection_is_there() -> None:
    with ScriptedServer("Hello", on_connect(close())) as server, RawClient(server) as client:
        for _ in range(2):
            client.send(b"POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\n")
        assert client.read_all().count(b"HTTP/1.1 200 OK") == 1
        assert [entry.end_reason for entry in server.journal.entries] == ["complete", "server closed"]
