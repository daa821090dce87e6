"""What DESIGN's promises say of each fault: the table that the tests compare with what they see."""

from typing import NamedTuple

from firsttoken.errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    ChatCompletionError,
    ConflictError,
    InternalServerError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    ResponseFormatError,
    StreamTruncatedError,
    TimeoutPhase,
    UnprocessableEntityError,
)

DEADLINE_S = 0.2


class Expected(NamedTuple):
    """What a caller is to get.

    Attributes:
        kind: the exact class of the error; None for the whole answer.
        words: the whole message; "…" stands for any words, as those of other libraries are.
        phase: of a timeout.
        in_stream: of an error of the server.
    """

    kind: type[ChatCompletionError] | None = None
    words: str = ""
    phase: TimeoutPhase | None = None
    in_stream: bool = False


WHOLE = Expected()
LOST = Expected(APIConnectionError, "lost the connection to SERVER: …")
LOST_AT_ONCE = Expected(APIConnectionError, "…connection to SERVER: …")
"""Lost, or never made: which of the two it was depends on the moment."""

NO_CHUNK = Expected(
    APITimeoutError, "timed out after 0.2 s (first_chunk_s) waiting for the first token from SERVER", "first_chunk"
)
NO_RESPONSE = Expected(
    APITimeoutError, "the response from SERVER was not complete after 0.2 s (response_s)", "response"
)
NO_MORE = Expected(APITimeoutError, "timed out after 0.2 s (idle_s) waiting for the next token from SERVER", "idle")
CLOSED = Expected(StreamTruncatedError, "the connection was closed before the end of the response")


def not_http(excerpt: str) -> Expected:
    return Expected(ResponseFormatError, f"invalid HTTP/1.1 response (…): {excerpt}")


def format_error(words: str) -> Expected:
    return Expected(ResponseFormatError, words)


def refused(kind: type[APIStatusError], status: int, words: str) -> Expected:
    """A refusal; the name of the status is Python's."""
    return Expected(kind, f"the server answered {status}…{words}")


def reported(kind: type[APIStatusError], words: str = "the engine died") -> Expected:
    return Expected(kind, f"the server reported an error inside the stream: {words}", in_stream=True)


def truncated(chunks: int, why: str) -> Expected:
    return Expected(StreamTruncatedError, f"stream truncated after {chunks} chunk{'' if chunks == 1 else 's'}: {why}")


HALF = truncated(3, "no [DONE] and no finish_reason for choice 0")

LOST_OR_SLOW = {
    "refuse": Expected(APIConnectionError, "no connection to SERVER: …\nhint: is the server running on this port?"),
    "accept-and-close": LOST_AT_ONCE,
    "accept-and-reset": LOST_AT_ONCE,
    "close-after-request": Expected(
        APIConnectionError, "lost the connection to SERVER: the server closed the connection without a response"
    ),
    "reset-after-request": LOST,
    "close-in-head": CLOSED,
    "reset-in-head": LOST,
    "slow-head": WHOLE,
    "dripping-head": WHOLE,
    "no-head": NO_CHUNK,
    "stall-in-head": NO_CHUNK,
    "endless-dripping-head": NO_CHUNK,
    "endless-headers": format_error("the response has more than 131072 bytes of headers, trailers or chunk extensions"),
    "endless-header-line": format_error(
        "the response has more than 131072 bytes of headers, trailers or chunk extensions"
    ),
    "interim-then-answer": WHOLE,
    "endless-interim": NO_CHUNK,
    "switching-protocols": format_error("the server switched protocols without being asked"),
    "ssh": not_http(r"'SSH-2.0-OpenSSH_9.6\r\n'"),
    "tls-alert": not_http(r"'\x15\x03\x03\x00\x02\x02F'"),
    "http-2": not_http(r"'\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00d'"),
    "body-without-head": not_http(r"'data: [DONE]\n\n'"),
    "bad-status-line": not_http(r"'HTTP/1.1 OK 200\r\n\r\n'"),
    "bad-header": not_http(r"'HTTP/1.1 200 OK\r\n: x\r\n\r\n'"),
}

_KEY = "\nhint: …"
_REDIRECT = (
    "\nhint: redirects to 'http://127.0.0.1:9/v1/chat/completions' are not followed, "
    "to avoid sending the key to another host; …"
)
_HALF_AN_ERROR = """: '{"error": {"message": "the engi'"""

REFUSALS = {
    "status-400": refused(BadRequestError, 400, ": no: 400"),
    "status-401": refused(AuthenticationError, 401, ": no: 401" + _KEY),
    "status-403": refused(
        PermissionDeniedError, 403, ": no: 403\nhint: the key is valid but lacks permission for this"
    ),
    "status-404": refused(NotFoundError, 404, ": no: 404\nhint: …"),
    "status-408": refused(APIStatusError, 408, ": no: 408"),
    "status-409": refused(ConflictError, 409, ": no: 409"),
    "status-413": refused(APIStatusError, 413, ": no: 413"),
    "status-422": refused(UnprocessableEntityError, 422, ": no: 422"),
    "status-429": refused(RateLimitError, 429, ": no: 429"),
    "status-500": refused(InternalServerError, 500, ": no: 500"),
    "status-502": refused(InternalServerError, 502, ": no: 502"),
    "status-503": refused(InternalServerError, 503, ": no: 503"),
    "status-504": refused(InternalServerError, 504, ": no: 504"),
    "status-529": refused(InternalServerError, 529, ": no: 529"),
    "status-404-html": refused(NotFoundError, 404, ": '<!doctype html><html><head><title>404 Not Found…"),
    "status-502-html": refused(InternalServerError, 502, ": '<!doctype html><html><head><title>502 Bad Gateway…"),
    "status-503-html": refused(InternalServerError, 503, ": '<!doctype html><html><head><title>503 Service Unav…"),
    "status-401-empty": refused(AuthenticationError, 401, _KEY),
    "status-429-empty": refused(RateLimitError, 429, ""),
    "status-500-empty": refused(InternalServerError, 500, ""),
    "status-503-empty": refused(InternalServerError, 503, ""),
    "redirect-301": refused(APIStatusError, 301, _REDIRECT),
    "redirect-302": refused(APIStatusError, 302, _REDIRECT),
    "redirect-307": refused(APIStatusError, 307, _REDIRECT),
    "redirect-308": refused(APIStatusError, 308, _REDIRECT),
    "status-422-detail": refused(UnprocessableEntityError, 422, ": [{'loc': ['body', 'messages'], 'msg': 'Field …"),
    "status-400-flat": refused(BadRequestError, 400, ": too long"),
    "status-400-events": refused(BadRequestError, 400, ": too long"),
    "status-400-text": refused(BadRequestError, 400, ": 'no'"),
    "status-500-chunked": refused(InternalServerError, 500, ": the engine died"),
    "status-500-cut": refused(InternalServerError, 500, _HALF_AN_ERROR),
    "status-500-stall": refused(InternalServerError, 500, _HALF_AN_ERROR),
    "retry-after-seconds": refused(RateLimitError, 429, ": slow down"),
    "retry-after-date": refused(RateLimitError, 429, ": slow down"),
    "retry-after-ms": refused(InternalServerError, 503, ": slow down"),
    "retry-after-an-hour": refused(RateLimitError, 429, ": slow down"),
    "should-not-retry": refused(InternalServerError, 500, ": gone for good"),
    "should-retry": refused(BadRequestError, 400, ": not yet"),
    "no-credit": refused(RateLimitError, 429, ": you exceeded your quota"),
}

_IN_A_200 = "error response with status 200: the model is overloaded"
_BASE_URL = "\nhint: is base_url the address of the API? Most end in /v1"

NOT_STREAMS = {
    "ok-completion": WHOLE,
    "ok-error": Expected(APIStatusError, _IN_A_200, in_stream=True),
    "ok-error-429": Expected(RateLimitError, _IN_A_200, in_stream=True),
    "ok-flat-error": Expected(RateLimitError, _IN_A_200, in_stream=True),
    "ok-base-resp": Expected(APIStatusError, _IN_A_200, in_stream=True),
    "ok-error-as-events": Expected(APIStatusError, _IN_A_200, in_stream=True),
    "ok-other-json": format_error("""expected a chat completion: '{"status": "ok"}'"""),
    "ok-json-list": format_error("expected a chat completion, got status 200 with application/json: '[1]'" + _BASE_URL),
    "ok-cut-completion": CLOSED,
    "ok-html": format_error(
        "expected a chat completion, got status 200 with text/html: '<!doctype html><html><head>…" + _BASE_URL
    ),
    "ok-text": format_error("expected a chat completion, got status 200 with text/plain: 'It works!'" + _BASE_URL),
    "ok-empty": format_error("expected a chat completion, got status 200 with an empty body (no content type)"),
    "ok-empty-stream": Expected(StreamTruncatedError, "stream truncated before the first chunk: the body is empty"),
    "status-204": format_error("expected a chat completion, got status 204 with an empty body (no content type)"),
}

BENIGN = dict.fromkeys(
    (
        *("split-every-byte", "split-in-character", "split-in-crlf", "split-in-framing"),
        *("many-events-at-once", "huge-event", "lf", "cr", "crlf", "line-separators", "bom", "comments"),
        *("blank-lines", "no-space", "blank-data", "multi-line-data", "other-fields", "no-last-blank-line"),
        *("other-content-type", "error-null", "no-choices", "nulls", "other-types", "not-a-number"),
        *("finish-in-every-chunk", "finish-null-text", "foreign-events"),
        *("gzip", "gzip-split", "deflate", "no-done", "no-terminating-chunk"),
        *("done-then-silence", "done-then-comments", "done-then-data", "done-then-garbage", "answer-then-garbage"),
        *("finish-then-silence", "close-delimited", "http-1.0", "content-length", "trailers"),
    ),
    WHOLE,
)

CUT_OR_SILENT = {
    "close": CLOSED,
    "reset": LOST,
    "close-before-text": CLOSED,
    "reset-before-text": LOST,
    "end-in-answer": HALF,
    "end-in-event": HALF,
    "close-in-event": CLOSED,
    "close-in-chunk": CLOSED,
    "close-behind-finish": CLOSED,
    "close-delimited-cut": HALF,
    "close-delimited-cut-in-event": HALF,
    "no-finish-reason": truncated(
        3,
        "[DONE] but no finish_reason for choice 0\n"
        "hint: for a server that never sends a finish_reason, pass require_finish_reason=False to the client",
    ),
    "only-empty-choices": truncated(1, "[DONE] but no choices received"),
    "only-done": Expected(StreamTruncatedError, "stream truncated after 0 chunks: [DONE] but no choices received"),
    "only-comments": truncated(0, "no [DONE] and no choices received"),
    "tool-call-cut": CLOSED,
    "tool-call-end": truncated(4, "no [DONE] and no finish_reason for choice 0"),
    "one-choice-cut": truncated(5, "no [DONE] and no finish_reason for choice 1"),
    "stall": NO_MORE,
    "stall-before-text": NO_CHUNK,
    "stall-in-event": NO_MORE,
    "endless-comments": NO_CHUNK,
    "endless-comments-in-answer": NO_MORE,
    "endless-blank-lines": NO_MORE,
    "endless-roles": NO_CHUNK,
    "endless-empty-deltas": NO_MORE,
    "endless-dripping": NO_MORE,
    "endless-event": format_error("event larger than 33554432 bytes"),
}

MALFORMED = {
    "bad-json": format_error("""the server sent data that is not JSON (…): '{"choices": [{"index": 0, "delta"'"""),
    "bad-utf-8": format_error("the server sent data that is not UTF-8 (invalid continuation byte): '…'"),
    "text-event": format_error("the server sent data that is not JSON (…): 'Hello'"),
    "list-event": format_error("expected a JSON object in the event: '[1, 2]'"),
    "null-event": format_error("expected a JSON object in the event: 'null'"),
    "choices-no-list": format_error("choices must be a list: '{…"),
    "choice-no-object": format_error("each choice must be an object: '{…"),
    "delta-no-object": format_error("delta must be an object: '{…"),
    "deep-nesting": format_error("""the server sent JSON that is nested too deeply: '{"a": [[[[[…"""),
    "broken-framing": format_error("the framing of the response is broken: …"),
    "content-length-too-long": CLOSED,
    "content-length-too-short": truncated(2, "no [DONE] and no finish_reason for choice 0"),
    "gzip-cut": Expected(StreamTruncatedError, "the compressed body is truncated"),
    "gzip-close": CLOSED,
    "gzip-broken": format_error("the compressed body is broken: …"),
    "unknown-coding": format_error("unsupported content-encoding 'snappy'"),
}

IN_STREAM_ERRORS = {
    "error-object": reported(APIStatusError),
    "error-401": reported(AuthenticationError),
    "error-429": reported(RateLimitError),
    "error-500": reported(InternalServerError),
    "error-text": reported(APIStatusError),
    "error-event": reported(APIStatusError),
    "error-event-503": reported(InternalServerError),
    "error-event-text": reported(APIStatusError),
    "object-error": reported(BadRequestError),
    "choice-error": reported(InternalServerError),
    "error-beside-choice": reported(APIStatusError),
    "finish-error": reported(APIStatusError, 'finish reason "error"'),
    "finish-abort": reported(APIStatusError, 'finish reason "abort"'),
    "finish-network-error": reported(APIStatusError, 'finish reason "network_error"'),
    "finish-bad-call": reported(APIStatusError, 'finish reason "MALFORMED_FUNCTION_CALL"'),
    "flat-error": reported(RateLimitError),
    "error-detail": reported(APIStatusError),
    "error-in-list": reported(InternalServerError),
    "base-resp": reported(APIStatusError),
    "error-in-x-groq": reported(APIStatusError),
    "json-line": reported(InternalServerError),
    "error-line": reported(InternalServerError),
}

STREAMED: dict[str, Expected] = {
    **LOST_OR_SLOW,
    **REFUSALS,
    **NOT_STREAMS,
    **BENIGN,
    **CUT_OR_SILENT,
    **MALFORMED,
    **IN_STREAM_ERRORS,
    **{f"{name}-first": expected for name, expected in IN_STREAM_ERRORS.items()},
    "finish-abort-with-text": IN_STREAM_ERRORS["finish-abort"],
}
"""By the fault's name, for both styles of streaming."""

BLOCKING: dict[str, Expected] = {
    **{name: NO_RESPONSE if wanted is NO_CHUNK else wanted for name, wanted in LOST_OR_SLOW.items()},
    **REFUSALS,
    **NOT_STREAMS,
    "ok-empty-stream": format_error(
        "expected a chat completion, got status 200 with an empty body (text/event-stream)"
    ),
}
"""By the fault's name, for those before the head."""
