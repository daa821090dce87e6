"""The promises on a second real server: the LiteLLM proxy, in front of the local model."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from firsttoken import (
    ChatCompletion,
    ChatCompletionRequest,
    Client,
    chat_completion_request,
)
from firsttoken.errors import BadRequestError
from firsttoken.local import LocalServer
from tests.integration.test_local_model import slots_are_idle, wait_until_idle
from tests.support.clients import MakeClient
from tests.support.litellm import LiteLLM

# The first run installs LiteLLM, which may take longer than a test may, and has its own limit.
pytestmark = [
    pytest.mark.model,
    pytest.mark.litellm,
    pytest.mark.timeout(120, func_only=True),
    pytest.mark.xdist_group("litellm"),  # one proxy for all
]

STYLES: dict[str, Callable[[Client, ChatCompletionRequest], ChatCompletion]] = {
    "blocking": lambda client, request: client.chat_completion(request),
    "iterator": lambda client, request: client.chat_completion_stream(request).final_completion(),
    "callback": lambda client, request: client.chat_completion_stream(request, lambda _: None),
}


TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "maxLength": 20}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
CALL = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Rome"}'}}
# So small a model has to be shown how; it then does it again.
CONVERSATION: list[Any] = [
    {"role": "user", "content": "What is the weather in Rome?"},
    {"role": "assistant", "content": "", "tool_calls": [CALL]},
    {"role": "user", "content": "What is the weather in Paris?"},
]


@pytest.fixture
def client(make_client: MakeClient, litellm: LiteLLM) -> Client:
    return make_client(litellm.base_url, api_key=litellm.key, proxy="")


def question(text: str = "Why is the sky blue?", max_tokens: int = 24) -> ChatCompletionRequest:
    return chat_completion_request("local", text, seed=5, max_tokens=max_tokens)


@pytest.mark.parametrize("style", STYLES)
def test_the_answer_is_the_models_own(client: Client, local_server: LocalServer, style: str) -> None:
    with Client(base_url=local_server.base_url, api_key="", proxy="") as direct:
        expected = direct.chat_completion(question())
    answered = STYLES[style](client, question())
    assert answered.text == expected.text != ""
    assert answered.choices[0].finish_reason == expected.choices[0].finish_reason == "length"
    assert answered.choices[0].message.role == "assistant"
    assert answered.usage is not None
    assert (answered.usage.prompt_tokens, answered.usage.completion_tokens) == (36, 24)
    assert answered.response is not None
    assert answered.response.headers["x-litellm-model-name"] == "openai/local"


def test_the_text_comes_while_it_is_written(client: Client, local_server: LocalServer) -> None:
    stream = client.chat_completion_stream(question("Count to a thousand.", 1900))
    with stream:
        first = next(stream.iter_text())
        assert not slots_are_idle(local_server)
    assert stream.state == "stopped"
    assert stream.completion.text.startswith(first)
    assert stream.response is not None
    assert stream.response.headers["x-accel-buffering"] == "no"  # what nginx in front of it does not buffer for
    assert wait_until_idle(local_server) < 2000  # LiteLLM passes it on that nobody listens any more


@pytest.fixture
def weather() -> ChatCompletionRequest:
    """A question that the model answers with a call."""
    return chat_completion_request(
        "tools", CONVERSATION, tools=[TOOL], tool_choice="required", temperature=0, max_tokens=60
    )


@pytest.mark.parametrize("style", STYLES)
def test_tools(client: Client, weather: ChatCompletionRequest, style: str) -> None:
    (answer,) = STYLES[style](client, weather).choices
    assert answer.finish_reason == "tool_calls"
    assert not answer.message.content
    assert answer.message.tool_calls is not None
    (call,) = answer.message.tool_calls
    assert call.function is not None
    assert (call.type, call.function.name) == ("function", "get_weather")
    assert json.loads(call.function.arguments) == {"city": "Paris"}
    assert call.id


def test_a_call_comes_in_pieces(client: Client, weather: ChatCompletionRequest) -> None:
    calls = [
        call
        for chunk in client.chat_completion_stream(weather)
        for choice in chunk.choices
        for call in choice.delta.tool_calls or []
    ]
    pieces = [call.function.arguments or "" for call in calls if call.function is not None]
    assert len(pieces) > 3
    assert json.loads("".join(pieces)) == {"city": "Paris"}


@pytest.mark.parametrize("style", STYLES)
def test_a_model_that_nobody_knows(client: Client, style: str) -> None:
    with pytest.raises(BadRequestError, match="Invalid model name passed in model=nobodys") as caught:
        STYLES[style](client, chat_completion_request("nobodys", "Hi"))
    assert str(caught.value).startswith("the server answered 400 Bad Request: ")
    assert (caught.value.status, caught.value.in_stream, caught.value.partial) == (400, False, None)


@pytest.mark.parametrize("style", STYLES)
def test_a_prompt_that_is_too_long(client: Client, style: str) -> None:
    with pytest.raises(BadRequestError, match=r"request \(\d+ tokens\) exceeds the available context size"):
        STYLES[style](client, question("word " * 5000))
