"""firsttoken.guard under openai's client and under httpx: every fault, and what passes untouched."""

import asyncio
import contextlib
import gc
import json
import logging
import pickle
import threading
import warnings
from collections.abc import Callable
from typing import Any

import httpx2
import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from firsttoken import Timeout
from firsttoken.errors import ConfigurationError, StreamTruncatedError
from firsttoken.guard import (
    AsyncGuardTransport,
    GuardTransport,
    StreamBrokenError,
    StreamLostError,
    StreamTimeoutError,
    partial_of,
)
from firsttoken.testing import FAULTS, Fault, Gate, ScriptedServer, close, done, event, finish, reset, role, stall

TIMEOUT = Timeout(first_chunk_s=1.0, idle_s=1.0, total_s=6.0)
MESSAGES: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Why is the sky blue?"}]
CUT = [role(), "It scat", close()]
WHOLE = [role(), "It scat", "ters.", finish(), done()]


def sync_client(server: ScriptedServer, *, max_retries: int = 0, **guard: Any) -> openai.OpenAI:
    settings: dict[str, Any] = {"timeout": TIMEOUT} | guard
    transport = GuardTransport(**settings)
    http_client = openai.DefaultHttpx2Client(transport=transport)
    return openai.OpenAI(
        base_url=server.base_url, api_key=server.api_key, max_retries=max_retries, http_client=http_client
    )


def async_client(server: ScriptedServer, *, max_retries: int = 0, **guard: Any) -> openai.AsyncOpenAI:
    settings: dict[str, Any] = {"timeout": TIMEOUT} | guard
    transport = AsyncGuardTransport(**settings)
    http_client = openai.DefaultAsyncHttpx2Client(transport=transport)
    return openai.AsyncOpenAI(
        base_url=server.base_url, api_key=server.api_key, max_retries=max_retries, http_client=http_client
    )


Read = Callable[..., tuple[str, BaseException | None]]
"""Reads a streamed answer through a client with so many retries; gives its text, and what was raised."""


def text_of(chunk: Any) -> str:
    """The text of choice 0; openai's types don't say that a server's nulls come through as they are."""
    choices = [choice for choice in chunk.choices or () if not choice.index and choice.delta is not None]
    return "".join(choice.delta.content or "" for choice in choices)


def read_sync(
    server: ScriptedServer, *, max_retries: int = 0, n: int | None = None
) -> tuple[str, BaseException | None]:
    texts: list[str] = []
    with sync_client(server, max_retries=max_retries) as client:
        try:
            options: dict[str, Any] = {} if n is None else {"n": n}
            for chunk in client.chat.completions.create(model="m", messages=MESSAGES, stream=True, **options):
                texts.append(text_of(chunk))
        except openai.OpenAIError as error:
            return "".join(texts), error
    return "".join(texts), None


def read_async(
    server: ScriptedServer, *, max_retries: int = 0, n: int | None = None
) -> tuple[str, BaseException | None]:
    async def read() -> tuple[str, BaseException | None]:
        texts: list[str] = []
        async with async_client(server, max_retries=max_retries) as client:
            try:
                options: dict[str, Any] = {} if n is None else {"n": n}
                stream = await client.chat.completions.create(model="m", messages=MESSAGES, stream=True, **options)
                async for chunk in stream:
                    texts.append(text_of(chunk))
            except openai.OpenAIError as error:
                return "".join(texts), error
        return "".join(texts), None

    return asyncio.run(read())


both = pytest.mark.parametrize("read", [read_sync, read_async], ids=["sync", "asyncio"])


@both
@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_each_fault_is_what_it_is(fault: Fault, read: Read) -> None:
    with ScriptedServer(fault) as server:
        text, error = read(server, max_retries=1, n=2 if fault.name == "one-choice-cut" else None)
        requests = len(server.journal.entries)
    assert (error is None) == fault.is_complete, error
    assert text == fault.text
    partial = partial_of(error) if error is not None else None
    assert (partial.text if partial is not None else "") == ("" if fault.is_complete else fault.text)
    if not fault.name.startswith("redirect"):  # which openai follows
        assert requests <= (2 if fault.is_retried else 1)  # one that was never read complete is in no journal
    if fault.text or fault.is_complete:
        assert requests == 1


@both
def test_ten_calls_use_one_connection(read: Read) -> None:
    with ScriptedServer(WHOLE) as server:
        if read is read_sync:
            with sync_client(server) as client:
                for _ in range(10):
                    list(client.chat.completions.create(model="m", messages=MESSAGES, stream=True))
        else:

            async def ten() -> None:
                async with async_client(server) as client:
                    for _ in range(10):
                        async for _ in await client.chat.completions.create(model="m", messages=MESSAGES, stream=True):
                            pass

            asyncio.run(ten())
        assert {entry.request.connection for entry in server.journal.entries} == {1}


def test_close_is_seen_by_the_server_and_wakes_a_reader() -> None:
    with ScriptedServer([role(), "Hel", stall()]) as server, sync_client(server, timeout=Timeout()) as client:
        stream = client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
        got: list[str | None] = []
        has_read = threading.Event()

        def read() -> None:
            for chunk in stream:
                got.append(chunk.choices[0].delta.content)
                has_read.set()

        reader = threading.Thread(target=read)
        reader.start()
        assert has_read.wait(10)
        stream.close()
        reader.join(10)
        assert not reader.is_alive()
        assert server.journal.wait_for_disconnect()


def test_leaving_the_with_closes_the_connection() -> None:
    gate = Gate()
    with ScriptedServer([role(), "Hel", gate, finish(), done()]) as server, sync_client(server) as client:
        with client.chat.completions.create(model="m", messages=MESSAGES, stream=True) as stream:
            for chunk in stream:
                if chunk.choices[0].delta.content:
                    break
        assert server.journal.wait_for_disconnect()


@both
def test_the_partial_answer_is_found_from_what_openai_raises(read: Read) -> None:
    with ScriptedServer(CUT) as server:
        text, error = read(server)
    assert text == "It scat"
    assert error is not None
    cause = error.__cause__ if isinstance(error, openai.APIConnectionError) else error
    assert isinstance(cause, StreamBrokenError | openai.OpenAIError)
    partial = partial_of(error)
    assert partial is not None
    assert (partial.text, partial.complete) == ("It scat", False)


def test_no_partial_where_there_was_no_call() -> None:
    assert partial_of(ValueError("x")) is None


@both
def test_an_error_of_the_server_in_mid_stream(read: Read) -> None:
    body = {"error": {"message": "the engine died", "type": "server_error", "code": "engine"}}
    with ScriptedServer([role(), "It scat", event(body)]) as server:
        text, error = read(server, max_retries=2)
        assert len(server.journal.entries) == 1
    assert text == "It scat"
    assert isinstance(error, openai.APIError)
    assert (error.message, error.code) == ("the engine died", "engine")


FLAVOURS = ["httpx2", "httpx"]


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize(
    ("script", "kind", "name"),
    [
        (CUT, StreamBrokenError, "RemoteProtocolError"),
        ([role(), "It scat", reset()], StreamLostError, "ReadError"),
        ([role(), "It scat", stall()], StreamTimeoutError, "ReadTimeout"),
    ],
    ids=["cut", "reset", "stalled"],
)
def test_what_is_raised_is_of_the_flavour_and_pickles(
    script: list[Any], kind: type[Exception], name: str, flavour: str
) -> None:
    package = pytest.importorskip(flavour)
    body = {"model": "m", "messages": MESSAGES, "stream": True}
    with ScriptedServer(script) as server, package.Client(transport=GuardTransport(timeout=TIMEOUT)) as client:
        url = f"{server.base_url}/chat/completions"
        with pytest.raises(kind) as caught, client.stream("POST", url, json=body) as response:
            response.read()
    assert isinstance(caught.value, getattr(package, name))
    for error in (caught.value, pickle.loads(pickle.dumps(caught.value))):
        assert isinstance(error, kind)
        assert isinstance(error, getattr(package, name))
        assert error.partial.text == "It scat"  # type: ignore[attr-defined]
        assert str(error) == str(caught.value)


def test_what_can_be_tried_again_is_raised_before_the_response() -> None:
    with ScriptedServer([role()]) as server:
        url = f"{server.base_url}/chat/completions"
    with httpx2.Client(transport=GuardTransport(timeout=TIMEOUT)) as client, pytest.raises(StreamLostError) as caught:
        client.post(url, json={"model": "m", "messages": MESSAGES, "stream": True})
    assert isinstance(caught.value, httpx2.ReadError)
    assert caught.value.partial is None


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_everything_else_passes_as_it_is(flavour: str) -> None:
    package = pytest.importorskip(flavour)
    with ScriptedServer(WHOLE) as server, package.Client(transport=GuardTransport()) as client:
        url = f"{server.base_url}/chat/completions"
        answer = client.post(url, json={"model": "m", "messages": MESSAGES})
        assert answer.json()["choices"][0]["message"]["content"] == "It scatters."
        assert client.get(f"{server.base_url}/models").status_code == 404
        raw = client.post(f"{server.base_url}/embeddings", json={"stream": True, "input": "x"})
        assert raw.text.startswith("data: ")
        assert client.post(url, content=b"not json").status_code == 200
        assert {entry.request.headers["user-agent"] for entry in server.journal.entries} == {
            f"python-{flavour}/{package.__version__}"
        }


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("is_cut", [False, True], ids=["complete", "cut"])
def test_a_given_transport_is_wrapped(flavour: str, is_cut: bool) -> None:
    package = pytest.importorskip(flavour)
    chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    deltas: list[dict[str, Any]] = [
        {"index": 0, "delta": {"role": "assistant", "content": "It scat"}, "finish_reason": None},
        {"index": 0, "delta": {}, "finish_reason": "stop"},
    ]
    events = [f"data: {json.dumps(chunk | {'choices': [delta]})}\n\n" for delta in deltas[: 1 if is_cut else 2]]

    def answer(request: Any) -> Any:
        assert request.headers["x-team"] == "docs"
        return package.Response(200, headers={"content-type": "text/event-stream"}, content="".join(events).encode())

    transport = GuardTransport(package.MockTransport(answer), timeout=TIMEOUT)
    body = {"model": "m", "messages": MESSAGES, "stream": True}
    expected = pytest.raises(StreamBrokenError) if is_cut else contextlib.nullcontext()
    with package.Client(transport=transport) as client, expected as caught:
        answered = client.post("http://llm.test/v1/chat/completions", json=body, headers={"x-team": "docs"})
        assert answered.text == "".join(events) + "data: [DONE]\n\n"
    if caught is not None:
        assert isinstance(caught.value.failure, StreamTruncatedError)
        partial = partial_of(caught.value)
        assert partial is not None
        assert partial.text == "It scat"


def test_the_clients_own_limits_hold_where_they_are_shorter() -> None:
    with ScriptedServer([role(), "It scat", stall()]) as server, sync_client(server, timeout=Timeout()) as client:
        stream = client.chat.completions.create(model="m", messages=MESSAGES, stream=True, timeout=0.2)
        with pytest.raises(openai.APIConnectionError) as caught:
            list(stream)
    assert isinstance(caught.value.__cause__, StreamTimeoutError)


def test_a_guard_that_is_dropped_leaves_no_warning() -> None:
    with warnings.catch_warnings(), ScriptedServer(WHOLE) as server:
        warnings.simplefilter("error")
        client = sync_client(server)
        list(client.chat.completions.create(model="m", messages=MESSAGES, stream=True))
        client.close()
        del client
        gc.collect()


def test_twenty_threads_share_a_guard() -> None:
    texts: list[str] = []
    with ScriptedServer(WHOLE) as server, sync_client(server) as client:

        def read() -> None:
            for _ in range(5):
                stream = client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
                texts.append("".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices))

        threads = [threading.Thread(target=read) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert texts == ["It scatters."] * 100


def test_a_wrong_timeout_is_refused_at_once() -> None:
    with pytest.raises(ConfigurationError):
        GuardTransport(timeout=5)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("given", [False, True])
def test_all_requests_go_through_the_proxy(
    flavour: str, streamed: bool, given: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = pytest.importorskip(flavour)
    body = {"model": "m", "messages": MESSAGES, "stream": streamed}
    with ScriptedServer(WHOLE) as proxy:
        address = proxy.base_url.removesuffix("/v1")
        if not given:
            monkeypatch.setenv("HTTP_PROXY", address)
        transport = GuardTransport(proxy=address if given else None, timeout=TIMEOUT)
        with package.Client(transport=transport) as client:
            answer = client.post("http://llm.test/v1/chat/completions", json=body, headers={"host": "llm.example"})
        assert "It scat" in answer.text
        (entry,) = proxy.journal.entries
        assert entry.request.headers["host"] == "llm.example"


def test_a_host_that_is_in_no_proxy_is_asked_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with ScriptedServer(WHOLE) as server, httpx2.Client(transport=GuardTransport(timeout=TIMEOUT)) as client:
        for streamed in (False, True):
            body = {"model": "m", "messages": MESSAGES, "stream": streamed}
            assert "It scat" in client.post(f"{server.base_url}/chat/completions", json=body).text


def test_a_guarded_call_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "firsttoken")
    with ScriptedServer(WHOLE) as server, sync_client(server) as client:
        list(client.chat.completions.create(model="m", messages=MESSAGES, stream=True))
    logged = [record for record in caplog.records if record.name.startswith("firsttoken")]
    assert [record.levelname for record in logged] == ["DEBUG"] * 3


def test_the_longest_wait_of_the_environment_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIRSTTOKEN_MAX_WAIT_S", "0.1")
    with ScriptedServer([role(), "It scat", stall()]) as server, sync_client(server) as client:
        stream = client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
        with pytest.raises(openai.APIConnectionError) as caught:
            list(stream)
    assert isinstance(caught.value.__cause__, StreamTimeoutError)
