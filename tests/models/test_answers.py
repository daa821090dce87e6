"""firsttoken._models.completion: tool calls and values, given only where the answer is complete."""

import copy
import pickle
from typing import Any

import msgspec
import pytest

from firsttoken._schema.parsing import ResponseType
from firsttoken.errors import ConfigurationError, RefusalError, ResponseFormatError, StreamTruncatedError
from firsttoken.sansio import Accumulator
from firsttoken.types import (
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionMessage,
    Choice,
    CustomToolCall,
    FunctionCall,
    Headers,
    ResponseInfo,
    Timing,
    ToolCall,
)
from tests.support.errors import message_of


class City(msgspec.Struct):
    name: str


CALL = ToolCall(id="call_1", function=FunctionCall(name="get_weather", arguments='{"city":"Rome"}'))


def answer(finish: str | None = "stop", *, complete: bool | None = True, **message: Any) -> ChatCompletion:
    choice = Choice(message=ChatCompletionMessage(**message), finish_reason=finish)
    return ChatCompletion(choices=[choice], complete=complete)


def test_a_call_says_its_name_and_arguments() -> None:
    assert (CALL.name, CALL.arguments) == ("get_weather", '{"city":"Rome"}')
    custom = ToolCall(type="custom", custom=CustomToolCall(name="sql", input="select 1"))
    assert (custom.name, custom.arguments) == ("sql", "select 1")
    assert (ToolCall().name, ToolCall().arguments) == ("", "")


def test_arguments_become_a_dict_or_a_value() -> None:
    class Arguments(msgspec.Struct):
        city: str

    def visit(city: str) -> str:
        return city

    assert CALL.parse() == CALL.parse(visit) == {"city": "Rome"}
    assert CALL.parse(Arguments) == Arguments("Rome")
    assert CALL.parse(dict[str, str] | None) == {"city": "Rome"}


@pytest.mark.parametrize("arguments", ['{"city":"Ro', "", '{"city":"Rome"}}', "[1]", '"x"', "null"])
def test_arguments_that_are_no_object_are_refused(arguments: str) -> None:
    call = ToolCall(function=FunctionCall(name="get_weather", arguments=arguments))
    with pytest.raises(ResponseFormatError, match="the arguments of get_weather can't be read as ") as caught:
        call.parse()
    assert repr(arguments) in message_of(caught.value)


def test_no_prefix_of_arguments_is_taken_for_the_complete() -> None:
    for end in range(len(CALL.arguments)):
        with pytest.raises(ResponseFormatError, match="Input data was truncated"):
            ToolCall(function=FunctionCall(name="f", arguments=CALL.arguments[:end])).parse()


def test_a_custom_tools_input_is_text() -> None:
    call = ToolCall(type="custom", custom=CustomToolCall(name="sql", input="{}"))
    for parse in (call.parse, lambda: call.parse(City), ToolCall().parse):
        with pytest.raises(ConfigurationError, match=r"the input of the custom tool (sql)? ?is text, not JSON"):
            parse()


def test_the_calls_of_a_complete_answer_are_those_of_choice_0() -> None:
    assert answer("tool_calls", tool_calls=[CALL]).tool_calls == [CALL]
    assert answer("stop", tool_calls=[CALL]).tool_calls == [CALL]
    assert answer(None, tool_calls=[CALL]).tool_calls == [CALL]  # [DONE] ended it, and no finish reason came
    assert answer("stop", content="Hi").tool_calls == ChatCompletion().tool_calls == []
    other = Choice(index=1, message=ChatCompletionMessage(tool_calls=[CALL]))
    assert ChatCompletion(choices=[other], complete=True).tool_calls == []


def test_the_list_of_calls_is_the_callers_own() -> None:
    completion = answer(tool_calls=[CALL])
    completion.tool_calls.clear()
    assert completion.tool_calls == [CALL]


CUTS = [
    ("tool_calls", False, "the stream was stopped or broke off before its end"),
    (None, False, "the stream was stopped or broke off before its end"),
    ("length", True, "it was cut by the token limit (finish reason 'length')"),
    ("length", None, "it was cut by the token limit (finish reason 'length')"),
    ("content_filter", True, "it was cut by the server's content filter (finish reason 'content_filter')"),
    (None, None, "it has no finish reason"),
]


@pytest.mark.parametrize(("finish", "complete", "why"), CUTS)
def test_calls_of_an_answer_that_is_not_complete_are_kept_back(
    finish: str | None, complete: bool | None, why: str
) -> None:
    completion = answer(finish, complete=complete, tool_calls=[CALL])
    completion.response = ResponseInfo(status=200, headers=Headers(), request_id="req_1")
    completion.timing = Timing(chunks=3)
    with pytest.raises(StreamTruncatedError) as caught:
        _ = completion.tool_calls
    said = f"the answer is not complete, so its tool calls may be cut: {why}"
    assert message_of(caught.value) == said
    assert caught.value.partial is completion
    assert (caught.value.chunks_received, caught.value.request_id) == (3, "req_1")
    assert completion.choices[0].message.tool_calls == [CALL]
    assert answer(finish, complete=complete, content="Hi").tool_calls == []


@pytest.mark.parametrize(("finish", "complete", "why"), CUTS)
def test_a_value_of_an_answer_that_is_not_complete_is_kept_back(
    finish: str | None, complete: bool | None, why: str
) -> None:
    completion = answer(finish, complete=complete, content='{"name":"Rome"}')
    with pytest.raises(StreamTruncatedError) as caught:
        completion.parse(City)
    assert message_of(caught.value) == f"the answer is not complete, so it can't be parsed: {why}"
    assert caught.value.partial is completion


def test_the_content_becomes_a_value() -> None:
    completion = answer(content='{"name":"Rome"}')
    assert completion.parse(City) == City("Rome")
    assert completion.parse(dict[str, str]) == {"name": "Rome"}
    completion._response_type = ResponseType(City)
    assert completion.parse() == City("Rome")
    assert completion.parse(dict[str, str]) == {"name": "Rome"}


def test_content_that_does_not_fit_is_quoted_with_its_place() -> None:
    completion = answer(content='{"name":1}')
    with pytest.raises(ResponseFormatError) as caught:
        completion.parse(City)
    assert message_of(caught.value) == (
        "the answer can't be read as City: Expected `str`, got `int` - at `$.name`: '{\"name\":1}'"
    )
    assert caught.value.partial is completion


def test_a_refusal_is_raised_in_the_models_words() -> None:
    completion = answer(content=None, refusal="I can't help with that.")
    with pytest.raises(RefusalError) as caught:
        completion.parse(City)
    assert message_of(caught.value) == "the model refused: I can't help with that."
    assert caught.value.refusal == "I can't help with that."
    assert caught.value.partial is completion
    twin = pickle.loads(pickle.dumps(caught.value))
    assert (twin.refusal, twin.partial) == (caught.value.refusal, completion)


@pytest.mark.parametrize(
    ("message", "words"),
    [({}, "the answer has no content"), ({"tool_calls": [CALL, CALL]}, ", but calls get_weather, get_weather")],
)
def test_an_answer_without_content_has_no_value(message: dict[str, Any], words: str) -> None:
    with pytest.raises(ResponseFormatError) as caught:
        answer(**message).parse(City)
    assert message_of(caught.value).startswith("the answer has no content")
    assert message_of(caught.value).endswith(words)
    assert caught.value.partial is not None


def test_without_a_type_there_is_nothing_to_parse_into() -> None:
    with pytest.raises(ConfigurationError) as caught:
        answer(content="{}").parse()
    assert message_of(caught.value) == (
        "no type to parse the answer into\n"
        "hint: completion.parse(SomeType), or chat_completion_request(…, response_format=SomeType)"
    )


def test_whether_it_is_complete_and_its_type_are_outside_equality_and_are_pickled() -> None:
    one, other = answer(content="{}", complete=True), answer(content="{}", complete=None)
    one._response_type = ResponseType(City)
    assert one == other
    for twin in (pickle.loads(pickle.dumps(one)), copy.copy(one), copy.deepcopy(one)):
        assert twin.complete is True
        assert twin._response_type is not None
        assert twin._response_type.type is City


def test_a_completion_of_a_type_that_can_not_be_pickled_can_be() -> None:
    class Inner(msgspec.Struct):
        x: int

    one = answer(content='{"x":1}')
    one._response_type = ResponseType(Inner)
    assert one.parse() == Inner(1)
    twin = pickle.loads(pickle.dumps(one))
    assert twin.parse(Inner) == Inner(1)
    with pytest.raises(ConfigurationError, match="no type to parse the answer into"):
        twin.parse()


def test_no_server_can_name_the_type() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"$firsttoken.response_type":"x"}', type=ChatCompletion)


def test_of_what_was_folded_by_hand_the_finish_reason_is_believed() -> None:
    def accumulated(finish: str | None) -> ChatCompletion:
        delta = {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}]}
        accumulator = Accumulator()
        accumulator.add(msgspec.convert({"choices": [{"delta": delta, "finish_reason": finish}]}, ChatCompletionChunk))
        return accumulator.completion

    assert accumulated("tool_calls").complete is None
    assert [call.parse() for call in accumulated("tool_calls").tool_calls] == [{}]
    with pytest.raises(StreamTruncatedError, match="it has no finish reason"):
        _ = accumulated(None).tool_calls


def test_what_is_decoded_again_is_what_it_was() -> None:
    one = answer("tool_calls", tool_calls=[CALL])
    again = msgspec.json.decode(msgspec.json.encode(one), type=ChatCompletion)
    assert (again, again.complete) == (one, True)


@pytest.mark.parametrize("finish", ["other", "unknown"])
def test_cut_arguments_of_a_call_whose_finish_reason_says_nothing_are_kept_back(finish: str) -> None:
    cut = ToolCall(id="call_2", function=FunctionCall(name="get_weather", arguments='{"city":"Ro'))
    assert answer(finish, tool_calls=[CALL]).tool_calls == [CALL]
    with pytest.raises(StreamTruncatedError, match="does not say whether the answer is complete") as caught:
        _ = answer(finish, tool_calls=[CALL, cut]).tool_calls
    assert caught.value.partial is not None


def test_of_several_functions_the_one_with_the_calls_name_is_called() -> None:
    def get_weather(city: str = "Bonn") -> str:
        return f"sunny in {city}"

    def get_time() -> str:
        return "noon"

    assert CALL.invoke([get_time, get_weather]) == "sunny in Rome"
    assert ToolCall(function=FunctionCall(name="get_weather", arguments=" ")).invoke(get_weather) == "sunny in Bonn"
    with pytest.raises(ResponseFormatError) as caught:
        CALL.invoke([get_time])
    assert message_of(caught.value) == (
        "the model called 'get_weather', which is not one of the functions\n"
        "hint: the functions are get_time; tell the model in a tool message"
    )
