"""Error responses and error events, in any of their shapes, to exceptions.

Owns the shapes of error bodies and the text of the message. Whether to try again is for `retry` to decide.

Shapes seen: `{"error": {…}}`, `{"error": "text"}`, `{"error": {…}, "status_code": …}`, flat `{"message", "type",
"code"}` (Mistral, vLLM), `{"object": "error", …}`, `{"detail": "text" | […]}` (FastAPI), plain text and HTML.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import TypeVar

from firsttoken._json import as_array, as_object, as_text, excerpt, parse_json
from firsttoken._protocol.retry import may_be_retried, retry_after_s
from firsttoken.errors import APIStatusError, ResponseFormatError, status_error_class

_HINTS = {
    401: "is api_key= (or OPENAI_API_KEY, AZURE_OPENAI_API_KEY) the key of this server?",
    403: "the key is known, but may not do this",
    404: "check the name of the model (or deployment) and base_url (most servers want it to end in /v1)",
    407: "the proxy wants a user and a password: http://user:password@host:port",
}


def status_error(status: int, headers: Mapping[str, str], body: bytes, wall_clock_s: float) -> APIStatusError:
    """The error of a response with an HTTP status outside 2xx."""
    value = _parsed(body)
    reason = _message_of(value) or _body_text(body)
    phrase = f"{status} {_phrase(status)}".strip()
    error = _build(
        status, value, f"the server answered {phrase}" + (f": {reason}" if reason else ""), _hint(status, headers)
    )
    error.retry_after_s = retry_after_s(headers, wall_clock_s)
    error.retryable = may_be_retried(error, headers)
    return error


def proxy_refusal(status: int, proxy: str) -> APIStatusError:
    """The error of a proxy that refuses CONNECT; the server and the key have no part in it."""
    hint = _HINTS[407] if status == 407 else None
    phrase = f"{status} {_phrase(status)}".strip()
    return APIStatusError(f"the proxy {proxy} refused CONNECT: {phrase}", status=status, hint=hint)


def stream_error(value: object) -> APIStatusError:
    """The error of an event that is one; its class is that of the status which the event names, if any."""
    return _error_in_200(value, "the server reported an error inside the stream")


def body_error(value: object) -> APIStatusError:
    """The error that is the whole body of a response which says 200; its class is found as that of an event's."""
    return _error_in_200(value, "error response with status 200")


def _error_in_200(value: object, where: str) -> APIStatusError:
    reason = _message_of(value) or as_text(value) or "no reason given"
    return _build(_status_in(value), value, f"{where}: {reason}", None, in_stream=True)


def is_error(value: Mapping[str, object]) -> bool:
    """Whether an event's JSON object is an error, whatever else it holds."""
    if value.get("error") or value.get("object") == "error":
        return True
    for choice in as_array(value.get("choices")) or ():
        fields = as_object(choice)
        if fields and (fields.get("error") or fields.get("finish_reason") in ("error", "abort")):
            return True
    return False


def _build(
    status: int | None, value: object, message: str, hint: str | None, *, in_stream: bool = False
) -> APIStatusError:
    details = _details(value)
    return status_error_class(status)(
        message,
        status=status,
        code=as_text(details.get("code")),
        type=as_text(details.get("type")) or as_text(details.get("error_type")),
        param=as_text(details.get("param")),
        body=value,
        in_stream=in_stream,
        hint=hint,
    )


def _parsed(body: bytes) -> object:
    try:
        return parse_json(body)
    except ResponseFormatError:
        return body.decode("utf-8", "replace")


def _body_text(body: bytes) -> str:
    return excerpt(body) if body.strip() else ""


def _details(value: object) -> dict[str, object]:
    """The object that has `code`, `type` and `param`: the one under `error`, else the one around it."""
    outer = as_object(value) or {}
    inner = as_object(outer.get("error"))
    if inner is not None:
        return inner
    for choice in as_array(outer.get("choices")) or ():
        inner = as_object((as_object(choice) or {}).get("error"))
        if inner is not None:
            return inner
    return outer


def _message_of(value: object) -> str | None:
    """The server's own message."""
    outer = as_object(value)
    if outer is None:
        return None
    details = _details(value)
    for found in (details.get("message"), outer.get("error"), outer.get("message"), details.get("detail")):
        text = as_text(found)
        if text:
            return text
    detail = outer.get("detail") or details.get("errors")
    if detail:
        return repr(detail)[:1000]
    for choice in as_array(outer.get("choices")) or ():
        reason = (as_object(choice) or {}).get("finish_reason")
        if reason in ("error", "abort"):
            return f'finish reason "{reason}"'
    return None


def _status_in(value: object) -> int | None:
    """The HTTP status that an error inside a stream names: 400 to 599, as a number or in digits."""
    outer = as_object(value) or {}
    for fields in (_details(value), outer):
        for name in ("status_code", "status", "code"):
            text = as_text(fields.get(name))
            if text and len(text) == 3 and text.isascii() and text.isdigit() and 400 <= int(text) <= 599:
                return int(text)
    return None


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _hint(status: int, headers: Mapping[str, str]) -> str | None:
    if 300 <= status <= 399:
        location = headers.get("location")
        to = f" to {location[:200]!r}" if location else ""
        why = "to avoid sending the key to another host"
        return f"redirects{to} are not followed, {why}; set base_url to the final address"
    return _HINTS.get(status)


_Failure = TypeVar("_Failure", bound=BaseException)


def without_traceback(failure: _Failure) -> _Failure:
    """The failure, it and its causes without tracebacks, and without what was being handled when they were raised."""
    link: BaseException | None = failure
    while link is not None:
        link.__traceback__ = link.__context__ = None
        link = link.__cause__
    return failure
