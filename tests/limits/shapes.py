"""Responses made to cost a client much: what a hostile server could send, as large as one likes.

Each shape is a function of a number of bytes that gives a response's headers and body of about that size, of many small
things (lines, events, objects, members, digits): a cost for each pair of them would show as a quadratic one.
"""

import gzip
import json
import zlib
from collections.abc import Callable
from itertools import count

from tests.support.request import KEY
from tests.support.server import DONE, EVENT_STREAM, chunk, completion, event

Response = tuple[int, dict[str, str], bytes]
"""Status, headers, body."""

END = event(chunk(finish="stop")) + DONE
JSON = {"content-type": "application/json"}


def events(piece: Callable[[int], bytes]) -> Callable[[int], Response]:
    """A stream of numbered pieces, then a proper end."""

    def make(size: int) -> Response:
        parts: list[bytes] = []
        total = 0
        for number in count():
            if total >= size:
                break
            parts.append(piece(number))
            total += len(parts[-1])
        return 200, EVENT_STREAM, b"".join([*parts, END])

    return make


def delta(**fields: object) -> bytes:
    return event({"choices": [{"index": 0, "delta": fields}]})


def one_event(item: Callable[[int], str], before: str, after: str) -> Callable[[int], Response]:
    """One event of numbered items."""

    def make(size: int) -> Response:
        return 200, EVENT_STREAM, event(before + items(item, size) + after) + END

    return make


def items(item: Callable[[int], str], size: int) -> str:
    made: list[str] = []
    total = 0
    for number in count():
        if total >= size:
            break
        made.append(item(number))
        total += len(made[-1]) + 1
    return ",".join(made)


def coded(coding: str, encode: Callable[[int], bytes]) -> Callable[[int], Response]:
    return lambda size: (200, EVENT_STREAM | {"content-encoding": coding}, encode(size))


def stored(size: int) -> bytes:
    """Deflated blocks that are empty, 5 bytes each."""
    packer = zlib.compressobj(wbits=-15)
    end = packer.compress(END) + packer.flush()
    return b"\0\0\0\xff\xff" * (size // 5) + end


def call(number: int, **fields: object) -> dict[str, object]:
    return {"index": number, **fields}


def refusal(body: Callable[[int], str]) -> Callable[[int], Response]:
    return lambda size: (400, JSON, body(size).encode())


def blocking(before: str, item: Callable[[int], str], after: str) -> Callable[[int], Response]:
    """A response that is not streamed, with a field of numbered items."""
    start = json.dumps(completion())[:-1] + ","
    return lambda size: (200, JSON, f"{start}{before}{items(item, size)}{after}}}".encode())


FRAMING: dict[str, Callable[[int], Response]] = {
    "empty gzip members": coded("gzip", lambda size: gzip.compress(b"") * (size // 20) + gzip.compress(END)),
    "gzip members of one comment": coded(
        "gzip", lambda size: gzip.compress(b":\n\n") * (size // 23) + gzip.compress(END)
    ),
    "empty deflated blocks": coded("deflate", stored),
    "bytes after deflated data": coded("deflate", lambda size: zlib.compress(END) + b"x" * size),
    "packed comments": coded("gzip", lambda size: gzip.compress(b":\n\n" * size + END)),
}

LINES: dict[str, Callable[[int], Response]] = {
    "blank lines": events(lambda _: b"\n" * 1000),
    "carriage returns": events(lambda _: b"\r" * 1000),
    "empty comments": events(lambda _: b":\n" * 500 + b"\n"),
    "events of blank data": events(lambda _: b"data\n\n" * 100),
    "lines of one event": lambda size: (200, EVENT_STREAM, b"data:\n" * (size // 6) + b"\n" + END),
    "unknown fields of one event": lambda size: (200, EVENT_STREAM, b"x\n" * (size // 2) + b"\n" + END),
    "ids": events(lambda number: b"id: %d\nretry: %d\n\n" % (number, number)),
    "a long event name": lambda size: (200, EVENT_STREAM, b"event: " + b"x" * size + b"\ndata: {}\n\n" + END),
    "named events": events(lambda number: b"event: ping\ndata: {}\n\n"),
    "byte-order marks": events(lambda _: b"\xef\xbb\xbf: x\n\n" * 100),
}

VALUES: dict[str, Callable[[int], Response]] = {
    "objects in objects": one_event(lambda _: '{"a":' * 50 + "1" + "}" * 50, '{"choices":[],"x":[', "]}"),
    "keys of one object": one_event(lambda number: f'"k{number}":{number}', '{"choices":[],"x":{', "}}"),
    "one key again and again": one_event(lambda _: '"k":1', '{"choices":[],"x":{', "}}"),
    "keys whose hashes collide": one_event(
        lambda number: f'{{"index":{(2**61 - 1) * number},"delta":{{}}}}', '{"choices":[', "]}"
    ),
    "ever new fields": events(lambda number: event(chunk("a") | {f"field{number}": 1})),
    "a field that differs in type": events(
        lambda number: event(chunk("a") | {"x": [1, "1", [1], {"a": 1}][number % 4]})
    ),
    "digits of a whole number": lambda size: (200, EVENT_STREAM, event('{"choices":[],"x":' + "9" * size + "}") + END),
    "digits of a fraction": lambda size: (200, EVENT_STREAM, event('{"choices":[],"x":0.' + "1" * size + "}") + END),
    "escapes in a text": one_event(lambda _: '"' + "\\u0041" * 100 + '"', '{"choices":[],"x":[', "]}"),
    "NaN": events(lambda _: b'data: {"choices":[{"delta":{"content":"a"},"x":NaN}]}\n\n'),
    "halves of surrogate pairs": events(
        lambda n: event(f'{{"choices":[{{"delta":{{"content":"\\ud83{"de"[n % 2]}"}}}}]}}')
    ),
    "fields of the wrong type": events(
        lambda _: event({"id": 1, "model": [], "choices": [{"index": "0", "delta": {}}]})
    ),
    "a list that grows": events(lambda number: delta(images=[{"n": number}])),
}

CHOICES: dict[str, Callable[[int], Response]] = {
    "choices of one event": one_event(lambda number: f'{{"index":{number},"delta":{{}}}}', '{"choices":[', "]}"),
    "a choice for each event": events(
        lambda number: event({"choices": [{"index": number, "delta": {"content": "a"}}]})
    ),
    "choices in turn": events(lambda number: event({"choices": [{"index": number % 1000, "delta": {"content": "a"}}]})),
    "tool calls of one event": one_event(
        lambda number: f'{{"index":{number},"id":"{number}"}}', '{"choices":[{"delta":{"tool_calls":[', "]}}]}"
    ),
    "a tool call for each event": events(lambda number: delta(tool_calls=[call(number, id=f"c{number}")])),
    "tool calls in turn": events(lambda n: delta(tool_calls=[call(n % 1000, function={"arguments": "a"})])),
    "numbered pieces of a tool call": events(
        lambda number: delta(tool_calls=[call(number, function={"arguments": "a"})])
    ),
    "one id for all tool calls": events(
        lambda number: delta(tool_calls=[call(number, id="a", function={"name": "f", "arguments": "{}"})])
    ),
    "messages that may repeat the text": events(
        lambda _: event({"choices": [{"message": {"content": "a"}, "finish_reason": "stop"}]})
    ),
    "tool calls without an index": events(
        lambda number: delta(tool_calls=[{"id": f"c{number}", "function": {"name": "f"}}])
    ),
    "a name in pieces": events(lambda _: delta(tool_calls=[call(0, function={"name": "a"})])),
    "a name that is repeated": events(lambda _: delta(tool_calls=[call(0, function={"name": "f", "arguments": "{}"})])),
    "arguments in pieces": events(lambda _: delta(tool_calls=[call(0, function={"arguments": "["})])),
    "text in pieces": events(lambda _: delta(content="a")),
    "parts of content": events(lambda _: delta(content=[{"type": "text", "text": "a"}, {"type": "x"}])),
    "parts of one content": one_event(
        lambda _: '{"type":"text","text":"a"}', '{"choices":[{"delta":{"content":[', "]}}]}"
    ),
    "reasoning in pieces": events(
        lambda n: delta(reasoning_details=[{"type": "reasoning.text", "index": n, "text": "a"}])
    ),
    "thinking blocks": events(
        lambda n: delta(thinking_blocks=[{"type": "thinking", "thinking": "a", "signature": f"{n}"}])
    ),
    "log probabilities": events(
        lambda _: event({"choices": [{"logprobs": {"content": [{"token": "a", "logprob": -1}]}}]})
    ),
    "audio in pieces": events(lambda _: delta(audio={"id": "a", "data": "YQ==", "transcript": "a"})),
    "usage in each event": events(lambda number: event({"choices": [], "usage": {"completion_tokens": number}})),
}

_ERROR = f'{{"error":{{"message":"{KEY}","x":['

ERRORS: dict[str, Callable[[int], Response]] = {
    "an error that repeats the key": refusal(lambda size: json.dumps({"error": {"message": KEY * (size // len(KEY))}})),
    "an error of many texts": refusal(lambda size: _ERROR + items(lambda _: '"a"', size) + "]}}"),
    "an error in a stream": one_event(lambda _: '"a"', _ERROR, "]}}"),
    "a long finish reason": events(lambda _: event({"choices": [{"delta": {}, "finish_reason": "x" * 1000}]})),
    "white space before an error": refusal(lambda size: " " * size + '{"error":"no"}'),
}

BLOCKING: dict[str, Callable[[int], Response]] = {
    "fields of an answer": blocking("", lambda number: f'"k{number}":{number}', ""),
    "choices of an answer": blocking(
        '"choices":[', lambda number: f'{{"index":{number},"message":{{"content":"a"}},"finish_reason":"stop"}}', "]"
    ),
    "tool calls of an answer": blocking(
        '"choices":[{"finish_reason":"stop","message":{"tool_calls":[',
        lambda number: f'{{"id":"{number}","type":"function","function":{{"name":"f","arguments":"{{}}"}}}}',
        "]}}]",
    ),
}

STREAMS = FRAMING | LINES | VALUES | CHOICES | ERRORS
SHAPES = STREAMS | BLOCKING
