"""Structured output and tools with the real model: llama.cpp keeps it to the schema."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

import msgspec
import pydantic
import pytest

from firsttoken import (
    AsyncClient,
    ChatCompletionRequest,
    Client,
    assistant_message,
    chat_completion_request,
    tool_message,
    user_message,
)
from firsttoken.errors import StreamTruncatedError
from firsttoken.local import LocalServer
from firsttoken.types import FunctionCall, Message, ToolCall

pytestmark = pytest.mark.model

TEMPLATE = Path(__file__).parents[1] / "support" / "tools.jinja"


class City(msgspec.Struct):
    name: str
    country: str
    climate: Literal["cold", "mild", "hot"]


@dataclass
class Town:
    name: str
    twin: City | None


class Village(TypedDict):
    name: str
    wells: Annotated[list[Literal["north", "south"]], msgspec.Meta(max_length=2)]


class Place(pydantic.BaseModel):
    name: str
    coastal: bool


def asking(server: LocalServer, type_: type[object], **fields: Any) -> ChatCompletionRequest:
    settings: dict[str, Any] = {"seed": 3, "temperature": 0.3, "max_tokens": 300} | fields
    return chat_completion_request(server.model, "Describe Paris in JSON.", response_format=type_, **settings)


@pytest.fixture
def client(local_server: LocalServer) -> Iterator[Client]:
    with Client(base_url=local_server.base_url, api_key="", proxy="") as made:
        yield made


@pytest.mark.parametrize("type_", [City, Town, Village, Place])
def test_the_answer_is_a_value_of_the_type(client: Client, local_server: LocalServer, type_: type[object]) -> None:
    request = asking(local_server, type_)
    blocking = client.chat_completion(request)
    streamed = client.chat_completion_stream(request).final_completion()
    assert blocking.parse() == streamed.parse()
    if type_ is Village:
        assert streamed.parse(Village)["name"]
    else:
        assert isinstance(streamed.parse(), type_)


def test_the_value_grows_into_the_final_one(client: Client, local_server: LocalServer) -> None:
    with client.chat_completion_stream(asking(local_server, City)) as stream:
        values = list(stream.iter_partial())
    city = stream.completion.parse(City)
    assert values[-1] == msgspec.to_builtins(city)
    assert len(values) > 3
    for value in values:
        fields = list(msgspec.convert(value, dict[str, object]))
        assert fields == ["name", "country", "climate"][: len(fields)]


def test_half_an_answer_has_no_value(client: Client, local_server: LocalServer) -> None:
    completion = client.chat_completion(asking(local_server, City, max_tokens=5))
    assert completion.choices[0].finish_reason == "length"
    assert completion.text.startswith("{")
    with pytest.raises(StreamTruncatedError, match=r"it was cut by the token limit \(finish reason 'length'\)"):
        completion.parse()


def get_weather(city: str, unit: Literal["celsius", "fahrenheit"] = "celsius") -> str:
    """Get the weather of a city.

    Args:
        city: its name.
    """
    return f"{len(city)} degrees {unit}"


@pytest.fixture(scope="module")
def tool_server() -> Iterator[LocalServer]:
    """The same model, told about tools, which its own template leaves out."""
    with LocalServer(context_tokens=2048, parallel=1, chat_template=TEMPLATE.read_text()) as server:
        yield server


def conversation() -> list[Message]:
    """So small a model has to be shown how; it then does it again."""
    messages: list[Message] = []
    for number, city in enumerate(("Rome", "Berlin", "Madrid")):
        function = FunctionCall(name="get_weather", arguments=json.dumps({"city": city, "unit": "celsius"}))
        messages += [
            user_message(f"What is the weather in {city}?"),
            assistant_message(tool_calls=[ToolCall(id=f"call_{number}", function=function)]),
            tool_message("sunny", f"call_{number}"),
            assistant_message(f"It is sunny in {city}."),
        ]
    return [*messages, user_message("What is the weather in Paris?")]


def test_the_model_calls_a_python_function(tool_server: LocalServer) -> None:
    request = chat_completion_request(
        tool_server.model,
        conversation(),
        tools=[get_weather],
        tool_choice="required",
        temperature=0,
        max_tokens=100,
    )

    async def ask_the_twin() -> list[ToolCall]:
        async with AsyncClient(base_url=tool_server.base_url, api_key="", proxy="") as twin:
            return (await twin.chat_completion_stream(request).final_completion()).tool_calls

    with Client(base_url=tool_server.base_url, api_key="", proxy="") as client:
        stream = client.chat_completion_stream(request)
        streamed = stream.final_completion()
        answers = [client.chat_completion(request).tool_calls, streamed.tool_calls, asyncio.run(ask_the_twin())]
        assert stream.timing.chunks > 5
        assert streamed.choices[0].finish_reason == "tool_calls"
        for calls in answers:
            assert [call.name for call in calls] == ["get_weather"]
            assert calls[0].parse(get_weather) == {"city": "Paris", "unit": "celsius"}
            assert calls[0].invoke(get_weather) == "5 degrees celsius"

        cut = client.chat_completion_stream(request)
        for _ in cut:
            if any(call.arguments for choice in cut.completion.choices for call in choice.message.tool_calls or ()):
                break
        cut.close()
        with pytest.raises(StreamTruncatedError, match="its tool calls may be cut"):
            _ = cut.completion.tool_calls
