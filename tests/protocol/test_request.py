"""firsttoken._protocol.request: what goes on the wire."""

import copy
import datetime as dt
import enum
import json
import math
import sys
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firsttoken._protocol.request import check_header_value, check_headers, encode_body, encode_head
from firsttoken.errors import ConfigurationError
from firsttoken.types import (
    Audio,
    ChatCompletion,
    ChatCompletionMessage,
    ChatCompletionRequest,
    Choice,
    FunctionCall,
    StreamOptions,
    ToolCall,
    assistant_message,
    chat_completion_request,
    function_tool,
    json_schema_format,
    user_message,
)
from tests.support.errors import message_of


class Markup(str):
    """A text as MarkupSafe, Beautiful Soup and NumPy have it."""

    __slots__ = ()


class Float(float):
    """A number as NumPy has it."""

    __slots__ = ()


class Array:
    """An array as NumPy has it, or an integer of its own."""

    def __init__(self, value: object) -> None:
        self._value = value

    def tolist(self) -> object:
        return self._value


class Colour(enum.StrEnum):
    RED = "red"


def sent(*messages: Any, stream: bool = False, **fields: Any) -> dict[str, Any]:
    request = chat_completion_request("m", list(messages) or "Hi", **fields)
    return json.loads(encode_body(request, stream=stream))


def test_the_fields_that_are_set_are_sent() -> None:
    assert sent() == {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
    assert sent(temperature=0, logprobs=False, stop=["a"], n=2, logit_bias={"1": -100}, tools=[]) == {
        "model": "m",
        "messages": [{"role": "user", "content": "Hi"}],
        "temperature": 0,
        "logprobs": False,
        "stop": ["a"],
        "n": 2,
        "logit_bias": {"1": -100},
        "tools": [],
    }


ANSWER = ChatCompletionMessage(
    tool_calls=[ToolCall(id="a", function=FunctionCall(name="f", arguments="{}"), extra={"index": 0, "null": None})],
    reasoning_content="hm",
    reasoning_details=[{"type": "reasoning.text", "signature": None}],
    audio=Audio(id="audio_1", data="AAAA", transcript="Hi"),
    extra={"own": {"x": None}},
)
CALL = {
    "id": "a",
    "type": "function",
    "function": {"name": "f", "arguments": "{}"},
    "index": 0,
    "null": None,
}


def test_a_message_of_a_completion_goes_back_as_it_came() -> None:
    assert sent(ANSWER)["messages"] == [
        {
            "role": "assistant",
            "content": None,
            "reasoning_content": "hm",
            "tool_calls": [CALL],
            "reasoning_details": [{"type": "reasoning.text", "signature": None}],
            "audio": {"id": "audio_1"},
            "own": {"x": None},
        }
    ]
    assert sent(ChatCompletionMessage(content="Hi"))["messages"] == [{"role": "assistant", "content": "Hi"}]


def test_parts_of_a_completion_go_back_inside_other_messages() -> None:
    messages = [
        assistant_message(tool_calls=ANSWER.tool_calls),
        {"role": "assistant", "content": "x", "tool_calls": ANSWER.tool_calls},
    ]
    assert sent(*messages)["messages"] == [
        {"role": "assistant", "tool_calls": [CALL]},
        {"role": "assistant", "content": "x", "tool_calls": [CALL]},
    ]


# Streaming


USAGE = {"include_usage": True}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (None, USAGE),
        (StreamOptions(), USAGE),
        ({}, USAGE),
        (StreamOptions(include_obfuscation=False), {"include_usage": True, "include_obfuscation": False}),
        ({"include_obfuscation": False, "own": 1}, {"include_usage": True, "include_obfuscation": False, "own": 1}),
        (StreamOptions(include_usage=False), None),
        ({"include_usage": False}, None),
        ({"include_usage": None}, None),
        (StreamOptions(include_usage=False, include_obfuscation=False), {"include_obfuscation": False}),
    ],
)
def test_usage_is_asked_for_unless_it_is_switched_off(options: Any, expected: Any) -> None:
    body = sent(stream=True, stream_options=options)
    assert body["stream"] is True
    assert body.get("stream_options") == expected
    whole = sent(stream_options=options)
    assert "stream" not in whole
    assert "stream_options" not in whole


@pytest.mark.parametrize("given", [None, False, True])
def test_the_call_decides_whether_it_streams(given: bool | None) -> None:
    assert sent(stream=True)["stream"] is True
    request = chat_completion_request("m", "Hi", stream=given)
    assert json.loads(encode_body(request, stream=True))["stream"] is True
    assert "stream" not in json.loads(encode_body(request, stream=False))


@pytest.mark.parametrize("given", [None, False, True])
def test_fields_of_the_servers_own_do_not_decide_whether_it_streams(given: bool | None) -> None:
    assert sent(stream=True, extra={"stream": given, "top_k": 5})["stream"] is True
    assert "stream" not in sent(extra={"stream": given, "top_k": 5})


def test_a_servers_own_fields_are_merged_and_win() -> None:
    body = sent(stream=True, temperature=1, extra={"top_k": 5, "temperature": 2, "stream_options": {"a": 1}})
    assert (body["top_k"], body["temperature"], body["stream_options"]) == (5, 2, {"a": 1})
    assert "extra" not in body


def test_no_fields_of_the_servers_own() -> None:
    extras: list[Any] = [{}, None]
    for extra in extras:
        assert sent(extra=extra) == {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


def test_the_request_is_left_as_it_is() -> None:
    request = chat_completion_request(
        "m", [ANSWER, {"role": "user", "content": "x"}], stream=False, stream_options={}, extra={"a": {"b": 1}}
    )
    before = copy.deepcopy(request)
    for stream in (True, False):
        encode_body(request, stream=stream)
    assert request == before


def test_messages_that_were_set_to_text_later() -> None:
    request = chat_completion_request("m", "one")
    request.messages = "two"
    assert json.loads(encode_body(request, stream=False))["messages"] == [{"role": "user", "content": "two"}]


@pytest.mark.parametrize("messages", [None, 5, b"Hi", {"role": "user"}, user_message("Hi"), iter("Hi")])
def test_what_are_no_messages(messages: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        encode_body(chat_completion_request("m", messages), stream=True)
    assert message_of(caught.value) == (
        f"messages must be a str or a sequence of messages, not {type(messages).__name__}\n"
        'hint: as in messages=[user_message("Hi")]'
    )


def test_messages_in_a_tuple() -> None:
    request = chat_completion_request("m", (user_message("a"), {"role": "user", "content": "b"}))
    assert len(json.loads(encode_body(request, stream=False))["messages"]) == 2


# What JSON can and can't say


def test_non_ascii_goes_as_utf_8_and_a_lone_surrogate_as_an_escape() -> None:
    assert '"é😀"'.encode() in encode_body(chat_completion_request("m", "é😀"), stream=False)
    body = encode_body(chat_completion_request("m", [user_message("a\ud83d"), ANSWER]), stream=True)
    assert rb'"a\ud83d"' in body
    assert json.loads(body)["messages"][0] == {"role": "user", "content": "a\ud83d"}
    assert json.loads(body)["messages"][1]["tool_calls"] == [CALL]


def _circle() -> list[Any]:
    circle: list[Any] = []
    circle.append(circle)
    return circle


@pytest.mark.parametrize("prompt", ["Hi", "\ud800"])
@pytest.mark.parametrize("value", [object(), {1, (2, 3j)}, {(1,): 2}, _circle()])
def test_what_is_not_json_is_refused(prompt: str, value: Any) -> None:
    request = ChatCompletionRequest(model="m", messages=prompt, extra={"x": value})
    with pytest.raises(ConfigurationError) as caught:
        encode_body(request, stream=True)
    assert str(caught.value).startswith("the request can't be encoded as JSON: ")
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"temperature": math.nan}, "temperature is nan"),
        ({"temperature": 1.5, "top_p": math.nan}, "top_p is nan"),
        ({"logit_bias": {"50256": -math.inf}}, "logit_bias.50256 is -inf"),
        ({"extra": {"x": [1, {"y": Float("nan")}]}}, "x[1].y is nan"),
        ({"tools": [{"x": b"y"}]}, "tools[0].x is bytes"),
        ({"messages": [{"role": "user", "content": b"Hi"}]}, "messages[0].content is bytes"),
        (
            {"messages": [user_message([{"type": "text", "text": object()}])]},
            "messages[0].content[0].text is of the type object",
        ),
        (
            {"messages": [{"role": "user", "content": _circle()}]},
            "something in it holds itself, or is nested too deeply",
        ),
    ],
)
def test_what_has_no_json_is_named(fields: dict[str, Any], reason: str) -> None:
    given: dict[str, Any] = {"model": "m", "messages": "Hi", **fields}
    request = ChatCompletionRequest(**given)
    with pytest.raises(ConfigurationError) as caught:
        encode_body(request, stream=True)
    assert str(caught.value) == f"the request can't be encoded as JSON: {reason}"


@dataclass
class City:
    name: str


class Options(pydantic.BaseModel):
    depth: int


def test_values_of_other_libraries_are_sent_as_what_they_are() -> None:
    content = [{"type": "text", "text": Markup("Hi")}]
    body = sent(
        {"role": Markup("user"), "content": Markup("Hi")},
        user_message(Markup("Ho")),
        MappingProxyType({"role": "user", "content": content}),
        temperature=Float(0.5),
        seed=Array(7),
        stop=(Markup("."), Colour.RED),
        logit_bias=MappingProxyType({50256: -100}),
        metadata={"at": dt.date(2026, 1, 2), "n": Decimal("1.5")},
        extra={"array": Array([1, 2]), "set": {3}, "model": Options(depth=1), "city": City("Paris")},
    )
    assert body == {
        "model": {"depth": 1},
        "messages": [
            {"role": "user", "content": "Hi"},
            {"role": "user", "content": "Ho"},
            {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
        ],
        "temperature": 0.5,
        "seed": 7,
        "stop": [".", "red"],
        "logit_bias": {"50256": -100},
        "metadata": {"at": "2026-01-02", "n": "1.5"},
        "array": [1, 2],
        "set": [3],
        "city": {"name": "Paris"},
    }


@pytest.mark.parametrize(
    ("messages", "text", "hint"),
    [
        (["Hi"], "messages[0] must be a message or a dict, not str", 'as in user_message("Hi")'),
        (
            [user_message("Hi"), ChatCompletion()],
            "messages[1] must be a message or a dict, not ChatCompletion",
            "completion.message is the message: messages.append(completion.message)",
        ),
        (
            [Choice()],
            "messages[0] must be a message or a dict, not Choice",
            "choice.message is the message: messages.append(choice.message)",
        ),
        (
            ChatCompletion(),
            "messages must be a str or a sequence of messages, not ChatCompletion",
            "completion.message is the message: messages.append(completion.message)",
        ),
        ([None], "messages[0] must be a message or a dict, not NoneType", 'as in messages=[user_message("Hi")]'),
    ],
)
def test_what_is_not_a_message_gets_a_hint(messages: Any, text: str, hint: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        encode_body(chat_completion_request("m", messages), stream=False)
    assert (str(caught.value), caught.value.hint) == (text, hint)


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ("json_object", 'response_format={"type": "json_object"}'),
        ("json", 'as in response_format={"type": "json_object"}, or a type whose JSON schema is sent'),
    ],
)
def test_a_response_format_that_is_text_gets_a_hint(given: Any, hint: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        sent(response_format=given)
    assert str(caught.value) == f"response_format must be a dict or a type, not the str {given!r}"
    assert caught.value.hint == hint


# Headers


def test_headers_get_lower_case_names() -> None:
    assert check_headers({"X-A": "1", "b!#$%&'*+-.^_`|~": ""}) == {"x-a": "1", "b!#$%&'*+-.^_`|~": ""}


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\nb", "é", "a\0", "(a)", "x\n"])
def test_what_is_no_name_of_a_header(name: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_headers({name: "v"})
    assert message_of(caught.value) == f"invalid header name: {name!r}"


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        (
            [("a", "b")],
            'headers must be a mapping of names to values, not list\nhint: as in {"x-name": "value"}',
        ),
        ({1: "b"}, "the name of a header must be a str, not int"),
        ({b"a": "b"}, "the name of a header must be a str, not bytes"),
        ({"a": None}, "the value of a must be a str, not NoneType"),
    ],
)
def test_what_are_no_headers(headers: Any, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_headers(headers)
    assert message_of(caught.value) == message


@pytest.mark.parametrize("name", ["Content-Length", "transfer-encoding", "Connection"])
def test_headers_of_the_framing_are_ours(name: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_headers({name: "v"})
    assert message_of(caught.value) == f"the header {name.lower()} is set by firsttoken and can't be overridden"


@pytest.mark.parametrize(
    "value", ["sk\r\nx: y", "sk\n", "\rsk", "sk\0", " sk", "sk ", "\tsk", "ské", "s\x7fk", "s\x0bk", "sk\x85"]
)
def test_a_value_that_would_break_the_head_is_refused_without_showing_it(value: str) -> None:
    for check in (lambda: check_header_value("api_key", value), lambda: check_headers({"API_key": value})):
        with pytest.raises(ConfigurationError) as caught:
            check()
        assert message_of(caught.value) == (
            "the value of api_key has a line break, leading or trailing whitespace, "
            "or a character outside printable ASCII\nhint: was it copied with a new line at its end?"
        )


def test_a_value_that_is_no_text() -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_header_value("x", 5)  # pyright: ignore[reportArgumentType]
    assert message_of(caught.value) == "the value of x must be a str, not int"
    assert check_header_value("x", "a\tb c") == "a\tb c"


def test_the_head() -> None:
    assert encode_head("/v1/x", "h:1", {"a": "b"}) == b"POST /v1/x HTTP/1.1\r\nhost: h:1\r\na: b\r\ncontent-length: "
    assert encode_head("/", "h", {"host": "own"}) == b"POST / HTTP/1.1\r\nhost: own\r\ncontent-length: "
    assert encode_head("/", "h", {"a": "b"}, "GET") == b"GET / HTTP/1.1\r\nhost: h\r\na: b\r\n\r\n"


def test_the_types_encode_in_full_without_us() -> None:
    assert json.loads(msgspec.json.encode(user_message("Hi"))) == {"role": "user", "content": "Hi"}


def get_weather(city: str) -> str:
    return city


def test_a_type_is_sent_as_its_schema_and_stays_in_the_request() -> None:
    request = chat_completion_request("m", "Hi", response_format=City)
    for _ in range(2):
        body = json.loads(encode_body(request, stream=True))
        assert body["response_format"] == json_schema_format(City)
    assert request.response_format is City
    assert sent(response_format={"type": "json_object"})["response_format"] == {"type": "json_object"}


def test_functions_are_sent_as_tools_also_when_they_were_set_later() -> None:
    assert sent(tools=[get_weather])["tools"] == [function_tool(get_weather)]
    request = chat_completion_request("m", "Hi")
    request.tools = [get_weather, {"type": "own"}]
    assert json.loads(encode_body(request, stream=False))["tools"] == [function_tool(get_weather), {"type": "own"}]
    assert request.tools == [get_weather, {"type": "own"}]


def test_a_type_that_can_not_be_asked_for_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="an answer must be a JSON object, not int"):
        sent(response_format=int)


PLAIN_VALUES = st.text(max_size=5) | st.integers() | st.floats(allow_nan=False, allow_infinity=False)


@given(
    st.lists(st.dictionaries(st.sampled_from(["role", "content", "name", "é"]), st.text(), max_size=3), max_size=3),
    st.dictionaries(st.sampled_from(["user", "seed", "temperature", "n", "store", "stop"]), PLAIN_VALUES, max_size=3),
    st.booleans(),
)
def test_what_has_only_text_is_encoded_at_once_to_the_same_bytes(
    messages: list[dict[str, object]], fields: dict[str, Any], stream: bool
) -> None:
    """A tuple of messages is encoded the long way."""
    at_once = chat_completion_request("m", messages, **fields)
    the_long_way = chat_completion_request("m", tuple(messages), **fields)
    assert encode_body(at_once, stream=stream) == encode_body(the_long_way, stream=stream)


def test_a_request_without_extra_fields_is_encoded_the_long_way_too() -> None:
    request = chat_completion_request("m", ({"role": "user", "content": "Hi"},))
    request.extra = None  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    assert json.loads(encode_body(request, stream=False)) == sent()


def test_an_invalid_message_of_text_alone() -> None:
    message: Any = {("a", "b"): "x"}
    with pytest.raises(ConfigurationError, match="the request can't be encoded as JSON"):
        encode_body(chat_completion_request("m", [message]), stream=True)


def test_messages_of_extra_are_sent_in_place_of_the_messages() -> None:
    assert sent(user_message("Hi"), extra={"messages": [{"role": "user", "content": "Ho"}]})["messages"] == [
        {"role": "user", "content": "Ho"}
    ]


def test_arrays_are_sent_where_pydantic_is_not_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "pydantic")
    assert sent(extra={"x": Array([1, 2])})["x"] == [1, 2]
