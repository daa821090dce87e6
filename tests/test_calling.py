"""Calls without a request object, in each style of both clients; and what an editor completes."""

import asyncio
import functools
import inspect
import json
from typing import Any, cast

import jedi
import pytest

from firsttoken import AsyncClient, Client, Timeout, chat_completion_request, user_message
from firsttoken.errors import ConfigurationError
from firsttoken.testing import ScriptedServer
from firsttoken.types import ChatCompletionRequest
from tests.support.errors import message_of

BODY = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "temperature": 0.5}
STREAMED = BODY | {"stream": True, "stream_options": {"include_usage": True}}


def bodies(server: ScriptedServer) -> list[Any]:
    return [json.loads(request.body) for request in server.journal.requests]


def test_the_sync_client_takes_a_model_and_messages() -> None:
    texts: list[str] = []
    with ScriptedServer("Hello") as server, Client("k", server.base_url) as client:
        assert client.chat_completion("m", "Hi", temperature=0.5, timeout=Timeout(total_s=60)).text == "Hello"
        assert client.chat_completion(model="m", messages=[user_message("Hi")], temperature=0.5).text == "Hello"
        assert "".join(client.chat_completion_stream("m", "Hi", temperature=0.5).iter_text()) == "Hello"
        answer = client.chat_completion_stream("m", "Hi", on_chunk=lambda it: texts.append(it.text), temperature=0.5)
        assert answer.text == "".join(texts) == "Hello"
        request = chat_completion_request("m", "Hi", temperature=0.5)
        assert client.chat_completion_stream(request, on_chunk=lambda it: None).text == "Hello"
    assert bodies(server) == [BODY, BODY, STREAMED, STREAMED, STREAMED]


def test_and_so_does_the_asyncio_one() -> None:
    texts: list[str] = []

    async def on_chunk(chunk: Any) -> None:
        texts.append(chunk.text)

    async def main(base_url: str) -> None:
        async with AsyncClient("k", base_url) as client:
            assert (await client.chat_completion("m", "Hi", temperature=0.5)).text == "Hello"
            stream = client.chat_completion_stream(model="m", messages="Hi", temperature=0.5)
            assert "".join([text async for text in stream.iter_text()]) == "Hello"
            await client.chat_completion_stream("m", "Hi", on_chunk=on_chunk, temperature=0.5)

    with ScriptedServer("Hello") as server:
        asyncio.run(main(server.base_url))
    assert "".join(texts) == "Hello"
    assert bodies(server) == [BODY, STREAMED, STREAMED]


REQUEST = chat_completion_request("m", "Hi")


@pytest.mark.parametrize(
    ("args", "fields", "text", "hint"),
    [
        (
            (REQUEST,),
            {"temperature": 1},
            "temperature can't be combined with a request",
            "put it into the request",
        ),
        (
            ("m",),
            {},
            "no messages for the model 'm'",
            'as in client.chat_completion("gpt-5-mini", "Why is the sky blue?")',
        ),
        (
            (5,),
            {},
            "expected a ChatCompletionRequest or the name of a model, not int",
            'as in client.chat_completion("gpt-5-mini", "Why is the sky blue?")',
        ),
        (
            ("m", "Hi"),
            {"temperatur": 1},
            "ChatCompletionRequest has no field 'temperatur'",
            "did you mean temperature? a server's own field goes into extra: extra={'temperatur': …}",
        ),
    ],
)
def test_what_can_not_be_called_gets_a_hint(args: Any, fields: Any, text: str, hint: str) -> None:
    client: Any = Client("k", "http://127.0.0.1:9/v1")
    other: Any = AsyncClient("k", "http://127.0.0.1:9/v1")
    for call in (
        lambda: client.chat_completion(*args, **fields),
        lambda: client.chat_completion_stream(*args, **fields),
        lambda: other.chat_completion_stream(*args, **fields),
        lambda: asyncio.run(other.chat_completion(*args, **fields)),
    ):
        with pytest.raises(ConfigurationError) as caught:
            call()
        assert (str(caught.value), caught.value.hint) == (text, hint)


async def later(chunk: object) -> None: ...


class Later:
    async def __call__(self, chunk: object) -> None: ...


@pytest.mark.parametrize("on_chunk", [later, functools.partial(later), Later()])
def test_an_async_callback_of_the_sync_client_is_refused_before_anything_is_sent(on_chunk: Any) -> None:
    with ScriptedServer("Hello") as server, Client("k", server.base_url) as client:
        with pytest.raises(ConfigurationError) as caught:
            client.chat_completion_stream(REQUEST, on_chunk)
        assert server.journal.requests == []
    assert str(caught.value) == "on_chunk is an async function, which the sync client can't await"
    assert caught.value.hint == "use AsyncClient, or pass a plain function"


def test_two_callbacks_are_refused() -> None:
    request = chat_completion_request("m", "Hi")
    with Client(api_key="x", base_url="http://x/v1") as client, pytest.raises(ConfigurationError) as caught:
        cast("Any", client).chat_completion_stream(request, print, on_chunk=print)
    assert message_of(caught.value) == (
        "on_chunk was given twice\nhint: pass it as the second argument or as on_chunk="
    )


# Editors


@pytest.mark.xdist_group("editor")  # which reads the package once
@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("chat_completion_request(temp", {"temperature="}),
        ("chat_completion_request('m', 'Hi', max_", {"max_tokens=", "max_completion_tokens="}),
        ("Client().chat_completion('m', 'Hi', max_", {"max_tokens=", "max_completion_tokens=", "max_retries="}),
        ("Client().chat_completion_stream('m', 'Hi', on_", {"on_chunk="}),
        ("AsyncClient().chat_completion_stream('m', 'Hi', tem", {"temperature="}),
        ("Client().chat_completion_stream(chat_completion_request('m', 'Hi')).iter_", {"iter_text", "iter_events"}),
        ("Client().chat_completion(chat_completion_request('m', 'Hi')).finish", {"finish_reason"}),
        ("Timeout(idle", {"idle_s="}),
    ],
)
def test_an_editor_completes_it(
    code: str, names: set[str], tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its cache in the home folder can't be written by two processes at once.
    monkeypatch.setattr(jedi.settings, "cache_directory", str(tmp_path_factory.getbasetemp() / "jedi"))
    script: Any = jedi.Script(f"from firsttoken import *\n{code}")
    assert names <= {found.name for found in script.complete()}


@pytest.mark.parametrize("method", [Client.chat_completion, AsyncClient.chat_completion])
def test_the_methods_take_every_field(method: Any) -> None:
    import typing

    signatures = [inspect.signature(overload) for overload in typing.get_overloads(method)]
    fields = set(ChatCompletionRequest.__struct_fields__)
    assert any(fields <= set(signature.parameters) for signature in signatures)
