"""What LiteLLM makes of an upstream that fails, and what becomes of it at the client.

Each request names its upstream, which LiteLLM lets a client do where it is set up so.
"""

import threading
from collections.abc import Callable

import pytest

from firsttoken import ChatCompletionRequest, ChatCompletionStream, Client, chat_completion_request
from firsttoken.errors import InternalServerError, RateLimitError, ResponseFormatError
from tests.support.clients import MakeClient, drain, failure_of
from tests.support.litellm import LiteLLM
from tests.support.server import EVENT_STREAM, WAIT_S, Peer, Server, chunk, event, respond_sequentially
from tests.support.services import free_port

pytestmark = [
    pytest.mark.model,
    pytest.mark.litellm,
    pytest.mark.timeout(120, func_only=True),
    pytest.mark.xdist_group("litellm"),  # one proxy for all
]

Serve = Callable[[Peer], None]


@pytest.fixture
def client(make_client: MakeClient, litellm: LiteLLM) -> Client:
    return make_client(litellm.base_url, api_key=litellm.key, proxy="")


def asking(server: Server | str) -> ChatCompletionRequest:
    base_url = server if isinstance(server, str) else server.base_url
    return chat_completion_request("scripted", "Hi", extra={"api_base": base_url})


def read_first(stream: ChatCompletionStream) -> str:
    """Read a stream to its first text."""
    return next(chunk.text for chunk in stream if chunk.text)


def test_a_complete_stream(client: Client) -> None:
    with Server(respond_sequentially(lambda peer: peer.stream("Hel", "lo"))) as upstream:
        answered = client.chat_completion_stream(asking(upstream)).final_completion()
    assert (answered.text, answered.choices[0].finish_reason) == ("Hello", "stop")


def closes_in_a_chunk(peer: Peer) -> None:
    peer.send(b"50\r\ndata: {")
    peer.socket.close()


def resets(peer: Peer) -> None:
    peer.reset()


def tells_of_an_error(peer: Peer) -> None:
    peer.send_event({"error": {"message": "out of memory", "type": "server_error", "code": 500}})
    peer.end_stream()


@pytest.mark.parametrize(
    ("die", "words"),
    [
        (closes_in_a_chunk, "Response payload is not completed"),
        (resets, "Response payload is not completed"),
        (tells_of_an_error, "out of memory"),
    ],
)
def test_an_upstream_that_dies(client: Client, die: Serve, words: str) -> None:
    """LiteLLM says so inside the stream, and ends it without `[DONE]`."""
    seen = threading.Event()

    def serve(peer: Peer) -> None:
        peer.begin_stream()
        peer.send_event(chunk("Hel"))
        assert seen.wait(WAIT_S), "the first chunk has not arrived"
        die(peer)

    with Server(respond_sequentially(serve)) as upstream:
        stream = client.chat_completion_stream(asking(upstream))
        assert read_first(stream) == "Hel"
        seen.set()
        _, failure = drain(stream)
    assert isinstance(failure, InternalServerError)
    assert (failure.status, failure.in_stream) == (500, True)
    assert str(failure).startswith("the server reported an error inside the stream: litellm.APIConnectionError: ")
    assert words in str(failure)
    assert failure.partial is not None
    assert failure.partial.text == "Hel"
    assert stream.state == "failed"


def ends_the_body(peer: Peer) -> None:
    peer.begin_stream()
    peer.send_event(chunk("Hel"))
    peer.end_stream(done=False)


def closes_a_body_without_an_end(peer: Peer) -> None:
    peer.send_head(200, EVENT_STREAM | {"connection": "close"})
    peer.send(event(chunk("Hel")))
    peer.socket.close()


def gives_no_finish_reason(peer: Peer) -> None:
    peer.begin_stream()
    peer.send_event(chunk("Hel"))
    peer.end_stream()


@pytest.mark.parametrize("serve", [ends_the_body, closes_a_body_without_an_end, gives_no_finish_reason])
def test_a_finish_that_litellm_makes_up(client: Client, serve: Serve) -> None:
    """The half that can't be known behind it: LiteLLM adds the finish reason "stop" and `[DONE]` to what was cut off.

    firsttoken, in its place, raises `StreamTruncatedError` for the first two (the third is ended by its `[DONE]`). A
    change here is good news, and a reason to change docs/how-to/network.md.
    """
    with Server(respond_sequentially(serve)) as upstream:
        stream = client.chat_completion_stream(asking(upstream))
        answered = stream.final_completion()
    assert (answered.text, answered.choices[0].finish_reason) == ("Hel", "stop")
    assert stream.state == "complete"


def test_a_tool_call_that_litellm_calls_finished(client: Client) -> None:
    """What is known of it is that its arguments are no JSON, and these are never mended."""

    def serve(peer: Peer) -> None:
        call = {
            "index": 0,
            "id": "call_1",
            "type": "function",
            "function": {"name": "pay", "arguments": '{"amount": 1'},
        }
        peer.send_head(200, EVENT_STREAM | {"connection": "close"})
        peer.send(event(chunk() | {"choices": [{"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": None}]}))
        peer.socket.close()

    with Server(respond_sequentially(serve)) as upstream:
        (answer,) = client.chat_completion_stream(asking(upstream)).final_completion().choices
    assert answer.finish_reason == "stop"
    assert answer.message.tool_calls is not None
    (call,) = answer.message.tool_calls
    assert (call.name, call.arguments) == ("pay", '{"amount": 1')
    with pytest.raises(ResponseFormatError, match="the arguments of pay can't be read as JSON"):
        call.parse()


def test_an_upstream_that_never_answers(client: Client) -> None:
    with Server(respond_sequentially(resets)) as upstream:
        failures = [failure_of(client.chat_completion_stream(asking(upstream)))]
    failures.append(failure_of(client.chat_completion_stream(asking(f"http://127.0.0.1:{free_port()}/v1"))))
    for failure in failures:
        assert isinstance(failure, InternalServerError)
        assert (failure.status, failure.in_stream, failure.partial, failure.retryable) == (500, False, None, True)
        assert str(failure).startswith("the server answered 500 Internal Server Error: litellm.InternalServerError: ")
        assert "Connection error." in str(failure)


def test_an_upstream_that_is_busy(client: Client) -> None:
    """How long to wait is passed on under a name of LiteLLM's own (`llm_provider-retry-after`), which is not obeyed."""

    def serve(peer: Peer) -> None:
        error = {"message": "too many requests", "type": "requests", "code": "rate_limit_exceeded"}
        peer.answer_json(429, {"error": error}, {"retry-after": "7"})

    with Server(respond_sequentially(serve)) as upstream:
        failure = failure_of(client.chat_completion_stream(asking(upstream)))
    assert isinstance(failure, RateLimitError)
    assert str(failure).startswith("the server answered 429 Too Many Requests: litellm.RateLimitError: ")
    assert "too many requests" in str(failure)
    assert (failure.retryable, failure.retry_after_s) == (True, None)
