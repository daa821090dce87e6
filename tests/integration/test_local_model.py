"""The promises on a real model behind llama.cpp's own server."""

import json
from typing import Any

import pytest

from firsttoken import STOP, ChatCompletionChunk, ChatCompletionRequest, Client, chat_completion_request
from firsttoken.errors import APIConnectionError, BadRequestError, StreamTruncatedError
from firsttoken.local import LocalServer
from tests.support.local_model import fetch, origin

pytestmark = pytest.mark.model


@pytest.fixture
def client(local_server: LocalServer) -> Client:
    return Client(base_url=local_server.base_url, api_key="", proxy="")


def ask(local_server: LocalServer, text: str = "Why is the sky blue?", **fields: int) -> ChatCompletionRequest:
    return chat_completion_request(
        local_server.model, text, seed=fields.get("seed", 1), temperature=0.7, max_tokens=fields.get("max_tokens", 48)
    )


def test_a_complete_stream_is_the_blocking_completion(client: Client, local_server: LocalServer) -> None:
    request = ask(local_server, seed=3)
    blocking = client.chat_completion(request)
    stream = client.chat_completion_stream(request)
    streamed = stream.final_completion()
    assert stream.state == "complete"
    assert [choice.finish_reason for choice in streamed.choices] == [c.finish_reason for c in blocking.choices]
    assert [choice.message for choice in streamed.choices] == [choice.message for choice in blocking.choices]
    assert streamed.usage is not None
    assert blocking.usage is not None
    assert streamed.usage.completion_tokens == blocking.usage.completion_tokens == 48
    assert (streamed.model, streamed.object) == (blocking.model, "chat.completion")


def test_the_first_token_comes_well_before_the_end(client: Client, local_server: LocalServer) -> None:
    stream = client.chat_completion_stream(ask(local_server, max_tokens=128))
    completion = stream.final_completion()
    timing = stream.timing
    assert timing.time_to_first_token_s is not None
    assert timing.duration_s is not None
    assert timing.chunks >= 100
    assert timing.time_to_first_token_s < timing.duration_s / 3
    assert completion.timing == timing


def slots_are_idle(server: LocalServer) -> bool:
    return not any(slot["is_processing"] for slot in json.loads(fetch(f"{origin(server)}/slots")))


def wait_until_idle(server: LocalServer) -> int:
    """Ask the server until no slot generates; how often it took."""
    for attempt in range(1, 2000):
        if slots_are_idle(server):
            return attempt
    raise AssertionError("the server still generates")


@pytest.mark.parametrize("how", ["break", "with", "close", "STOP"])
def test_stopping_makes_the_server_stop(client: Client, local_server: LocalServer, how: str) -> None:
    request = ask(local_server, "Count from one to one thousand.", max_tokens=1900)
    busy: list[bool] = []

    def on_chunk(chunk: ChatCompletionChunk) -> Any:
        if not chunk.text:
            return None
        busy.append(not slots_are_idle(local_server))
        return STOP

    if how == "STOP":
        client.chat_completion_stream(request, on_chunk)
    elif how == "break":
        for chunk in client.chat_completion_stream(request):
            if on_chunk(chunk) is STOP:
                break
    elif how == "with":
        with client.chat_completion_stream(request) as stream:
            for chunk in stream:
                if on_chunk(chunk) is STOP:
                    break
        assert stream.state == "stopped"
    else:
        stream = client.chat_completion_stream(request)
        for chunk in stream:
            if on_chunk(chunk) is STOP:
                stream.close()
    assert busy == [True]
    assert wait_until_idle(local_server) < 2000


def test_a_prompt_that_is_too_long_is_refused(client: Client, local_server: LocalServer) -> None:
    request = ask(local_server, "word " * 5000)
    with pytest.raises(BadRequestError, match=r"the server answered 400 Bad Request: .*context") as caught:
        client.chat_completion_stream(request, print)
    assert caught.value.type == "exceed_context_size_error"
    assert (caught.value.partial, caught.value.in_stream, caught.value.retryable) == (None, False, False)


def test_a_server_that_is_killed_leaves_what_came() -> None:
    with LocalServer(parallel=1) as server, Client(base_url=server.base_url, proxy="", max_retries=0) as client:
        stream = client.chat_completion_stream(ask(server, max_tokens=2000))
        texts: list[str] = []
        with pytest.raises((StreamTruncatedError, APIConnectionError)) as caught:
            for text in stream.iter_text():
                texts.append(text)
                if len(texts) == 5:
                    server.close()  # SIGKILL
        assert stream.state == "failed"
        assert caught.value.partial is not None
        assert caught.value.partial.text == "".join(texts)
        with pytest.raises(APIConnectionError, match=r"no connection to 127.0.0.1:\d+: Connection refused"):
            client.chat_completion(ask(server))
