"""To dicts and JSON and back: chunks, completions, every part of them, and messages."""

import json
import typing
from typing import Any, cast

import msgspec
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from firsttoken import chat_completion_request, types
from firsttoken._models.base import MAX_INDEX, ResponseObject
from firsttoken._models.tables import without_reasoning
from firsttoken._protocol.accumulator import with_total
from firsttoken._protocol.decode import decode_completion
from firsttoken._protocol.request import encode_body
from firsttoken.errors import ConfigurationError, ResponseFormatError
from firsttoken.events import TextEvent, ToolCallFinishedEvent
from firsttoken.sansio import StreamParser
from firsttoken.types import (
    AssistantMessage,
    Audio,
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionMessage,
    Choice,
    CompletionUsage,
    FunctionCall,
    Message,
    Timing,
    ToolCall,
    UserMessage,
    assistant_message,
    developer_message,
    message_from_dict,
    system_message,
    tool_message,
    user_message,
)
from tests.support.server import DONE, chunk, event
from tests.support.strategies import completions, json_values, may_be_parts_of_one

PARTS = [
    found
    for name in types.__all__
    if isinstance(found := getattr(types, name), type) and issubclass(found, ResponseObject)
]
BODY: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1700000000,
    "model": "m",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": None, "refusal": None, "annotations": [], "x": {"y": None}},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3, "queue_time": 0.25},
    "raw": 1,
    "extra": None,
}


# Completions and chunks


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(completions())
def test_a_completion_comes_back_as_it_came(body: dict[str, Any]) -> None:
    assume(not may_be_parts_of_one(body))
    completion = decode_completion(json.dumps(body).encode())
    assert completion.to_dict() == body
    for twin in (ChatCompletion.from_dict(completion.to_dict()), ChatCompletion.from_json(completion.to_json())):
        assert twin == completion
        assert twin.to_dict() == body
    completion.raw = b""  # as an accumulated one has it
    assert ChatCompletion.from_dict(completion.to_dict()) == completion


def test_nulls_and_unknown_fields_stay_where_they_were_and_none_are_added() -> None:
    data = json.dumps(BODY).encode()
    completion = decode_completion(data)
    assert (completion.to_dict(), completion.to_json()) == (BODY, data)
    completion.choices[0].message.content = "changed"
    changed = completion.to_dict()
    assert changed["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "changed", "annotations": [], "x": {"y": None}},
            "finish_reason": "stop",
        }
    ]
    assert (changed["usage"], changed["raw"], changed["extra"]) == (BODY["usage"], 1, None)
    assert b"firsttoken" not in completion.to_json()


def test_a_chunk_comes_back_as_the_bytes_that_came() -> None:
    parser = StreamParser()
    sent = [chunk("Hi", raw=1, provider={"x": None}), chunk(None, finish_reason="stop", usage={"total_tokens": 1})]
    parser.receive_data(b"".join(map(event, sent)) + DONE)
    for expected in sent:
        found = parser.next_chunk()
        assert found is not None
        assert found.to_dict() == expected
        assert found.to_json() == found.raw
        assert ChatCompletionChunk.from_dict(found.to_dict()) == found == ChatCompletionChunk.from_json(found.raw)
        assert "firsttoken" not in json.dumps(found.to_dict())
    completion = parser.completion
    assert ChatCompletion.from_json(completion.to_json()) == completion
    assert completion.to_dict()["provider"] == {"x": None}


def test_a_completion_is_made_of_what_another_client_saved() -> None:
    assert ChatCompletion.from_json('{"choices":[{"message":{"content":"Hi"}}]}').text == "Hi"
    assert ChatCompletion.from_dict({"created": None, "choices": [{"text": "Hi"}]}).text == "Hi"
    assert ChatCompletion.from_dict({}) == ChatCompletion()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            "{",
            "the server sent data that is not JSON (",
        ),
        ("[]", "a ChatCompletion must be a JSON object, not list"),
        ('{"choices": 3}', "choices must be a list: '{\"choices\":3}'"),
        ('{"choices": [{"message": 3}]}', 'message must be an object: \'{"choices":[{"message":3}]}\''),
    ],
)
def test_what_is_not_a_completion_is_refused(data: str, message: str) -> None:
    with pytest.raises(ResponseFormatError) as caught:
        ChatCompletion.from_json(data)
    assert str(caught.value).startswith(message)


# All models, with any fields


def structs(kind: type[Any]) -> st.SearchStrategy[Any]:
    """Any value of a type, with fields that it does not know."""
    fields = {
        field.name: values(field.type)
        for field in msgspec.structs.fields(kind)
        if not field.encode_name.startswith("$") and field.name not in ("finish_reason", "object")
    }
    known = st.fixed_dictionaries({}, optional=fields)
    unknown = st.dictionaries(st.sampled_from(["x_server", "raw", "größe"]), json_values, max_size=2)
    made = st.tuples(known, unknown).map(lambda drawn: kind(**drawn[0], extra=drawn[1]))
    return made.map(with_total) if kind is CompletionUsage else made  # a missing total is filled in on reading


def values(annotation: Any) -> st.SearchStrategy[Any]:
    inner: tuple[Any, ...] = typing.get_args(annotation)
    origin = typing.get_origin(annotation)
    if annotation in PARTS:
        return st.deferred(lambda: structs(annotation))
    if origin is typing.Annotated:
        return st.integers(0, MAX_INDEX) if inner[0] is int else values(inner[0])
    if origin is list:
        return st.lists(values(inner[0]), max_size=2)
    if origin is dict:
        return st.dictionaries(st.text(max_size=3), json_values, max_size=1)
    if annotation is object:
        return json_values.filter(lambda value: value is not None)
    if inner:
        return st.one_of([values(part) for part in inner if part is not type(None)])
    if annotation is float:
        return st.floats(allow_nan=False, allow_infinity=False)
    plain: st.SearchStrategy[Any] = st.from_type(annotation)
    return plain


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
@pytest.mark.parametrize("kind", PARTS, ids=lambda kind: kind.__name__)
def test_every_model_comes_back_equal(kind: type[ResponseObject], data: st.DataObject) -> None:
    value = data.draw(structs(kind))
    plain = value.to_dict()
    assert kind.from_dict(plain) == value
    assert kind.from_json(value.to_json()) == value
    assert kind.from_dict(plain).to_dict() == plain


# Messages

CALL = ToolCall(id="a", function=FunctionCall(name="f", arguments="{}"), extra={"index": 0})
ANSWER = ChatCompletionMessage(content="Hi", reasoning_content="hm", tool_calls=[CALL], extra={"own": {"x": None}})
IMAGE = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]
MESSAGES: list[Message] = [
    developer_message("d"),
    system_message("s", name="n", cache_control={"type": "ephemeral"}),
    user_message(IMAGE),
    assistant_message("a", reasoning_content="hm", prefix=True, name="n"),
    assistant_message(tool_calls=[CALL, {"id": "b"}]),
    assistant_message(audio={"id": "audio_1", "data": "AA=="}, function_call={"name": "f"}),
    tool_message({"n": 1}, "a", name="f"),
    ANSWER,
    ChatCompletionMessage(tool_calls=[CALL], audio=Audio(id="audio_1", data="AA==", transcript="Hi")),
]


def sent(*messages: Any) -> Any:
    return json.loads(encode_body(chat_completion_request("m", messages), stream=False))["messages"]


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_comes_back_equal_and_is_sent_as_before(message: Message) -> None:
    saved = message.to_dict()
    assert type(message).from_dict(saved) == message == type(message).from_json(message.to_json())
    assert type(message).from_dict(saved).to_dict() == saved == json.loads(message.to_json())
    assert saved["role"] == message.role
    assert sent(message) == sent(message_from_dict(saved)) == sent(saved)
    without_audio = {name: value for name, value in saved.items() if name != "audio"}
    assert {name: value for name, value in sent(message)[0].items() if name != "audio"} == without_audio


def test_what_is_sent_for_a_message_that_was_saved_is_what_was_saved() -> None:
    saved = {"role": "assistant", "content": None, "tool_calls": [{"id": "a"}], "thinking": [{"x": None}], "name": None}
    message = message_from_dict(saved)
    assert isinstance(message, AssistantMessage)
    assert sent(message) == [saved] == [message.to_dict()]


def test_reasoning_can_be_left_out_for_a_server_that_refuses_it() -> None:
    fields = {
        "role": "assistant",
        "content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "Hi"}],
        "reasoning": "hm",
        "reasoning_details": [{"type": "reasoning.text", "text": "hm"}],
        "thinking_blocks": [{"thinking": "hm", "signature": "x"}],
        "prefix": True,
    }
    for message in (message_from_dict(fields), ChatCompletionMessage.from_dict(fields)):
        assert isinstance(message, AssistantMessage | ChatCompletionMessage)
        assert message.reasoning_text == "hm"
        assert message.without_reasoning().to_dict() == {"role": "assistant", "content": "Hi", "prefix": True}
        assert message.to_dict() == fields


def test_of_an_audio_only_the_id_is_sent_back() -> None:
    assert [message["audio"] for message in sent(*MESSAGES) if "audio" in message] == [{"id": "audio_1"}] * 2


@pytest.mark.parametrize(
    ("message", "text", "hint"),
    [
        ({"role": "robot"}, "unknown role of a message: 'robot'", "the roles are developer, system, user, assistant, "),
        ({}, "unknown role of a message: None", "the roles are developer, system, user, assistant, "),
        ({"role": "tool", "content": ""}, "invalid tool message: Missing required argument 'tool_call_id'", ""),
        ({"role": "user", "content": 5}, "invalid user message: the content of a user message must be text or a ", ""),
        ([], "a Message must be a JSON object, not list", ""),
    ],
)
def test_what_is_not_a_message_is_refused(message: Any, text: str, hint: str) -> None:
    with pytest.raises(ResponseFormatError) as caught:
        message_from_dict(message)
    assert str(caught.value).startswith(text)
    assert (caught.value.hint or "").startswith(hint)


def test_a_message_of_another_role_is_refused() -> None:
    with pytest.raises(ResponseFormatError) as caught:
        UserMessage.from_dict({"role": "assistant", "content": "x"})
    assert str(caught.value) == "expected a message with the role 'user', not 'assistant'"
    assert caught.value.hint == "firsttoken.types.message_from_dict reads a message of any role"


# Shown


def test_a_repr_shows_what_is_set_and_rounds_floats() -> None:
    completion = decode_completion(json.dumps(BODY).encode())
    assert repr(completion) == (
        "ChatCompletion(id='chatcmpl-1', created=1700000000, model='m', "
        "choices=[Choice(message=ChatCompletionMessage(extra={'x': {'y': None}}), finish_reason='stop')], "
        "usage=CompletionUsage(completion_tokens=2, prompt_tokens=1, total_tokens=3, extra={'queue_time': 0.25}), "
        "extra={'raw': 1, 'extra': None})"
    )
    assert repr(ChatCompletionChunk.from_json(b'{"choices":[]}')) == "ChatCompletionChunk()"
    assert repr(Timing(time_to_headers_s=0.0012345678, duration_s=12.3456, chunks=3)) == (
        "Timing(time_to_headers_s=0.00123, duration_s=12.3, chunks=3)"
    )
    assert repr(user_message("Hi")) == "UserMessage(content='Hi')"
    assert repr(chat_completion_request("m", "Hi", seed=1)) == (
        "ChatCompletionRequest(model='m', messages=[UserMessage(content='Hi')], seed=1)"
    )
    shown = cast("Any", user_message("Hi")).__rich_repr__()
    assert list(shown) == [("content", "Hi")]


def test_jupyter_shows_the_text_and_the_calls() -> None:
    completion = ChatCompletion(choices=[Choice(message=ANSWER)])
    assert completion._repr_markdown_() == "Hi\n\n```python\nf({})\n```"
    assert ChatCompletion()._repr_markdown_() == ""
    assert ChatCompletionMessage(refusal="No.")._repr_markdown_() == "No."


def test_message_and_finish_reason_are_those_of_choice_0() -> None:
    completion = ChatCompletion(choices=[Choice(index=1), Choice(message=ANSWER, finish_reason="stop")])
    assert completion.message is ANSWER
    assert completion.finish_reason == "stop"
    assert (ChatCompletion().message, ChatCompletion().finish_reason) == (ChatCompletionMessage(), None)


def test_the_json_of_events_has_no_private_names() -> None:
    made = ToolCallFinishedEvent(choice_index=0, call_index=0, id="a", name="f", call=CALL)
    assert made.to_dict() == {
        "type": "tool_call_finished",
        "choice_index": 0,
        "call_index": 0,
        "id": "a",
        "name": "f",
        "call": {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}, "index": 0},
    }
    assert TextEvent(choice_index=0, delta="é").to_json() == '{"type":"text","choice_index":0,"delta":"é"}'.encode()


# What a message may hold


@pytest.mark.parametrize(
    ("content", "text", "hint"),
    [
        (b"Hi", "not bytes", "decode text (data.decode()); image_part, audio_part and file_part take other data"),
        (None, "not NoneType", ""),
        ({"type": "text", "text": "Hi"}, "not dict", "put a single part into a list: [part]"),
        (ChatCompletion(), "not ChatCompletion", "completion.text is the text; completion.message goes into messages"),
    ],
)
def test_content_of_another_type_is_refused(content: Any, text: str, hint: str) -> None:
    for make in (user_message, system_message, developer_message):
        with pytest.raises(ConfigurationError) as caught:
            make(content)
        assert str(caught.value).startswith("the content of a ")
        assert str(caught.value).endswith(f" message must be text or a list of content parts, {text}")
        assert (caught.value.hint or "").startswith(hint)


class Point(msgspec.Struct):
    x: int


@pytest.mark.parametrize(
    ("value", "content"),
    [
        ("text", "text"),
        (IMAGE, IMAGE),
        ({"é": [1, None]}, '{"é": [1, null]}'),
        ([], "[]"),
        ([{"type": "dog"}], '[{"type": "dog"}]'),
        (None, "null"),
        (3, "3"),
        (True, "true"),
        (float("nan"), "NaN"),
        ((1, 2), "[1, 2]"),
        (Point(1), '{"x": 1}'),
    ],
)
def test_the_result_of_a_tool_is_sent_as_json_text(value: object, content: object) -> None:
    assert tool_message(value, "a").content == content


@pytest.mark.parametrize(("value", "hint"), [(b"x", "decode bytes, or return text"), ({"a": b"x"}, ""), (object(), "")])
def test_a_result_without_json_is_refused(value: object, hint: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        tool_message(value, "a")
    assert str(caught.value).startswith(
        f"the result of a tool must be text or JSON-serializable, not {type(value).__name__}: "
    )
    assert (caught.value.hint or "").startswith(hint)


def test_messages_that_differ_are_not_equal() -> None:
    assert user_message("a") != user_message("b")
    assert not user_message("a") != user_message("a")  # noqa: SIM202 - `!=` is what is tested


def test_a_value_that_holds_itself_is_not_read() -> None:
    message: dict[str, Any] = {"role": "user", "content": "x"}
    message["own"] = message
    with pytest.raises(ResponseFormatError, match="is nested too deeply"):
        message_from_dict(message)


@pytest.mark.parametrize("audio", [{}, {"data": "AA=="}, 5])
def test_an_audio_without_an_id_goes_back_as_it_is(audio: object) -> None:
    assert sent({"role": "assistant", "audio": audio})[0]["audio"] == audio


@pytest.mark.parametrize(
    ("content", "left"),
    [("Hi", "Hi"), ([{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "Hi"}], "Hi"), (None, None)],
)
def test_a_message_without_its_reasoning(content: object, left: object) -> None:
    message = {"role": "assistant", "content": content, "reasoning": "Hm.", "reasoning_opaque": "x", "own": 1}
    assert without_reasoning(message) == {"role": "assistant", "content": left, "own": 1}
