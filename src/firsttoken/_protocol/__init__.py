"""The core: everything that is decided about an answer, without I/O and without a clock.

::

    connection bytes                                  the shells (_sync, _async) read, wait and tell the time
        │ receive_data(bytes, now)
        ▼
    exchange ──────── deadlines                       one attempt's answer; which deadline is next
        │
        ├─ http1 ──── content_coding                  status, headers, body bytes, the body's end
        │
        ├─ body                                       is it events, or one JSON object?
        │     └─ server_error ── redaction            a refusal, in any of its shapes, to an exception
        ▼
    stream ─────────────────────────────┐             StreamParser: parks chunks, and one failure behind them;
        │                               │             decides whether the answer is complete
        ├─ sse                          │             body bytes to events
        ├─ chunks ── own_fields         │             events to chunks: typed, also with a server's own fields;
        │     ├─ tolerant ── quirks     │             else one field at a time, by the table of deviations
        │     └─ payload, server_error  │
        ▼                               ▼
    deque ──▶ the caller            accumulator       observes chunks as they are yielded
                                        └─ choice_parts, tool_calls, reasoning_details, text_parts
                                    events            chunks to events, for `iter_events` alone
                                    partial_json      text that is JSON to its growing value, for `iter_partial` alone

    request, url, azure               what is sent, and where to
    proxy, tunnel                     the way there
    pool, retry, progress             which connection, whether again, what counts as a sign of life
    shapes, own_copies                the fields of the structs
    content_parts                     content that is a list
    failures                          kept without tracebacks, so that no reference cycle is left

What is left of the deque is paid for once a read; only taking from it is paid for once a chunk. Between modules go
lists, no generators and no queues. No module raises for what a server sent, save to the one that called it.
"""
