"""Errors in other shapes than `{"error": {…}}`, and finish reasons that are errors."""

import json

from tests.quirks.example import DONE, HEL, HELLO, Example, Json, Seen, choice, delta, says, stream
from tests.quirks.framing_and_errors import IN_STREAM, half


def _alone(value: Json, failure: str) -> Example:
    """The error before `[DONE]`, without a chunk."""
    return Example(stream(value), Seen("", finish=None, failure=failure))


def _refused(body: bytes, status: int, failure: str) -> Example:
    return Example(body, Seen("", finish=None, failure=failure), status, "text/event-stream")


SHAPES = {
    "error-in-delta": Example(
        stream(HEL, delta(error={"message": "lost", "code": 502})), half("InternalServerError: " + IN_STREAM + "lost")
    ),
    "error-items": Example(
        stream(HEL, {"error": [{"error": {"message": "lost", "code": 502}}]}),
        half("InternalServerError: " + IN_STREAM + "lost"),
    ),
    "flat-status": Example(
        stream(HEL, {"status": 503, "reason": "full"}),
        half("InternalServerError: " + IN_STREAM + "no reason given"),
    ),
    "error-list": Example(
        stream(HEL, b'data: [{"error":{"message":"busy","code":503,"status":"UNAVAILABLE"}}]\n\n', done=False),
        half("InternalServerError: " + IN_STREAM + "busy"),
    ),
    "error-line": Example(
        stream(HEL, done=False) + b'{"error":{"message":"crashed","code":500}}\n' + DONE,
        half("InternalServerError: " + IN_STREAM + "crashed"),
    ),
    "error-line-first": Example(
        b'{"error":{"message":"crashed","code":500}}\n\n' + DONE,
        Seen("", finish=None, failure="InternalServerError: " + IN_STREAM + "crashed"),
    ),
    "error-lines": Example(
        stream(HEL, done=False) + b'[{\n  "error": {\n    "code": 503,\n    "message": "busy"\n  }\n}\n]\n',
        half("InternalServerError: " + IN_STREAM + "busy"),
    ),
    "error-list-body": Example(
        b'[{\n  "error": {"code": 429, "message": "slow down"}\n}\n]\n',
        Seen("", finish=None, failure="RateLimitError: error response with status 200: slow down"),
    ),
    "base-resp": _alone(
        {"choices": None, "base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}},
        "APIStatusError: " + IN_STREAM + "insufficient balance",
    ),
    "base-resp-success": Example(
        stream(*({**part, "base_resp": {"status_code": 0, "status_msg": ""}} for part in HELLO)),
        Seen(extra={"base_resp": {"status_code": 0, "status_msg": ""}}),
    ),
    "flat-message": Example(
        stream(HEL, {"code": 429, "message": "slow down"}), half("RateLimitError: " + IN_STREAM + "slow down")
    ),
    "flat-typed": _alone({"message": "no", "type": "invalid", "param": None}, "APIStatusError: " + IN_STREAM + "no"),
    "flat-detail": _alone({"detail": "no such model"}, "APIStatusError: " + IN_STREAM + "no such model"),
    "flat-errors": _alone({"errors": [{"message": "no", "code": 7}]}, "APIStatusError: " + IN_STREAM + "no"),
    "flat-sid": Example(
        stream(HEL, {"code": 10013, "message": "blocked", "sid": "s"}), half("APIStatusError: " + IN_STREAM + "blocked")
    ),
    "flat-text": _alone({"text": "CUDA error", "error_code": 50001}, "APIStatusError: " + IN_STREAM + "CUDA error"),
    "flat-success": Example(
        stream(
            {"code": 0, "message": "success", "sid": "s"}, *({**part, "code": 0, "message": "ok"} for part in HELLO)
        ),
        Seen(extra={"code": 0, "message": "ok", "sid": "s"}),
    ),
    "x-groq-error": Example(
        stream(HEL, {"choices": [], "x_groq": {"error": "over capacity"}}),
        half("APIStatusError: " + IN_STREAM + "over capacity"),
    ),
    "error-empty": Example(
        stream(*({**part, "error": {"message": "", "type": "", "code": None}} for part in HELLO)),
        Seen(extra={"error": {"message": "", "type": "", "code": None}}),
    ),
    "error-in-error": _alone(
        {"error": {"error": "Too many tokens", "error_code": 4001}}, "APIStatusError: " + IN_STREAM + "Too many tokens"
    ),
    "error-with-text": Example(
        stream(HEL, {**says("lo", "stop"), "error": {"message": "malformed", "code": 502}}, done=False),
        Seen(
            extra={"error": {"message": "malformed", "code": 502}},
            failure="InternalServerError: " + IN_STREAM + "malformed",
        ),
    ),
    "abort-with-text": Example(
        stream(HEL, says("lo", "abort"), done=False),
        Seen(finish="abort", failure="APIStatusError: " + IN_STREAM + 'finish reason "abort"'),
    ),
    "finish-network-error": Example(
        stream(HEL, delta("network_error")), half("APIStatusError: " + IN_STREAM + 'finish reason "network_error"')
    ),
    "finish-no-resource": Example(
        stream(HEL, delta("insufficient_system_resource")),
        half("APIStatusError: " + IN_STREAM + 'finish reason "insufficient_system_resource"'),
    ),
    "finish-error-type": Example(
        stream(HEL, delta("overloaded_error")),
        half("APIStatusError: " + IN_STREAM + 'finish reason "overloaded_error"'),
    ),
    "finish-bad-call": Example(
        stream(choice(delta={"content": "Hel"}), delta("MALFORMED_FUNCTION_CALL")),
        half("APIStatusError: " + IN_STREAM + 'finish reason "MALFORMED_FUNCTION_CALL"'),
    ),
    "refusal-event": _refused(
        b'id:1\nevent:error\n:HTTP_STATUS/400\ndata:{"error":{"message":"bad input","code":"invalid"}}\n\n',
        400,
        "BadRequestError: the server answered 400 Bad Request: bad input",
    ),
    "refusal-no-quota": _refused(
        b'data: {"error":{"message":"no quota","type":"insufficient_quota","code":"insufficient_quota"}}\n\n',
        429,
        "RateLimitError: the server answered 429 Too Many Requests: no quota",
    ),
    "refusal-list": _refused(
        json.dumps([{"error": {"code": 400, "message": "bad key", "status": "INVALID_ARGUMENT"}}]).encode(),
        400,
        "BadRequestError: the server answered 400 Bad Request: bad key",
    ),
}
