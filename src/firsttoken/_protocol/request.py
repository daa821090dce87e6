"""A request to the bytes of its head and body.

The JSON body, the headers and their checks; where the bytes go is for `url` and `proxy`.

Sources: RFC 9110 (fields), RFC 9112, section 3 (request line).
"""

import math
from collections.abc import Mapping, Sequence
from typing import Literal, cast

import msgspec

from firsttoken._models.completion import ChatCompletion, Choice
from firsttoken._models.messages import is_plain_text, user_message
from firsttoken._models.request import ChatCompletionRequest, StreamOptions, as_response_format, as_tools
from firsttoken._models.value import Value, encode_request, to_plain
from firsttoken._protocol.url import LETTERS_AND_DIGITS
from firsttoken.errors import ConfigurationError

Method = Literal["GET", "POST"]

_FORBIDDEN = frozenset(map(chr, range(0x20))) - {"\t"} | {"\x7f"}
"""Invalid in a header's value: RFC 9110, section 5.5."""

_TOKEN = frozenset(LETTERS_AND_DIGITS + "!#$%&'*+-.^_`|~")
"""Valid in a header's name: RFC 9110, section 5.6.2."""

_FRAMING_HEADERS = frozenset({"content-length", "transfer-encoding", "connection"})


def encode_body(request: ChatCompletionRequest, *, stream: bool) -> bytes:
    """The JSON body of a request; the request is not changed.

    Args:
        request: what to send.
        stream: whether to stream, whatever `request.stream` or `extra` has.

    Raises:
        ConfigurationError: something in the request can't be encoded as JSON, or there are no messages.
    """
    body = {name: value for name, value in msgspec.structs.asdict(request).items() if value is not None}
    if len(body) <= _FEW_FIELDS and (plain := _encode_plain(request, body, stream=stream)) is not None:
        return plain
    extra = body.pop("extra", None)
    body.pop("stream", None)
    options = body.pop("stream_options", None)
    if request.tools is not None:
        body["tools"] = as_tools(request.tools)  # again: it may have been set since the request was made
    if request.response_format is not None:
        body["response_format"] = as_response_format(request.response_format)
    messages = _messages(request.messages)
    body["messages"] = None  # their place
    if stream:
        body["stream"] = True
        body.update(_stream_options(options))
    if isinstance(extra, Mapping):
        body.update({name: value for name, value in extra.items() if name != "stream"})  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType, reportUnknownVariableType]
    return encode_request(body, messages)


_FEW_FIELDS = 8
_ONLY_TEXT = frozenset({str})
_CONVERTED_FIELDS = frozenset({"response_format", "stream", "stream_options", "tools"})
_STREAM_FIELDS = b',"stream":true,"stream_options":{"include_usage":true}}'
_encode = msgspec.json.Encoder().encode


def _encode_plain(request: ChatCompletionRequest, body: Mapping[str, object], *, stream: bool) -> bytes | None:
    """The JSON body of a request that has nothing but text and numbers, as most have; None where it has more."""
    messages = cast("list[object]", request.messages)
    if type(messages) is not list or type(request.model) is not str or not all(map(_has_only_text, messages)):
        return None
    for name, value in body.items():
        if name != "messages" and not _is_plain_field(name, value):
            return None
    try:
        encoded = _encode(request)
    except (TypeError, ValueError, OverflowError):  # the slow path reports it, or sends it if it is a lone surrogate
        return None
    return encoded[:-1] + _STREAM_FIELDS if stream else encoded


def _is_plain_field(name: str, value: object) -> bool:
    kind = type(value)
    if kind is str or kind is int:
        return name not in _CONVERTED_FIELDS
    if kind is float:
        return math.isfinite(cast("float", value))
    return name == "extra" and kind is dict and not value


def _has_only_text(message: object) -> bool:
    if type(message) is dict:
        return _ONLY_TEXT.issuperset(map(type, cast("dict[object, object]", message).values()))
    return is_plain_text(message)


def _messages(messages: object) -> list[object]:
    if isinstance(messages, str):
        messages = [user_message(messages)]
    if not isinstance(messages, Sequence) or isinstance(messages, bytes | bytearray):
        raise ConfigurationError(
            f"messages must be a str or a sequence of messages, not {type(messages).__name__}",
            hint=_MESSAGE_HINTS.get(type(messages), 'as in messages=[user_message("Hi")]'),
        )
    return [_message(message, number) for number, message in enumerate(cast("Sequence[object]", messages))]


def _message(message: object, number: int) -> object:
    """A message as it is sent; it may contain parts of a completion."""
    if is_plain_text(message):
        return message
    if isinstance(message, Value) and hasattr(message, "role"):
        fields = message.to_dict()
    elif isinstance(message, Mapping):
        fields = dict(cast("Mapping[str, object]", message))
    else:
        raise ConfigurationError(
            f"messages[{number}] must be a message or a dict, not {type(message).__name__}",
            hint=_MESSAGE_HINTS.get(type(message), 'as in messages=[user_message("Hi")]'),
        )
    audio = fields.get("audio")
    if audio is not None and fields.get("role") == "assistant":
        known = to_plain(audio)
        if isinstance(known, dict) and "id" in known:
            fields["audio"] = {"id": known["id"]}  # all that the API accepts
    return fields


_MESSAGE_HINTS: dict[type, str] = {
    ChatCompletion: "completion.message is the message: messages.append(completion.message)",
    Choice: "choice.message is the message: messages.append(choice.message)",
    str: 'as in user_message("Hi")',
}


def _stream_options(options: object) -> dict[str, object]:
    """Usage is requested unless it is switched off; then no `stream_options` is sent at all."""
    wanted: dict[str, object] = {"include_usage": True}
    given = msgspec.to_builtins(options) if isinstance(options, StreamOptions) else options
    if isinstance(given, Mapping):
        wanted.update(given)  # pyright: ignore[reportUnknownArgumentType]
    if not wanted["include_usage"]:
        del wanted["include_usage"]
    return {"stream_options": wanted} if wanted else {}


def check_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers of the caller, names in lower case.

    Raises:
        ConfigurationError: a name or value is invalid, or the header is set by firsttoken. The message does not
            contain the value, which may be a key.
    """
    if not isinstance(headers, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(
            f"headers must be a mapping of names to values, not {type(headers).__name__}",
            hint='as in {"x-name": "value"}',
        )
    checked: dict[str, str] = {}
    for name, value in headers.items():
        if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(f"the name of a header must be a str, not {type(name).__name__}")
        lower = name.lower()
        if not name or not _TOKEN.issuperset(name):
            raise ConfigurationError(f"invalid header name: {name!r}")
        if lower in _FRAMING_HEADERS:
            raise ConfigurationError(f"the header {lower} is set by firsttoken and can't be overridden")
        checked[lower] = check_header_value(lower, value)
    return checked


def check_header_value(name: str, value: str) -> str:
    """The value, if it is a valid one.

    Raises:
        ConfigurationError: it is not. The message does not contain it.
    """
    if not isinstance(value, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(f"the value of {name} must be a str, not {type(value).__name__}")
    if not value.isascii() or not _FORBIDDEN.isdisjoint(value) or value != value.strip():
        raise ConfigurationError(
            f"the value of {name} has a line break, leading or trailing whitespace, "
            "or a character outside printable ASCII",
            hint="was it copied with a new line at its end?",
        )
    return value


def encode_head(target: str, host: str, headers: Mapping[str, str], method: Method = "POST") -> bytes:
    """The head of a request: of a POST up to the value of its last header, `content-length`, of a GET all of it.

    Args:
        target: path and query, or the absolute URI for a plain-http proxy.
        host: the value of the header `host`, unless `headers` has one.
        headers: all other headers, names in lower case.
        method: of the request.
    """
    lines = [f"{method} {target} HTTP/1.1"]
    if "host" not in headers:
        lines.append(f"host: {host}")
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines += ["content-length: "] if method == "POST" else ["", ""]
    return "\r\n".join(lines).encode("ascii")
