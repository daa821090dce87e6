"""Deviations of the framing, and errors in all their places."""

import json

from tests.quirks.example import END, HEL, HELLO, LO, Example, Seen, choice, delta, says, stream, usage

IN_STREAM = "the server reported an error inside the stream: "


def half(failure: str) -> Seen:
    return Seen("Hel", finish=None, failure=failure)


FRAMING = {
    "no-done": Example(stream(*HELLO, done=False)),
    "done-spelt": Example(stream(*HELLO, b'data: "[done]"\n\n', delta(content="late"), done=False)),
    "event-after-done": Example(stream(*HELLO, b"data: [DONE]\n\n", {"choices": [], "cost": "0"}, done=False)),
    "crlf": Example(b": ping\r\n\r\n" + stream(*HELLO).replace(b"\n", b"\r\n")),
    "cr": Example(stream(*HELLO).replace(b"\n", b"\r")),
    "comments": Example(stream(b": WAIT\n\n" * 3, HEL, b": WAIT\n\n", LO, b": WAIT\n", END)),
    "no-space": Example(stream(*HELLO).replace(b"data: ", b"data:")),
    "blank-lines": Example(b"\n\n" + stream(HEL, b"\n", LO, b"\n\n", END)),
    "other-fields": Example(
        b"\xef\xbb\xbfid: 7\nretry: 10\nevent: chunk\n"
        + stream(HEL, b'data: {"choices":\ndata:  [%s]}\n\n', END) % b'{"delta":{"content":"lo"}}'
    ),
    "no-last-blank-line": Example(stream(*HELLO, done=False)[:-2]),
    "separators-in-text": Example(stream(says("a\u2028b\u2029c\u0085d"), END), Seen("a\u2028b\u2029c\u0085d")),
    "odd-json": Example(
        stream(b'data: {"choices":[{"delta":{"content":"\\ud83d"}}],"x":NaN}\n\n', says("!", "stop"), {"x": 1}),
        Seen("\ud83d!", extra={"x": 1}),
    ),
    "ping-events": Example(
        stream(
            b"event: ping\ndata: ping\n\n",
            HEL,
            b"event: heartbeat\ndata: 2025-01-01T00:00:00Z\n\n",
            b'event: ping\ndata: {"type":"ping"}\n\n',
            LO,
            END,
        )
    ),
    "comments-as-data": Example(
        stream(b"data: : OPENROUTER PROCESSING\n\n", HEL, b"data: ping\n\n", LO, b"data: 1735689600\n\n", END)
    ),
    "foreign-events": Example(
        stream(
            b'event: file_produced\ndata: {"id":"f","model":"x","path":"a.png"}\n\n',
            HEL,
            b'event: agentic_tool_call_progress\ndata: {"error":{"message":"the tool failed","code":500}}\n\n',
            LO,
            END,
        )
    ),
    "named-events": Example(
        b"".join(b"event: chunk\n" + stream(part, done=False) for part in HELLO) + b"event: done\ndata: [DONE]\n\n"
    ),
    "whole-answer": Example(
        json.dumps(
            {"choices": [{"index": 0, "message": {"content": "Hello"}, "finish_reason": "stop"}], **usage(1, 2)}
        ).encode(),
        Seen(usage=(1, 2)),
        content_type="application/json",
    ),
}

ERRORS = {
    "error-event": Example(
        stream(
            HEL,
            b'event: error\ndata: {"error":{"message":"no such tool","code":"x","status_code":400}}\n\n',
            done=False,
        ),
        half("BadRequestError: " + IN_STREAM + "no such tool"),
    ),
    "error-event-case": Example(
        stream(HEL, b'event: ERROR\ndata: {"message":"no","code":503}\n\n'),
        half("InternalServerError: " + IN_STREAM + "no"),
    ),
    "error-field": Example(
        stream(HEL, b'error: {"detail":"","error":{"message":"out of memory","code":500}}\n\n', done=False),
        half("InternalServerError: " + IN_STREAM + "out of memory"),
    ),
    "error-alone": Example(
        stream(b": WAIT\n\n", {"error": {"message": "upstream", "code": 502}, "user_id": "u"}, done=False),
        Seen("", finish=None, failure="InternalServerError: " + IN_STREAM + "upstream"),
    ),
    "error-in-chunk": Example(
        stream(
            HEL, {**END, "error": {"message": "malformed", "code": 400}}, {"choices": [], **usage(1, 2)}, done=False
        ),
        half("BadRequestError: " + IN_STREAM + "malformed"),
    ),
    "error-after-finish": Example(
        stream(HEL, delta("length"), {**END, **usage(1, 2), "error": {"message": "no JSON", "code": 400}}),
        Seen("Hel", finish="length", failure="BadRequestError: " + IN_STREAM + "no JSON"),
    ),
    "error-text": Example(
        stream(HEL, {"error": "overloaded", "error_type": "overloaded"}, done=False),
        half("APIStatusError: " + IN_STREAM + "overloaded"),
    ),
    "error-object": Example(
        stream(HEL, {"object": "error", "message": "too long", "code": 400}),
        half("BadRequestError: " + IN_STREAM + "too long"),
    ),
    "error-object-in-error": Example(
        stream(HEL, {"error": {"object": "error", "message": "too long", "code": 400}}),
        half("BadRequestError: " + IN_STREAM + "too long"),
    ),
    "error-in-choice": Example(
        stream(HEL, choice(delta={}, error={"message": "rate limited", "code": 429})),
        half("RateLimitError: " + IN_STREAM + "rate limited"),
    ),
    "finish-error": Example(
        stream(HEL, delta("error")), half("APIStatusError: " + IN_STREAM + 'finish reason "error"')
    ),
    "finish-abort": Example(
        stream(HEL, delta("abort")), half("APIStatusError: " + IN_STREAM + 'finish reason "abort"')
    ),
    "null-error": Example(
        stream(
            *({**part, "error": None} for part in HELLO),
            {**END, "error": {"message": "now there is one", "code": 500}},
        ),
        Seen(extra={"error": None}, failure="InternalServerError: " + IN_STREAM + "now there is one"),
    ),
    "refusal-flat": Example(
        b'{"message":"bad model","type":"invalid","code":"1500"}',
        Seen("", finish=None, failure="BadRequestError: the server answered 400 Bad Request: bad model"),
        400,
        "application/json",
    ),
    "refusal-text": Example(
        b'{"error":"no credit"}',
        Seen("", finish=None, failure="APIStatusError: the server answered 402 Payment Required: no credit"),
        402,
        "application/json",
    ),
    "refusal-detail": Example(
        b'{"detail":[{"loc":["body"],"msg":"missing"}]}',
        Seen(
            "",
            finish=None,
            failure="BadRequestError: the server answered 400 Bad Request: [{'loc': ['body'], 'msg': 'missing'}]",
        ),
        400,
        "application/json",
    ),
    "refusal-plain": Example(
        b"Template error",
        Seen("", finish=None, failure="BadRequestError: the server answered 400 Bad Request: 'Template error'"),
        400,
        "text/plain",
    ),
}
