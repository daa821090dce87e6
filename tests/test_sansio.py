"""firsttoken.sansio: the parts without I/O, as someone with a transport of their own uses them."""

import pytest

from firsttoken import sansio
from firsttoken.errors import ResponseFormatError
from firsttoken.sansio import Accumulator, ServerSentEvent, SSEDecoder, StreamParser
from tests.support.core import drain
from tests.support.server import DONE, chunk, event


def test_bytes_to_events() -> None:
    decoder = SSEDecoder(max_event_bytes=100)
    assert decoder.receive_data(b"event: x\nid: 7\nretry: 10\ndata: a\n\nerror: no\n\nda") == [
        ServerSentEvent(event="x", data=b"a", id="7", retry=10),
        ServerSentEvent(event="error", data=b"no", id="7", retry=None),
    ]
    decoder.receive_data(b"ta: b")
    assert decoder.receive_eof() == [ServerSentEvent("message", b"b", "7")]
    assert decoder.failure is None
    decoder.receive_data(b"x" * 101)
    assert isinstance(decoder.failure, ResponseFormatError)


def test_bytes_to_chunks_and_an_outcome() -> None:
    core = StreamParser()
    core.receive_data(event(chunk("Hel")) + event(chunk("lo"))[:20])
    first = core.next_chunk()
    assert first is not None
    assert first.text == "Hel"
    assert core.next_chunk() is None
    core.receive_data(event(chunk("lo"))[20:] + event(chunk("!", "stop")) + DONE)
    assert core.complete
    assert [made.text for made in drain(core)] == ["lo", "!"]
    assert core.completion.text == "Hello!"
    assert core.failure is None
    core.receive_eof()
    assert core.complete


def test_chunks_from_anywhere_to_a_completion() -> None:
    core, accumulator = StreamParser(), Accumulator()
    for made in core.receive_data(event(chunk("Hel")) + event(chunk("lo"))):
        accumulator.add(made)
    assert accumulator.completion.text == "Hello"


@pytest.mark.parametrize("name", sansio.__all__)
def test_its_names_show_the_door(name: str) -> None:
    assert getattr(sansio, name).__module__ == "firsttoken.sansio"


def test_events_are_values() -> None:
    one = ServerSentEvent("message", b"a")
    assert one == ServerSentEvent(event="message", data=b"a", id="", retry=None)
    assert repr(one) == "ServerSentEvent(event='message', data=b'a', id='', retry=None)"
    with pytest.raises(AttributeError, match="immutable"):
        one.data = b"b"  # pyright: ignore[reportAttributeAccessIssue]
