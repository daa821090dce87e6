"""What a caller sets: the request, field by field as the API reference lists them, and the deadlines of a call."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict, Unpack, cast

import msgspec

from firsttoken._models.messages import Message, user_message
from firsttoken._models.value import rich_repr, short_repr
from firsttoken.errors import ConfigurationError

Messages = str | Sequence[Message | Mapping[str, object]]
"""The conversation: messages, and plain dicts; a `str` is one user message."""

JSONObject = Mapping[str, object]


_OF_OPENAI = {
    "extra_body": "a server's own fields go into extra={…}",
    "extra_headers": "headers go beside a request, as headers={…} of the client's method",
    "extra_query": "a query goes into the base_url of the client",
}
"""What users of the official client reach for."""


class ArgumentError(ConfigurationError, TypeError):
    """A call has an argument that there is not; it is the `TypeError` that Python would raise, with a hint."""


class KeywordsOnly(msgspec.StructMeta):
    """The metaclass of structs that are made by hand."""

    if not TYPE_CHECKING:  # pragma: no branch - or type checkers would take it for the signature

        def __call__(cls, *args: object, **fields: object) -> object:  # noqa: N805 - a class is what a metaclass calls
            if args or not _fields_of(cls).issuperset(fields):
                names = cls.__struct_fields__
                raise _argument_error(cls.__name__, names, args, fields.keys() - set(names))
            return super().__call__(**fields)


@functools.cache
def _fields_of(cls: type[msgspec.Struct]) -> frozenset[str]:
    return frozenset(cls.__struct_fields__)


def _argument_error(called: str, names: tuple[str, ...], args: tuple[object, ...], unknown: set[str]) -> ArgumentError:
    first = next(iter(names))
    if args:
        return ArgumentError(
            f"{called} takes keyword arguments only, not {next(iter(args))!r}",
            hint=f"which of {', '.join(names)}? As in {called}({first}=…)"
            if len(names) < 10
            else f"as in {called}({first}=…)",
        )
    name = min(unknown)
    if name in _OF_OPENAI:
        return ArgumentError(f"{called} has no field {name!r}", hint=_OF_OPENAI[name])
    import difflib  # here, since it is slow to load

    close = difflib.get_close_matches(name, names, n=1)
    hints = [f"did you mean {close[0]}?"] if close else []
    if "extra" in names:
        hints.append(f"a server's own field goes into extra: extra={{{name!r}: …}}")
    hint = " ".join(hints) or f"the fields are {', '.join(names)}"
    return ArgumentError(f"{called} has no field {name!r}", hint=hint)


class StreamOptions(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Options of a streamed answer.

    Attributes:
        include_usage: request a last chunk with the tokens used. Sent with every stream unless this is False.
        include_obfuscation: False makes OpenAI leave out the padding that hides the lengths of tokens.
    """

    include_usage: bool | None = None
    include_obfuscation: bool | None = None

    __repr__ = short_repr
    __rich_repr__ = rich_repr


Tool = JSONObject | Callable[..., object]
"""A tool of a request: a definition, or a function from which one is made (see `firsttoken.types.function_tool`)."""


class RequestFields(TypedDict, total=False):
    """The fields of a request besides the model and the messages."""

    audio: JSONObject | None
    frequency_penalty: float | None
    function_call: str | JSONObject | None
    functions: Sequence[JSONObject] | None
    logit_bias: Mapping[str, float] | None
    logprobs: bool | None
    max_completion_tokens: int | None
    max_tokens: int | None
    metadata: Mapping[str, str] | None
    modalities: Sequence[str] | None
    moderation: JSONObject | None
    n: int | None
    parallel_tool_calls: bool | None
    prediction: JSONObject | None
    presence_penalty: float | None
    prompt_cache_key: str | None
    prompt_cache_options: JSONObject | None
    prompt_cache_retention: str | None
    reasoning_effort: str | None
    response_format: type[object] | JSONObject | None
    safety_identifier: str | None
    seed: int | None
    service_tier: str | None
    stop: str | Sequence[str] | None
    store: bool | None
    stream: bool | None
    stream_options: StreamOptions | JSONObject | None
    temperature: float | None
    tool_choice: str | JSONObject | None
    tools: Sequence[Tool] | None
    top_logprobs: int | None
    top_p: float | None
    user: str | None
    verbosity: str | None
    web_search_options: JSONObject | None
    extra: dict[str, object]


class ChatCompletionRequest(msgspec.Struct, kw_only=True, omit_defaults=True, metaclass=KeywordsOnly):
    """The body of `POST /chat/completions`; None leaves a field out.

    The meaning of each field is that of the API reference. `extra` holds a server's own fields: they are merged into
    the JSON body unchanged, and override a field of the same name.

    `tools` also takes Python functions, which are replaced by their definitions at once. `response_format` also takes a
    type, whose schema is sent: a msgspec Struct, a dataclass, a TypedDict or a pydantic model.

    Raises:
        ConfigurationError: a function can't be a tool; the message names the parameter.
    """

    model: str
    messages: Messages
    audio: JSONObject | None = None
    frequency_penalty: float | None = None
    function_call: str | JSONObject | None = None
    functions: Sequence[JSONObject] | None = None
    logit_bias: Mapping[str, float] | None = None
    logprobs: bool | None = None
    max_completion_tokens: int | None = None
    max_tokens: int | None = None
    metadata: Mapping[str, str] | None = None
    modalities: Sequence[str] | None = None
    moderation: JSONObject | None = None
    n: int | None = None
    parallel_tool_calls: bool | None = None
    prediction: JSONObject | None = None
    presence_penalty: float | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: JSONObject | None = None
    prompt_cache_retention: str | None = None
    reasoning_effort: str | None = None
    response_format: type[object] | JSONObject | None = None
    safety_identifier: str | None = None
    seed: int | None = None
    service_tier: str | None = None
    stop: str | Sequence[str] | None = None
    store: bool | None = None
    stream: bool | None = None
    stream_options: StreamOptions | JSONObject | None = None
    temperature: float | None = None
    tool_choice: str | JSONObject | None = None
    tools: Sequence[Tool] | None = None
    top_logprobs: int | None = None
    top_p: float | None = None
    user: str | None = None
    verbosity: str | None = None
    web_search_options: JSONObject | None = None
    extra: dict[str, object] = {}

    __repr__ = short_repr
    __rich_repr__ = rich_repr

    def __post_init__(self) -> None:
        if isinstance(self.messages, str):
            self.messages = [user_message(self.messages)]
        if self.tools is not None:
            self.tools = as_tools(self.tools)


def as_tools(tools: Sequence[Tool]) -> Sequence[JSONObject]:
    """The tools of a request with functions replaced by their definitions.

    Raises:
        ConfigurationError: one of them is neither a dict nor a function, or a function can't be a tool.
    """
    if not isinstance(tools, Sequence) or isinstance(tools, (str, bytes)):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(
            f"tools must be a sequence of dicts and functions, not {type(tools).__name__}",
            hint="as in tools=[get_weather]",
        )
    if all(isinstance(tool, Mapping) for tool in tools):
        return cast("Sequence[JSONObject]", tools)  # the caller's own, as every other field is
    from firsttoken._schema.tools import function_tool  # here: it loads `inspect`

    return [
        tool if isinstance(tool, Mapping) else function_tool(tool)  # pyright: ignore[reportUnknownVariableType]
        for tool in tools
    ]


def as_response_format(response_format: type[object] | JSONObject) -> JSONObject:
    """The `response_format` of a request with a type replaced by its schema.

    Raises:
        ConfigurationError: the type has no such schema, or it is neither a dict nor a type.
    """
    if isinstance(response_format, Mapping):
        return response_format
    if isinstance(response_format, str):
        raise ConfigurationError(
            f"response_format must be a dict or a type, not the str {response_format!r}",
            hint=f'response_format={{"type": "{response_format}"}}'
            if response_format in ("json_object", "text")
            else 'as in response_format={"type": "json_object"}, or a type whose JSON schema is sent',
        )
    from firsttoken._schema.json_schema import json_schema_format

    return json_schema_format(response_format)


class NoFields(TypedDict):
    """No further fields: for type checkers; at run time they are in the error."""


def chat_completion_request(  # noqa: D417 - the fields are those of the struct
    model: str,
    messages: Messages,
    *,
    audio: JSONObject | None = None,
    frequency_penalty: float | None = None,
    function_call: str | JSONObject | None = None,
    functions: Sequence[JSONObject] | None = None,
    logit_bias: Mapping[str, float] | None = None,
    logprobs: bool | None = None,
    max_completion_tokens: int | None = None,
    max_tokens: int | None = None,
    metadata: Mapping[str, str] | None = None,
    modalities: Sequence[str] | None = None,
    moderation: JSONObject | None = None,
    n: int | None = None,
    parallel_tool_calls: bool | None = None,
    prediction: JSONObject | None = None,
    presence_penalty: float | None = None,
    prompt_cache_key: str | None = None,
    prompt_cache_options: JSONObject | None = None,
    prompt_cache_retention: str | None = None,
    reasoning_effort: str | None = None,
    response_format: type[object] | JSONObject | None = None,
    safety_identifier: str | None = None,
    seed: int | None = None,
    service_tier: str | None = None,
    stop: str | Sequence[str] | None = None,
    store: bool | None = None,
    stream: bool | None = None,
    stream_options: StreamOptions | JSONObject | None = None,
    temperature: float | None = None,
    tool_choice: str | JSONObject | None = None,
    tools: Sequence[Tool] | None = None,
    top_logprobs: int | None = None,
    top_p: float | None = None,
    user: str | None = None,
    verbosity: str | None = None,
    web_search_options: JSONObject | None = None,
    extra: dict[str, object] | None = None,
    **unknown: Unpack[NoFields],
) -> ChatCompletionRequest:
    """Make a request.

    Args:
        model: the model's name, as the server knows it.
        messages: the conversation: messages, plain dicts, or a `str`, which is one user message.

    The others are the fields of `ChatCompletionRequest`; None leaves one out.

    Returns:
        A request that can be sent any number of times; no call changes it.

    Raises:
        ConfigurationError: a field is unknown, one of `tools` is neither a dict nor a function, or a function
            can't be a tool.
    """
    given: dict[str, Any] = {name: value for name, value in locals().items() if value is not None}
    fields: dict[str, Any] = given.pop("unknown") | {"model": model, "messages": messages}
    return ChatCompletionRequest(**given | fields)


class Timeout(msgspec.Struct, frozen=True, kw_only=True, metaclass=KeywordsOnly):
    """Deadlines of a call, in seconds; None means no deadline.

    Only progress counts: a chunk with content, reasoning, refusal, a tool call, audio or an image, a finish reason, or
    usage. Comments, empty chunks and dripping bytes don't reset a deadline.

    Attributes:
        connect_s: for connecting: name lookup, TCP, proxy and TLS together, for each attempt.
        first_chunk_s: from the request to the first progress. It starts over while llama.cpp's server reports that it
            processes the prompt (`prompt_progress`).
        idle_s: between two signs of progress.
        response_s: from the request to the end of the response, on the blocking call.
        total_s: for the call with all its retries and the waits between them.
    """

    connect_s: float | None = 10.0
    first_chunk_s: float | None = 600.0
    idle_s: float | None = 300.0
    response_s: float | None = 600.0
    total_s: float | None = None

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not value > 0):
                raise ConfigurationError(
                    f"{name} must be a number of seconds above 0, or None for no deadline: {value!r}"
                )


Timeout.__module__ = "firsttoken"  # the public module, for reprs, tracebacks and pickles
