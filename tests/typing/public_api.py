"""What type checkers make of the public API: read by mypy and pyright, never run.

Each `assert_type` says what a checker must have inferred. Where a use is wrong, the comments that ignore the error are
what demands it: both checkers read them, and refuse one that nothing needs.
"""

# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Literal, assert_never, assert_type

from firsttoken import (
    STOP,
    AsyncChatCompletionStream,
    AsyncClient,
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionRequest,
    ChatCompletionStream,
    Client,
    Timeout,
    assistant_message,
    chat_completion_request,
    developer_message,
    system_message,
    tool_message,
    user_message,
)
from firsttoken.errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    ChatCompletionError,
    ConfigurationError,
    RateLimitError,
    ResponseFormatError,
    StreamTruncatedError,
)
from firsttoken.events import (
    FinishedEvent,
    ReasoningEvent,
    RefusalEvent,
    StreamEvent,
    TextEvent,
    ToolCallArgumentsEvent,
    ToolCallFinishedEvent,
    ToolCallStartedEvent,
    UsageEvent,
)
from firsttoken.sansio import Accumulator, ServerSentEvent, SSEDecoder, StreamParser
from firsttoken.types import (
    AssistantMessage,
    Audio,
    ChatCompletionMessage,
    Choice,
    ChoiceDelta,
    ChoiceLogprobs,
    CompletionTokensDetails,
    CompletionUsage,
    CustomToolCall,
    DeveloperMessage,
    FunctionCall,
    Headers,
    Message,
    ResponseInfo,
    SystemMessage,
    Timing,
    TokenLogprob,
    ToolCall,
    ToolCallDelta,
    ToolMessage,
    UserMessage,
    message_from_dict,
)


class Weather:
    """Some type of the caller's own."""

    degrees: float = 0.0


# --- requests -------------------------------------------------------------------------------------------------------


def requests() -> ChatCompletionRequest:
    assert_type(developer_message("d"), DeveloperMessage)
    assert_type(system_message("s"), SystemMessage)
    assert_type(user_message([{"type": "text", "text": "u"}]), UserMessage)
    assert_type(assistant_message("a"), AssistantMessage)
    assert_type(tool_message("t", "call_1"), ToolMessage)
    chat_completion_request("m", "Hi", temperatur=1)  # type: ignore[call-arg]
    chat_completion_request("m", "Hi", n="1")  # type: ignore[arg-type]
    chat_completion_request("m", 3)  # type: ignore[arg-type]
    ChatCompletionRequest("m", [])  # type: ignore[call-arg]
    tool_message("t")  # type: ignore[call-arg]
    chat_completion_request("m", [user_message("u"), {"role": "assistant", "content": "a"}])
    messages: list[Message] = [user_message("u"), ChatCompletionMessage()]
    messages.append(assistant_message("a", reasoning_content="hm"))
    messages += map(message_from_dict, [message.to_dict() for message in messages])
    assert_type(UserMessage.from_json(messages[0].to_json()), UserMessage)
    assert_type(messages[0].role, str)
    messages.append({"role": "user", "content": "u"})  # type: ignore[arg-type]
    messages.append(ChatCompletion())  # type: ignore[arg-type]
    request = chat_completion_request("m", messages, max_tokens=1, stop=["."], response_format=Weather, extra={"x": 1})
    return assert_type(request, ChatCompletionRequest)


# --- sync -----------------------------------------------------------------------------------------------------------


def clients() -> None:
    assert_type(Client(), Client)
    assert_type(Client("key", "url", timeout=Timeout(idle_s=1), max_retries=0), Client)
    assert_type(Client(api_key=lambda: "token"), Client)
    assert_type(Client.azure("url", deployment="d", api_version="2024-10-21", api_key="key"), Client)
    assert_type(Client.azure(token_provider=lambda: "token"), Client)
    Client(api_key=lambda: 3)  # type: ignore[arg-type, return-value]
    Client(timeout=3.0)  # type: ignore[arg-type]
    Client("key", "url", "organization")  # type: ignore[call-arg]
    Client.azure(token_provider=async_token)  # type: ignore[arg-type]


def sync_calls(client: Client, request: ChatCompletionRequest) -> None:
    assert_type(client.chat_completion(request), ChatCompletion)
    assert_type(client.chat_completion_stream(request), ChatCompletionStream)
    assert_type(client.chat_completion_stream(request, timeout=Timeout(), headers={"a": "b"}), ChatCompletionStream)
    assert_type(client.chat_completion_stream(request, lambda chunk: None), ChatCompletion)
    assert_type(client.chat_completion_stream(request, on_chunk), ChatCompletion)
    assert_type(client.chat_completion_stream(request, lambda chunk: STOP if chunk.text else None), ChatCompletion)
    client.chat_completion("Hi")  # type: ignore[call-overload]
    assert_type(client.chat_completion("m", "Hi", temperature=1, timeout=Timeout()), ChatCompletion)
    assert_type(client.chat_completion(model="m", messages=[user_message("Hi")]), ChatCompletion)
    assert_type(client.chat_completion_stream("m", "Hi", n=1), ChatCompletionStream)
    assert_type(client.chat_completion_stream("m", "Hi", n=1, on_chunk=on_chunk), ChatCompletion)
    client.chat_completion("m", "Hi", temperatur=1)  # type: ignore[call-overload]
    client.chat_completion(request, temperature=1)  # type: ignore[call-overload]
    client.chat_completion_stream(request, on_chunk_later)  # type: ignore[arg-type]
    client.chat_completion_stream(request, clients)  # type: ignore[arg-type]
    with client as entered:
        assert_type(entered, Client)


def sync_streams(stream: ChatCompletionStream) -> None:
    with stream as entered:
        assert_type(entered, ChatCompletionStream)
    for chunk in stream:
        assert_type(chunk, ChatCompletionChunk)
    assert_type(next(stream), ChatCompletionChunk)
    assert_type(deque(stream), deque[ChatCompletionChunk])
    assert_type([*stream.iter_text()], list[str])
    assert_type([*stream.iter_events()], list[StreamEvent])
    assert_type([*stream.iter_partial()], list[object])
    assert_type(stream.completion, ChatCompletion)
    assert_type(stream.final_completion(), ChatCompletion)
    assert_type(stream.state, Literal["idle", "open", "complete", "stopped", "failed"])
    assert_type(stream.response, ResponseInfo | None)
    assert_type(stream.timing, Timing)
    stream.completion = ChatCompletion()  # type: ignore[misc]
    print(stream.response.status)  # type: ignore[union-attr]
    if stream.response is not None:
        assert_type(stream.response.headers, Headers)
        assert_type(stream.response.headers["x"], str)
        assert_type(stream.response.status, int)
        assert_type(stream.response.request_id, str | None)
    assert_type(stream.timing.time_to_first_token_s, float | None)
    assert_type(stream.timing.chunks, int)


# --- asyncio --------------------------------------------------------------------------------------------------------


def on_chunk(chunk: ChatCompletionChunk) -> None:
    raise NotImplementedError


async def on_chunk_later(chunk: ChatCompletionChunk) -> object:
    raise NotImplementedError


async def async_token() -> str:
    raise NotImplementedError


async def async_calls(client: AsyncClient, request: ChatCompletionRequest) -> None:
    assert_type(AsyncClient(api_key=async_token), AsyncClient)
    assert_type(AsyncClient.azure("url", token_provider=async_token), AsyncClient)
    assert_type(AsyncClient.azure("url", token_provider=lambda: "token"), AsyncClient)
    assert_type(await client.chat_completion(request), ChatCompletion)
    assert_type(client.chat_completion_stream(request), AsyncChatCompletionStream)
    assert_type(await client.chat_completion_stream(request), AsyncChatCompletionStream)
    called: Coroutine[object, object, ChatCompletion] = client.chat_completion_stream(request, on_chunk)
    assert_type(await called, ChatCompletion)
    assert_type(await client.chat_completion_stream(request, on_chunk_later), ChatCompletion)
    assert_type(await client.chat_completion_stream(request, lambda chunk: None), ChatCompletion)
    assert_type(await client.chat_completion("m", "Hi", temperature=1), ChatCompletion)
    assert_type(client.chat_completion_stream("m", "Hi", n=1), AsyncChatCompletionStream)
    assert_type(await client.chat_completion_stream("m", "Hi", on_chunk=on_chunk_later), ChatCompletion)
    print(client.chat_completion(request).text)  # type: ignore[attr-defined]
    async with client as entered:
        assert_type(entered, AsyncClient)


async def async_streams(stream: AsyncChatCompletionStream) -> None:
    async with stream as entered:
        assert_type(entered, AsyncChatCompletionStream)
    async for chunk in stream:
        assert_type(chunk, ChatCompletionChunk)
    assert_type(await anext(stream), ChatCompletionChunk)
    assert_type([text async for text in stream.iter_text()], list[str])
    assert_type([event async for event in stream.iter_events()], list[StreamEvent])
    assert_type([value async for value in stream.iter_partial()], list[object])
    assert_type(stream.completion, ChatCompletion)
    assert_type(await stream.final_completion(), ChatCompletion)
    assert_type(stream.state, Literal["idle", "open", "complete", "stopped", "failed"])
    for _ in stream:  # type: ignore[attr-defined]
        pass


# --- events ---------------------------------------------------------------------------------------------------------


def events(event: StreamEvent) -> str:
    match event:
        case TextEvent() | ReasoningEvent() | RefusalEvent():
            assert_type(event.choice_index, int)
            assert_type(event.snapshot, str)
            return assert_type(event.delta, str)
        case ToolCallStartedEvent():
            assert_type((event.choice_index, event.call_index), tuple[int, int])
            return assert_type(event.id, str) + assert_type(event.name, str)
        case ToolCallArgumentsEvent(delta=delta, snapshot=snapshot):
            return assert_type(delta, str) + assert_type(snapshot, str)
        case ToolCallFinishedEvent(call=call):
            return assert_type(call, ToolCall).id
        case UsageEvent(usage=usage):
            return str(assert_type(usage, CompletionUsage))
        case FinishedEvent():
            return assert_type(event.finish_reason, str | None) or ""
        case _:
            assert_never(event)  # so that the union has no other


def events_by_tag(event: StreamEvent) -> None:
    if event.type == "tool_call_finished":
        assert_type(event, ToolCallFinishedEvent)
        assert_type(event.call, ToolCall)
    if isinstance(event, TextEvent):
        assert_type(event.type, Literal["text"])
        event.delta = "frozen"  # type: ignore[misc]
    print(event.delta)  # type: ignore[union-attr]


# --- what comes back ------------------------------------------------------------------------------------------------


def completions(completion: ChatCompletion, function: Callable[[str], str]) -> None:
    assert_type(completion.text, str)
    assert_type(completion.message, ChatCompletionMessage)
    assert_type(completion.finish_reason, str | None)
    assert_type(completion.to_dict(), dict[str, object])
    assert_type(ChatCompletion.from_json(completion.to_json()), ChatCompletion)
    assert_type(completion.id, str)
    assert_type(completion.created, int)
    assert_type(completion.usage, CompletionUsage | None)
    assert_type(completion.extra, dict[str, object])
    assert_type(completion.moderation, dict[str, object] | None)
    assert_type(completion.response, ResponseInfo | None)
    assert_type(completion.timing, Timing | None)
    assert_type(completion.tool_calls, list[ToolCall])
    assert_type(completion.parse(Weather), Weather)
    assert_type(completion.parse(list[int]), list[int])
    assert_type(completion.parse(), object)
    choice = assert_type(completion.choices[0], Choice)
    assert_type(choice.finish_reason, str | None)
    assert_type(choice.logprobs, ChoiceLogprobs | None)
    if choice.logprobs is not None:
        assert_type(choice.logprobs.content, list[TokenLogprob] | None)
    message = assert_type(choice.message, ChatCompletionMessage)
    assert_type(message.content, str | None)
    assert_type(message.reasoning_text, str)
    assert_type(message.audio, Audio | None)
    assert_type(message.tool_calls, list[ToolCall] | None)
    for call in message.tool_calls or ():
        assert_type(call.function, FunctionCall | None)
        assert_type(call.custom, CustomToolCall | None)
        assert_type(call.name, str)
        assert_type(call.arguments, str)
        assert_type(call.parse(), dict[str, object])
        assert_type(call.parse(Weather), Weather)
        assert_type(call.parse(function), dict[str, object])
    if completion.usage is not None:
        assert_type(completion.usage.completion_tokens_details, CompletionTokensDetails | None)
    print(completion.txt)  # type: ignore[attr-defined]
    message.content.upper()  # type: ignore[union-attr]


def chunks(chunk: ChatCompletionChunk) -> None:
    assert_type(chunk.text, str)
    assert_type(chunk.raw, bytes)
    assert_type(chunk.choices[0].delta, ChoiceDelta)
    assert_type(chunk.choices[0].delta.tool_calls, list[ToolCallDelta] | None)
    assert_type(chunk.choices[0].delta.reasoning_text, str)
    assert_type(chunk.usage, CompletionUsage | None)


def failures(stream: ChatCompletionStream) -> None:
    try:
        next(stream)
    except RateLimitError as error:
        assert_type(error.retry_after_s, float | None)
        assert_type(error.status, int | None)
        assert_type(error.body, object)
    except APIStatusError as error:
        assert_type((error.code, error.type, error.param), tuple[str | None, str | None, str | None])
        assert_type(error.in_stream, bool)
    except APITimeoutError as error:
        assert_type(error.phase, Literal["connect", "first_chunk", "idle", "response", "total"])
        also: TimeoutError = error
        print(also)
    except (APIConnectionError, ResponseFormatError, StreamTruncatedError) as error:
        base: ChatCompletionError = error
        print(base)
    except ChatCompletionError as error:
        assert_type(error.partial, ChatCompletion | None)
        assert_type(error.chunks_received, int)
        assert_type(error.request_id, str | None)
        assert_type(error.retryable, bool)
    except ConfigurationError as error:
        as_value: ValueError = error
        print(as_value)


# --- without I/O ----------------------------------------------------------------------------------------------------


def without_io(chunk: ChatCompletionChunk) -> None:
    decoder = SSEDecoder(max_event_bytes=1)
    assert_type(decoder.receive_data(b""), list[ServerSentEvent])
    assert_type(decoder.receive_eof()[0].data, bytes)
    core = StreamParser()
    assert_type(core.next_chunk(), ChatCompletionChunk | None)
    assert_type(core.failure, ChatCompletionError | None)
    assert_type(core.complete, bool)
    accumulator = Accumulator()
    accumulator.add(chunk)
    assert_type(accumulator.completion, ChatCompletion)
    accumulator.add("chunk")  # type: ignore[arg-type]


later: Awaitable[str] = async_token()
