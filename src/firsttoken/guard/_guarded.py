"""What both guard transports share: which requests are guarded, and what their clients are given to read."""

import importlib
import json
import os
import sys
from types import ModuleType
from typing import Any

import msgspec

from firsttoken._client.prepared import PreparedRequest, Route
from firsttoken._client.settings import limited_timeout, max_wait_s
from firsttoken._json import as_array, as_object
from firsttoken._models.base import ResponseInfo
from firsttoken._models.chunk import ChatCompletionChunk, ChunkChoice
from firsttoken._models.completion import ChatCompletion
from firsttoken._models.observer import Observer
from firsttoken._models.request import ChatCompletionRequest, Timeout
from firsttoken._models.tables import finish_class
from firsttoken._protocol.proxy import proxy_for, proxy_url_for
from firsttoken._protocol.url import Endpoint, split_url
from firsttoken.errors import APIConnectionError, APIStatusError, APITimeoutError, ChatCompletionError

_FRAMING = frozenset({"content-length", "transfer-encoding", "connection", "accept-encoding"})
_RESPONSE_FRAMING = frozenset({"content-length", "transfer-encoding", "content-encoding", "connection", "content-type"})


class _Delta(msgspec.Struct):
    role: str | None = None
    content: str | None = None
    tool_calls: list[dict[str, Any]] | None = None


class _Choice(msgspec.Struct):
    delta: _Delta
    index: int = 0
    finish_reason: str | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice]
    usage: dict[str, Any] | None = None


_require_usual_types = msgspec.json.Decoder(_Chunk).decode
_decode_object = msgspec.json.Decoder(dict[str, Any]).decode


def flavour_of(request: object) -> ModuleType:
    """The package that a request is of: `httpx2` or `httpx`."""
    return sys.modules[type(request).__module__.partition(".")[0]]


def proxy_of(request: Any, given: str | None) -> str:
    """The URL of the proxy that a request which is not guarded goes through; "" for none."""
    origin, _, _ = split_url(str(request.url), "the request's URL")
    return proxy_url_for(origin, given, os.environ)[0]


def guarded_request(
    request: Any, *, timeout: Timeout, proxy: str | None, observer: Observer | None, require_finish_reason: bool
) -> PreparedRequest | None:
    """The call that a request becomes; None where it is not a streamed chat completion, and passes."""
    if request.method != "POST" or not request.url.path.rstrip("/").endswith("/chat/completions"):
        return None
    try:
        fields = _decode_object(request.content)
    except (ValueError, RecursionError):
        return None
    if fields.get("stream") is not True:
        return None
    origin, path, query = split_url(str(request.url), "the request's URL")
    endpoint = Endpoint(origin, f"{path}?{query}" if query else path)
    headers = {name: value for name, value in request.headers.items() if name not in _FRAMING}
    wanted = fields.get("n")
    return PreparedRequest(
        request=ChatCompletionRequest(
            model=str(fields.pop("model", "")), messages=fields.pop("messages", []), extra=fields
        ),
        route=Route(endpoint, proxy_for(origin, proxy, os.environ), headers | {"accept-encoding": "identity"}, {}),
        body=request.content,
        streamed=True,
        expected_choices=wanted if isinstance(wanted, int) and wanted > 0 else 1,
        require_finish_reason=require_finish_reason,
        timeout=limited_timeout(_shorter(timeout, request.extensions.get("timeout") or {}), max_wait_s(os.environ)),
        max_retries=0,  # they are the client's
        observer=observer,
    )


def _shorter(timeout: Timeout, limits: dict[str, float | None]) -> Timeout:
    """The deadlines, none longer than the client's own limit for connecting, or for reading."""

    def least(ours_s: float | None, theirs_s: float | None) -> float | None:
        return min((s for s in (ours_s, theirs_s) if s is not None), default=None)

    return Timeout(
        connect_s=least(timeout.connect_s, limits.get("connect")),
        first_chunk_s=least(timeout.first_chunk_s, limits.get("read")),
        idle_s=least(timeout.idle_s, limits.get("read")),
        response_s=timeout.response_s,
        total_s=timeout.total_s,
    )


def event(chunk: ChatCompletionChunk, *, is_event_stream: bool) -> bytes:
    """The event of a chunk: its exact bytes; where the server sent no chunk, or one that clients trip over, its fields.

    Clients trip over null where OpenAI has a list or an object, and over other types, which firsttoken reads. A finish
    reason that stands for an error is left out, since the error follows: litellm would drop the text beside it.

    b"" for an event of another name, which is not part of the answer: clients take its data for a chunk, or an error.
    """
    if chunk.event not in ("", "message"):
        return b""
    data = chunk.raw
    try:
        _require_usual_types(data)
    except (ValueError, RecursionError):
        is_event_stream = False
    if not is_event_stream or any(map(_ends_in_error, chunk.choices)):
        data = _as_chunk(chunk)
    if b"\n" in data:
        data = data.replace(b"\n", b"\ndata: ")
    return b"data: %b\n\n" % data


def _as_chunk(chunk: ChatCompletionChunk) -> bytes:
    """All fields of a chunk; those that have another type than OpenAI's as firsttoken has read them, or not at all."""
    fields = chunk.to_dict()
    fields |= {"object": "chat.completion.chunk", "id": chunk.id, "model": chunk.model, "created": chunk.created}
    written = as_array(fields.get("choices")) or []
    fields["choices"] = [
        _usual_choice(choice, as_object(found) or {}) for choice, found in zip(chunk.choices, written, strict=False)
    ]
    if not isinstance(fields.get("usage"), dict):
        fields.pop("usage", None)
    return json.dumps(fields).encode()


def _ends_in_error(choice: ChunkChoice) -> bool:
    return choice.finish_reason is not None and finish_class(choice.finish_reason) == "error"


def _usual_choice(choice: ChunkChoice, fields: dict[str, Any]) -> dict[str, Any]:
    delta = as_object(fields.get("delta")) or {}
    usual = {name: value for name, value in delta.items() if name != "role" or isinstance(value, str)}
    reason = None if _ends_in_error(choice) else fields.get("finish_reason")
    return fields | {"index": choice.index, "delta": usual, "finish_reason": reason}


def is_event_stream(response: ResponseInfo | None) -> bool:
    """Whether a response's body is events, and not one JSON object."""
    return response is not None and "json" not in response.headers.get("content-type", "")


def response_headers(response: ResponseInfo | None) -> dict[str, str]:
    """The headers of a response whose body is written anew, as events."""
    headers = {} if response is None else dict(response.headers)
    return {k: v for k, v in headers.items() if k not in _RESPONSE_FRAMING} | {"content-type": "text/event-stream"}


def error_event(error: APIStatusError) -> bytes:
    """The event of an error of the server, as OpenAI's own stream has it."""
    body: Any = error.body
    inner = body.get("error") if isinstance(body, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    known = {"message": str(error), "type": error.type, "param": error.param, "code": error.code}
    fields: dict[str, Any] = known | inner if isinstance(inner, dict) else known  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return b"data: %b\n\n" % json.dumps({"error": fields}).encode()


def error_response(error: ChatCompletionError, request: Any, flavour: ModuleType) -> Any:
    """The HTTP response of an error of the server that came before any chunk; None: it is to be raised from the body.

    Raises:
        StreamBrokenError, StreamTimeoutError, StreamLostError: in place of a response, where a framework may retry.
    """
    if isinstance(error, APIStatusError) and error.status is not None and error.status >= 300:
        headers = response_headers(error.response)
        is_text = isinstance(error.body, str)
        headers["content-type"] = "text/plain; charset=utf-8" if is_text else "application/json"
        if not error.retryable:
            headers.setdefault("x-should-retry", "false")
        elif error.retry_after_s is not None:
            headers.setdefault("retry-after", f"{error.retry_after_s:g}")
        body = error.body if isinstance(error.body, str) else json.dumps(error.body)
        return flavour.Response(error.status, headers=headers, content=body.encode(errors="replace"), request=request)
    if error.retryable:
        raise broken(error, flavour) from error
    return None


class _GuardError(Exception):
    """What a guarded stream raises; it is an exception of the client's own flavour, too.

    Attributes:
        failure: what firsttoken raised: one of `firsttoken.errors`.
        partial: what had arrived of the answer; None where nothing had.
    """

    failure: ChatCompletionError
    _flavour: str

    @property
    def partial(self) -> ChatCompletion | None:
        """What had arrived of the answer; None where nothing had."""
        return self.failure.partial

    def __reduce__(self) -> tuple[object, ...]:
        return _unpickle, (type(self).__name__, self._flavour, self.failure)


class StreamBrokenError(_GuardError):
    """The stream ended before the answer did, or is not a stream of chat completions; a `RemoteProtocolError`."""


class StreamTimeoutError(_GuardError):
    """A deadline has passed; a `ReadTimeout`."""


class StreamLostError(_GuardError):
    """The connection was lost, or could not be made; a `ReadError`."""


for _public in (StreamBrokenError, StreamTimeoutError, StreamLostError):
    _public.__module__ = "firsttoken.guard"  # the public module, for reprs and tracebacks

_KINDS: dict[str, tuple[type[_GuardError], str]] = {
    "StreamBrokenError": (StreamBrokenError, "RemoteProtocolError"),
    "StreamTimeoutError": (StreamTimeoutError, "ReadTimeout"),
    "StreamLostError": (StreamLostError, "ReadError"),
}
_classes: dict[tuple[str, str], type[_GuardError]] = {}


def broken(failure: ChatCompletionError, flavour: ModuleType) -> _GuardError:
    """The exception for a failure, as one that clients of a flavour know."""
    if isinstance(failure, APITimeoutError):
        kind = "StreamTimeoutError"
    else:
        kind = "StreamLostError" if isinstance(failure, APIConnectionError) else "StreamBrokenError"
    return _unpickle(kind, flavour.__name__, failure)


def _unpickle(kind: str, flavour: str, failure: ChatCompletionError) -> _GuardError:
    found = _classes.get((kind, flavour))
    if found is None:
        base, name = _KINDS[kind]
        theirs = getattr(importlib.import_module(flavour), name)
        found = _classes[kind, flavour] = type(
            kind, (base, theirs), {"__module__": "firsttoken.guard", "_flavour": flavour}
        )
    error = found(str(failure))
    error.failure = failure
    return error
