"""A request to the bytes of its head and body.

The JSON body, the headers and their checks; where the bytes go is not known here.

Sources: RFC 9110 (fields), RFC 9112, section 3 (request line).
"""

import json
import string
from collections.abc import Mapping, Sequence

import msgspec

from firsttoken._json import as_object
from firsttoken._models.messages import user_message
from firsttoken._models.request import ChatCompletionRequest, StreamOptions, as_response_format, as_tools
from firsttoken._models.value import to_plain
from firsttoken.errors import ConfigurationError

_encode = msgspec.json.Encoder().encode
_FORBIDDEN = frozenset(map(chr, range(0x20))) - {"\t"} | {"\x7f"}
"""Invalid in a header's value: RFC 9110, section 5.5."""

_TOKEN = frozenset(string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~")
"""Valid in a header's name: RFC 9110, section 5.6.2."""

_FRAMING_HEADERS = frozenset({"content-length", "transfer-encoding", "connection"})


def encode_body(request: ChatCompletionRequest, *, stream: bool) -> bytes:
    """The JSON body of a request; the request is left as it is.

    Args:
        request: what to send.
        stream: whether to stream, whatever `request.stream` or `extra` has.

    Raises:
        ConfigurationError: something in the request can't be encoded as JSON, or there are no messages.
    """
    body: dict[str, object] = {
        name: value for name in request.__struct_fields__ if (value := getattr(request, name)) is not None
    }
    extra = body.pop("extra", None)
    body.pop("stream", None)
    options = body.pop("stream_options", None)
    if request.tools is not None:
        body["tools"] = as_tools(request.tools)  # again: it may have been set since the request was made
    if request.response_format is not None:
        body["response_format"] = as_response_format(request.response_format)
    try:
        body["messages"] = [_plain_message(message) for message in _messages(request.messages)]
    except RecursionError as error:
        raise ConfigurationError("a message of the request holds itself, or is nested too deeply") from error
    if stream:
        body["stream"] = True
        body.update(_stream_options(options))
    if isinstance(extra, Mapping):
        body.update({name: value for name, value in extra.items() if name != "stream"})  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType, reportUnknownVariableType]
    return _to_json(body)


def _messages(messages: object) -> Sequence[object]:
    if isinstance(messages, str):
        return [user_message(messages)]
    if not isinstance(messages, Sequence) or isinstance(messages, (bytes, bytearray)):
        raise ConfigurationError(
            f"messages must be a str or a sequence of messages, not {type(messages).__name__}",
            hint='as in messages=[user_message("Hi")]',
        )
    return messages  # pyright: ignore[reportUnknownVariableType]


def _stream_options(options: object) -> dict[str, object]:
    """Usage is requested unless it is switched off; then no `stream_options` is sent at all."""
    wanted: dict[str, object] = {"include_usage": True}
    given = msgspec.to_builtins(options) if isinstance(options, StreamOptions) else options
    if isinstance(given, Mapping):
        wanted.update(given)  # pyright: ignore[reportUnknownArgumentType]
    if not wanted["include_usage"]:
        del wanted["include_usage"]
    return {"stream_options": wanted} if wanted else {}


def _plain_message(message: object) -> object:
    """A message as it is sent; any of them may hold parts of a completion."""
    plain = to_plain(message)
    fields = as_object(plain)
    audio = None if fields is None else as_object(fields.get("audio"))
    if fields is not None and audio is not None and fields.get("role") == "assistant" and "id" in audio:
        fields["audio"] = {"id": audio["id"]}  # which is all that the API takes back
    return plain


def _to_json(body: dict[str, object]) -> bytes:
    try:
        return _encode(body)
    except UnicodeEncodeError:
        # A lone surrogate, as a cut UTF-16 text has it: JSON can hold it, UTF-8 can't (RFC 8259, section 8.2).
        try:
            return json.dumps(msgspec.to_builtins(body)).encode("ascii")
        except _NOT_JSON as error:
            raise _not_json(error) from error
    except _NOT_JSON as error:
        raise _not_json(error) from error


_NOT_JSON = (TypeError, ValueError, RecursionError, OverflowError)


def _not_json(error: Exception) -> ConfigurationError:
    return ConfigurationError(f"the request can't be encoded as JSON: {error}")


def check_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers of the caller, names in lower case.

    Raises:
        ConfigurationError: a name or value is invalid, or the header is set by firsttoken. The message does not show
            the value: it may be a key.
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
            raise ConfigurationError(f"the header {lower} is set by firsttoken: it can't be given")
        checked[lower] = check_header_value(lower, value)
    return checked


def check_header_value(name: str, value: str) -> str:
    """The value, if it is a valid one.

    Raises:
        ConfigurationError: it is not. The message does not show it.
    """
    if not isinstance(value, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(f"the value of {name} must be a str, not {type(value).__name__}")
    if not value.isascii() or not _FORBIDDEN.isdisjoint(value) or value != value.strip():
        raise ConfigurationError(
            f"the value of {name} has a line break, a blank at an end or a character that is not printable ASCII",
            hint="was it copied with a new line at its end?",
        )
    return value


def encode_head(target: str, host: str, headers: Mapping[str, str], body_length: int) -> bytes:
    """The head of a POST request.

    Args:
        target: path and query, or the absolute URI for a plain-http proxy.
        host: the value of the header `host`, unless `headers` has one.
        headers: all other headers, names in lower case.
        body_length: in bytes.
    """
    lines = [f"POST {target} HTTP/1.1"]
    if "host" not in headers:
        lines.append(f"host: {host}")
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines.append(f"content-length: {body_length}\r\n\r\n")
    return "\r\n".join(lines).encode("ascii")
