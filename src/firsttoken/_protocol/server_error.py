"""Error responses and error events, in any of their shapes, to exceptions.

Which shapes there are, and who sends them, is in the table of `quirks`. Whether to try again is for `retry` to decide.
"""

import re
from collections.abc import Iterator, Mapping

from firsttoken._json import JSONObject, as_array, as_object, as_text, excerpt, objects, parse_json
from firsttoken._models.tables import finish_class
from firsttoken._protocol.retry import may_be_retried, retry_after_s
from firsttoken.errors import APIStatusError, ResponseFormatError, status_error_class

_HINTS = {
    401: "is api_key= (or OPENAI_API_KEY, AZURE_OPENAI_API_KEY) the key of this server?",
    403: "the key is valid but lacks permission for this",
    404: "check the name of the model (or deployment) and base_url (most servers want it to end in /v1)",
    407: "the proxy requires a user and a password: http://user:password@host:port",
}

MAX_MESSAGE = 1000
"""Characters of a server's own message that are quoted."""

ERROR_FIELDS = frozenset({"error", "x_groq", "base_resp"})
"""Fields of a chunk that may hold an error, whatever else the chunk has."""

_MESSAGE_FIELDS = ("message", "msg", "error_msg", "error_message", "errorMessage", "status_msg", "Message")
_CODE_FIELDS = ("code", "error_code", "status_code", "errorCode")
_STATUS_FIELDS = (
    "status_code",
    "http_status_code",
    "http_code",
    "http_status",
    "statusCode",
    "status",
    "code",
    "error",
)
FLAT_FIELDS = frozenset(
    {*_MESSAGE_FIELDS, *_CODE_FIELDS, *_STATUS_FIELDS, "detail", "details", "errors", "err", "ResponseMetadata"}
)
"""Fields that make an object without choices an error."""

_SUCCESS = frozenset({"0", "200", "ok", "success", "succeed", "succeeded", "true"})
KEEP_ALIVES = frozenset({"ping", "pong", "heartbeat", "keepalive", "keep-alive", "keep_alive"})
_NOTICES = KEEP_ALIVES | {"info", "progress", "status"}

_TRANSIENT_TYPES = frozenset(
    {
        *("overloaded_error", "overloaded", "engine_overloaded_error", "server_error", "internal_server_error"),
        *("api_error", "service_unavailable", "service_unavailable_error", "timeout_error"),
        *("rate_limit_error", "rate_limit_exceeded", "rate_limit_reached_error", "too_many_requests"),
    }
)
"""Types and codes of transient errors, for errors that name no status."""


def status_error(status: int, headers: Mapping[str, str], body: bytes, wall_clock_s: float) -> APIStatusError:
    """The error of a response with an HTTP status outside 2xx."""
    value = _parsed(body)
    reason = _message_of(value) or _body_text(body)
    phrase = f"{status} {_phrase(status)}".strip()
    error = _build(
        status,
        value,
        f"the server answered {phrase}" + (f": {reason}" if reason else ""),
        _hint(status, headers, body),
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
    """The error that is the body of a response with status 200; its class is found as that of an event's."""
    return _error_in_200(value, "error response with status 200")


def _error_in_200(value: object, where: str) -> APIStatusError:
    reason = _message_of(value) or as_text(value) or f"no reason given{_code_of(value)}"
    status = _status_in(value)
    named = f"{reason} {_details(value).get('param')}"
    error = _build(status, value, f"{where}: {reason}", _options_hint(named), in_stream=True)
    if status is None:
        error.retryable = not _TRANSIENT_TYPES.isdisjoint((error.code, error.type)) or _is_by_finish_reason(value)
    return error


def error_object(value: object) -> JSONObject | None:
    """The JSON object that is an error, by what an event or a body holds; None where it is not an error.

    It is the object itself, or the first of a list.
    """
    found = _first_object(value)
    return found if found is not None and is_error(found) else None


def is_error(value: Mapping[str, object]) -> bool:
    """Whether an event's JSON object is an error, whatever else it holds."""
    if value.get("object") == "error" or any(_errors_beside_choices(value)):
        return True
    choices = objects(value.get("choices"))
    if any(_reason_of(choice) or any(_errors_in_choice(choice)) for choice in choices):
        return True
    return not choices and _is_flat_error(value)


def _errors_beside_choices(value: Mapping[str, object]) -> Iterator[object]:
    for error in (value.get("error"), (as_object(value.get("x_groq")) or {}).get("error")):
        if _has_error(error):
            yield error
    base = as_object(value.get("base_resp"))
    if base is not None and not _is_success(base.get("status_code", 0)):
        yield base


def _errors_in_choice(choice: Mapping[str, object]) -> Iterator[object]:
    for place in (choice, as_object(choice.get("delta")) or {}, as_object(choice.get("message")) or {}):
        if _has_error(place.get("error")):
            yield place["error"]


def _has_error(error: object) -> bool:
    """Whether the value of a field `error` is one: some servers send it null, false, "" or with empty fields."""
    fields = as_object(error)
    return any(map(_is_set, fields.values())) if fields is not None else bool(error)


def _is_set(value: object) -> bool:
    fields = as_object(value)
    return any(map(_is_set, fields.values())) if fields is not None else bool(value)


def _is_flat_error(value: Mapping[str, object]) -> bool:
    """Whether an object without choices has the fields of an error."""
    if FLAT_FIELDS.isdisjoint(value):
        return False
    codes = [value[name] for name in (*_CODE_FIELDS, "status") if as_text(value.get(name))]
    if any(map(_is_success, codes)) or value.get("success") is True:
        return False
    if value.get("detail") or value.get("errors") or value.get("err") or value.get("error_code"):
        return True
    if _volcengine_error(value) is not None or _status_in(value) is not None:
        return True
    message = next((text for name in _MESSAGE_FIELDS if (text := as_text(value.get(name)))), None)
    if message is None or message.strip().lower() in _SUCCESS:
        return False
    return bool(codes) or value.get("type") not in _NOTICES


def _is_success(code: object) -> bool:
    return code is None or code is True or str(code).strip().lower() in _SUCCESS


def _volcengine_error(value: Mapping[str, object]) -> JSONObject | None:
    return as_object((as_object(value.get("ResponseMetadata")) or {}).get("Error"))


def _reason_of(choice: Mapping[str, object]) -> str | None:
    """The finish reason of a choice where it is one of an error."""
    reason = choice.get("finish_reason")
    return reason if isinstance(reason, str) and finish_class(reason) == "error" else None


def _is_by_finish_reason(value: object) -> bool:
    """Whether nothing but a finish reason says that an object is an error."""
    outer = as_object(value) or {}
    choices = objects(outer.get("choices"))
    return (
        any(map(_reason_of, choices))
        and not any(_errors_beside_choices(outer))
        and not any(any(_errors_in_choice(choice)) for choice in choices)
    )


def _build(
    status: int | None, value: object, message: str, hint: str | None, *, in_stream: bool = False
) -> APIStatusError:
    details = _details(value)
    names = ("code", "error_code", "errorCode", "Code", *(["status_code"] if "status_msg" in details else []))
    return status_error_class(status)(
        message,
        status=status,
        code=next((code for name in names if (code := as_text(details.get(name)))), None),
        type=as_text(details.get("type")) or as_text(details.get("error_type")),
        param=as_text(details.get("param")),
        body=value,
        in_stream=in_stream,
        hint=hint,
    )


_SSE_DATA = re.compile(rb"^data: ?(.*\S)", re.MULTILINE)


def _parsed(body: bytes) -> object:
    """The JSON of an error response's body, which may be framed as an event; else its text."""
    try:
        return parse_json(body)
    except ResponseFormatError:
        pass
    for data in _SSE_DATA.findall(body):
        try:
            value = parse_json(data)
        except ResponseFormatError:
            continue
        if as_object(value):
            return value
    return body.decode("utf-8", "replace")


def _body_text(body: bytes) -> str:
    return excerpt(body) if body.strip() else ""


def _outer(value: object) -> JSONObject:
    """The object that is an error response or event: itself, or the first of a list."""
    return _first_object(value) or {}


def _first_object(value: object) -> JSONObject | None:
    return as_object(value) or next(iter(objects(value)), None)


def _details(value: object) -> JSONObject:
    """The object that has `code`, `type` and `param`: the one under `error`, else the one around it."""
    outer = _outer(value)
    places = [outer.get("error"), (as_object(outer.get("x_groq")) or {}).get("error"), _volcengine_error(outer)]
    places += [error for choice in objects(outer.get("choices")) for error in _errors_in_choice(choice)]
    base = as_object(outer.get("base_resp"))
    if base is not None and not _is_success(base.get("status_code", 0)):
        places.append(base)
    found = next((found for place in places if (found := _first_object(place))), outer)
    while found is not outer and (inner := _first_object(found.get("error"))):
        found = {name: value for name, value in found.items() if name != "error"} | inner
    return found


def _message_of(value: object) -> str | None:
    """The server's own message."""
    outer, details = _outer(value), _details(value)
    for fields in (details, outer):
        texts = [*(fields.get(name) for name in _MESSAGE_FIELDS), fields.get("error"), fields.get("err")]
        texts.append(fields.get("detail"))
        for text in map(as_text, texts):
            if text:
                return text
    if (x_groq := as_text((as_object(outer.get("x_groq")) or {}).get("error"))) is not None:
        return x_groq
    for choice in objects(outer.get("choices")):
        for error in _errors_in_choice(choice):
            if (text := as_text(error)) is not None:
                return text
    return _structured_message(outer, details)


def _code_of(value: object) -> str:
    """What an error has in place of a message, in brackets."""
    details = _details(value)
    names = (*_CODE_FIELDS, "type")
    return next((f" ({name} {text[:MAX_MESSAGE]})" for name in names if (text := as_text(details.get(name)))), "")


def _structured_message(outer: JSONObject, details: JSONObject) -> str | None:
    places = [fields.get(name) for name in ("detail", "errors", "message") for fields in (outer, details)]
    places.append(as_array(outer.get("error")))
    detail = next((place for place in places if place and not isinstance(place, bool | str)), None)
    items = as_array(detail)
    if items and len(items) == 1 and (message := as_text((as_object(items[0]) or {}).get("message"))):
        return message
    if detail:
        return repr(detail)[:MAX_MESSAGE]
    for choice in objects(outer.get("choices")):
        reason = _reason_of(choice)
        if reason is not None:
            return f'finish reason "{reason[:MAX_MESSAGE]}"'
    text = as_text(outer.get("text"))
    return text if text and outer.get("error_code") else None


def _status_in(value: object) -> int | None:
    """The HTTP status that an error inside a stream names: 400 to 599, as a number or in digits."""
    for fields in (_details(value), _outer(value)):
        for name in _STATUS_FIELDS:
            text = as_text(fields.get(name))
            if text and len(text) == 3 and text.isascii() and text.isdigit() and 400 <= int(text) <= 599:
                return int(text)
    return None


def _phrase(status: int) -> str:
    from http import HTTPStatus  # here and not above: most processes see no error

    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _options_hint(text: str) -> str | None:
    """How to leave out a field that is sent by default, if the server refuses it."""
    is_named = "stream_options" in text or "include_usage" in text
    return 'stream_options={"include_usage": False} leaves it out' if is_named else None


def _hint(status: int, headers: Mapping[str, str], body: bytes) -> str | None:
    if status in (400, 422, 501) and (hint := _options_hint(body.decode("latin-1"))):
        return hint
    if status == 400 and _wants_tls(body):
        return "this port expects TLS: base_url must begin with https://"
    if 300 <= status <= 399:
        location = headers.get("location")
        to = f" to {location[:200]!r}" if location else ""
        why = "to avoid sending the key to another host"
        return f"redirects{to} are not followed, {why}; set base_url to the final address"
    return _HINTS.get(status)


def _wants_tls(body: bytes) -> bool:
    """Whether a server complains about a request without TLS, in the words of nginx, Go's servers or Apache."""
    lower = body[:MAX_MESSAGE].lower()
    return any(words in lower for words in _WANTS_TLS)


_WANTS_TLS = (b"sent to https port", b"http request to an https server", b"plain http to an ssl-enabled server port")
