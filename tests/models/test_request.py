"""firsttoken._models.request: a request and its fields."""

import inspect
import pickle
from collections.abc import Callable
from typing import Any, cast

import msgspec
import pytest

from firsttoken import Timeout
from firsttoken._models.request import RequestFields
from firsttoken.errors import ConfigurationError
from firsttoken.types import (
    ChatCompletionRequest,
    chat_completion_request,
    function_tool,
    user_message,
)
from tests.support.errors import message_of


def test_text_is_one_user_message() -> None:
    for request in (chat_completion_request("m", "Hi"), ChatCompletionRequest(model="m", messages="Hi")):
        assert request.messages == [user_message("Hi")]


def test_messages_stay_what_they_are() -> None:
    messages = [user_message("a"), {"role": "user", "content": "b"}]
    assert chat_completion_request("m", messages).messages is messages


def test_the_function_takes_every_field_of_the_struct() -> None:
    assert set(RequestFields.__annotations__) == set(ChatCompletionRequest.__struct_fields__) - {"model", "messages"}
    assert list(RequestFields.__annotations__)[:-1] == sorted(RequestFields.__annotations__.keys() - {"extra"})
    hints = inspect.get_annotations(ChatCompletionRequest)
    assert all(hints[name] == hint for name, hint in RequestFields.__annotations__.items())
    parameters = inspect.signature(chat_completion_request).parameters
    assert list(parameters) == ["model", "messages", *RequestFields.__annotations__, "unknown"]
    typed = {name: parameter.annotation for name, parameter in parameters.items() if name not in ("extra", "unknown")}
    assert all(hints[name] == hint for name, hint in typed.items())


def test_nothing_is_shared_between_requests() -> None:
    one, other = chat_completion_request("m", "Hi"), chat_completion_request("m", "Hi")
    one.extra["x"] = 1
    assert other.extra == {}


def test_a_field_that_does_not_exist_is_refused() -> None:
    for make in (chat_completion_request, ChatCompletionRequest):
        for name, hint in {
            "max_token": "did you mean max_tokens? a server's own field goes into extra: extra={'max_token': …}",
            "wibble": "a server's own field goes into extra: extra={'wibble': …}",
        }.items():
            fields: Any = {name: 3}
            with pytest.raises(TypeError) as caught:
                make(model="m", messages="Hi", **fields)
            assert isinstance(caught.value, ConfigurationError)
            assert str(caught.value) == f"ChatCompletionRequest has no field {name!r}"
            assert caught.value.hint == hint


@pytest.mark.parametrize(
    ("make", "text", "hint"),
    [
        (
            lambda: cast("Any", Timeout)(5),
            "Timeout takes keyword arguments only, not 5",
            "which of connect_s, first_chunk_s, ",
        ),
        (lambda: cast("Any", Timeout)(idle=5), "Timeout has no field 'idle'", "did you mean idle_s?"),
        (
            lambda: cast("Any", ChatCompletionRequest)("m", "Hi"),
            "ChatCompletionRequest takes keyword arguments only, not 'm'",
            "as in ChatCompletionRequest(model=…)",
        ),
    ],
)
def test_arguments_that_there_are_not_get_a_hint(make: Callable[[], object], text: str, hint: str) -> None:
    with pytest.raises(TypeError) as caught:
        make()
    assert isinstance(caught.value, ConfigurationError)
    assert str(caught.value) == text
    assert (caught.value.hint or "").startswith(hint)


def get_weather(city: str) -> str:
    """Get the weather of a city."""
    return city


def test_functions_become_tools_at_once() -> None:
    ready = {"type": "function", "function": {"name": "other"}}
    given = [get_weather, ready]
    request = chat_completion_request("m", "Hi", tools=given)
    assert request.tools == [function_tool(get_weather), ready]
    assert given == [get_weather, ready]
    assert pickle.loads(pickle.dumps(request)) == request
    assert "function get_weather" not in repr(request)
    assert msgspec.json.decode(msgspec.json.encode(request))["tools"] == request.tools


def test_tools_that_are_dicts_stay_what_they_are() -> None:
    tools = [{"type": "function"}]
    assert chat_completion_request("m", "Hi", tools=tools).tools is tools


@pytest.mark.parametrize("tools", [get_weather, "get_weather", 5])
def test_tools_must_be_a_sequence(tools: Any) -> None:
    with pytest.raises(ConfigurationError, match="tools must be a sequence of dicts and functions, not ") as caught:
        chat_completion_request("m", "Hi", tools=tools)
    assert message_of(caught.value).endswith("\nhint: as in tools=[get_weather]")


NAMES = ["connect_s", "first_chunk_s", "idle_s", "total_s"]


def test_the_defaults() -> None:
    assert [getattr(Timeout(), name) for name in NAMES] == [10, 600, 300, None]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [0.001, 5, 5.5, float("inf"), None])
def test_a_number_of_seconds_or_none(name: str, value: float | None) -> None:
    assert getattr(Timeout(**{name: value}), name) == value


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [0, -1, float("nan"), True, "5", (1, 2)])
def test_what_is_no_number_of_seconds(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Timeout(**{name: value})
    assert str(caught.value) == f"{name} must be a number of seconds above 0, or None for no deadline: {value!r}"


def test_it_is_a_value() -> None:
    assert Timeout(idle_s=5) == Timeout(idle_s=5)
    with pytest.raises(AttributeError, match="immutable"):
        Timeout().idle_s = 5  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("name", ["extra_body", "extra_headers", "extra_query"])
def test_what_the_official_client_calls_so_has_a_place_of_its_own(name: str) -> None:
    with pytest.raises(TypeError, match=f"has no field '{name}'") as caught:
        cast("Any", ChatCompletionRequest)(model="m", messages="Hi", **{name: {}})
    assert isinstance(caught.value, ConfigurationError)
    assert caught.value.hint is not None
    assert ("extra={…}" in caught.value.hint) is (name == "extra_body")
