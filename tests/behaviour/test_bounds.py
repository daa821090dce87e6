"""An answer of more choices, tool calls or content parts than anybody asks for: an error that holds what came."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from firsttoken import chat_completion_request
from firsttoken.errors import ChatCompletionError, ResponseFormatError
from tests.support.clients import OVER_SOCKETS, MakeClient
from tests.support.server import Peer, Server, completion, respond_sequentially

pytestmark = OVER_SOCKETS

MAX_ITEMS = 4096
REQUEST = chat_completion_request("test-model", "Hi", n=2)  # of one choice all are taken for pieces


EVENTS = 64
PER_EVENT = MAX_ITEMS // EVENTS


def delta(**fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": fields}]}


def calls(*pieces: dict[str, Any]) -> dict[str, Any]:
    return delta(tool_calls=[CALL | piece for piece in pieces])


CALL = {"type": "function", "function": {"name": "f", "arguments": "{}"}}
PART = {"type": "image_url", "image_url": {"url": "u"}}
CALLS, PARTS = (
    "too many tool calls in an answer (more than 4096): ",
    "too many content parts in an answer (more than 4096): ",
)
PIECES: dict[str, tuple[Callable[[Sequence[int]], Any], str]] = {
    "choices": (
        lambda numbers: {"choices": [{"index": number, "delta": {"content": "x"}} for number in numbers]},
        "an index must be 0 to 4095, not 4096: ",
    ),
    "calls without an index": (lambda numbers: delta(tool_calls=[CALL for _ in numbers]), CALLS),
    "calls with an id": (lambda numbers: calls(*[{"id": f"{number}", "index": 0} for number in numbers]), CALLS),
    "calls with an index": (
        lambda numbers: calls(*[{"index": number} for number in numbers]),
        "an index must be -1 to 4095, not 4096: ",
    ),
    "complete calls on one index": (lambda numbers: calls(*[{"index": 0} for _ in numbers]), CALLS),
    "content parts": (lambda numbers: delta(content=[PART for _ in numbers]), PARTS),
    "reasoning": (
        lambda numbers: delta(reasoning_details=[{"index": number, "text": "x"} for number in numbers]),
        PARTS,
    ),
    "thinking": (
        lambda numbers: delta(thinking_blocks=[{"signature": "s", "thinking": "x"} for _ in numbers]),
        PARTS,
    ),
}


@pytest.mark.parametrize(
    ("style", "name"),
    [*(("loop", name) for name in PIECES), ("callback", "calls with an id"), ("events", "calls with an id")],
)
def test_items_beyond_the_bound_end_a_stream(make_client: MakeClient, style: str, name: str) -> None:
    make, message = PIECES[name]

    def endless(peer: Peer) -> None:
        peer.begin_stream()
        numbers = range(MAX_ITEMS)
        for first in range(0, MAX_ITEMS, PER_EVENT):
            peer.send_event(make(numbers[first : first + PER_EVENT]))
        peer.send_event(make([MAX_ITEMS]))
        peer.wait_for_disconnect()

    with Server(respond_sequentially(endless)) as server:
        client = make_client(server)
        with pytest.raises(ResponseFormatError) as caught:
            if style == "callback":
                client.chat_completion_stream(REQUEST, lambda _: None)
            else:
                stream = client.chat_completion_stream(REQUEST)
                for _ in stream if style == "loop" else stream.iter_events():
                    pass
    check_partial(caught.value, message)


def check_partial(error: ChatCompletionError, message: str) -> None:
    assert str(error).startswith(message)
    assert error.chunks_received == EVENTS
    assert error.partial is not None
    answer = error.partial.choices[0].message
    lists = (answer.tool_calls, answer.content_parts, answer.reasoning_details, answer.extra.get("thinking_blocks"))
    items: Any = next((found for found in lists if found), error.partial.choices)
    assert len(items) == MAX_ITEMS


def body(count: int, **message: Any) -> bytes:
    half = count // 2
    messages = [{name: values[:half] for name, values in message.items()}]
    messages += [{name: values[half:] for name, values in message.items()}]
    choices = [{"index": index, "message": part, "finish_reason": "stop"} for index, part in enumerate(messages)]
    return json.dumps(completion() | {"choices": choices}).encode()


BODIES: dict[str, Callable[[int], bytes]] = {
    "choices": lambda count: json.dumps(completion() | {"choices": completion()["choices"] * count}).encode(),
    "tool calls": lambda count: body(count, tool_calls=[CALL] * count),
    "content parts": lambda count: body(count, content=[PART] * count),
}


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("streamed", [False, True])
def test_items_beyond_the_bound_end_an_answer_in_one_piece(make_client: MakeClient, name: str, streamed: bool) -> None:
    def answer(peer: Peer) -> None:
        peer.answer(200, BODIES[name](MAX_ITEMS + 1), {"content-type": "application/json"})

    with Server(respond_sequentially(answer)) as server:
        client = make_client(server)
        with pytest.raises(ResponseFormatError, match=f"^too many .*{name}"):
            if streamed:
                list(client.chat_completion_stream(REQUEST))
            else:
                client.chat_completion(REQUEST)
