"""What a client gets that asked for no stream: the events of a script, put together to one JSON object."""

import json

import msgspec

from firsttoken._json import as_array, as_object, parse_json
from firsttoken._models.base import EXTRA_NAME
from firsttoken._protocol.server_error import is_error
from firsttoken.errors import APIStatusError, ResponseFormatError
from firsttoken.sansio import SSEDecoder, StreamParser

EVENT_STREAM = "text/event-stream; charset=utf-8"
_JSON = "application/json"
_NULLS = ("content", "refusal", "finish_reason", "logprobs")
"""What OpenAI writes even where it is null."""


def non_streaming_response(stream: bytes) -> tuple[int, bytes, str]:
    """The response that says in one what a stream says: status, body, content type.

    Comments and the like are left out, and a missing end is not a failure. An event that is an error is the response,
    with its status, or 500; so is one that is not a chunk, as it is, and so are bytes without any event in them.
    """
    core = StreamParser()
    has_chunks = False
    for event in SSEDecoder().receive_data(stream):
        core.receive_data(b"event: %s\ndata: %s\n\n" % (event.event.encode(), event.data.replace(b"\n", b"\ndata: ")))
        while core.next_chunk() is not None:
            has_chunks = True
        if isinstance(core.failure, APIStatusError):
            return core.failure.status or 500, json.dumps(core.failure.body).encode(), _JSON
        if isinstance(core.failure, ResponseFormatError):
            return 200, event.data, _JSON
    if stream and not has_chunks:
        return 200, stream, _JSON if stream.lstrip().startswith(b"{") else EVENT_STREAM
    return 200, json.dumps(_without_ours(msgspec.to_builtins(core.completion))).encode(), _JSON


def error_in(body: bytes) -> object:
    """The error that an event among these bytes is; None where none is."""
    if b"error" not in body and b"abort" not in body:
        return None
    for event in SSEDecoder().receive_data(body):
        try:
            value = parse_json(event.data)
        except ResponseFormatError:
            value = event.data.decode("utf-8", "replace")
        if event.event == "error" or is_error(as_object(value) or {}):
            return value
    return None


def is_error_body(body: bytes) -> bool:
    """Whether the body of a response is an error, whatever its status says."""
    try:
        return b"error" in body and is_error(as_object(parse_json(body)) or {})
    except ResponseFormatError:
        return False


def _without_ours(value: object) -> object:
    """The JSON as a server writes it: fields of its own beside the others, ours not at all, few nulls."""
    array, fields = as_array(value), as_object(value)
    if array is not None:
        return [_without_ours(item) for item in array]
    if fields is None:
        return value
    told = {name: item for name, item in fields.items() if item is not None or name in _NULLS}
    known = {name: _without_ours(item) for name, item in told.items() if not name.startswith("$")}
    return known | (as_object(fields.get(EXTRA_NAME)) or {})
