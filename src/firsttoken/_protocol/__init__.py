"""The protocol: everything that is decided about a call and its answer, without I/O and without a clock.

::

    a driver (_sync, _async)                          waits, moves bytes, says what happened and when
        │ next_action() ▲  receive_data(bytes, now)
        ▼               │
    call ─── call_states, call_progress               the state machine: attempts, reuse, retries, one outcome
        │    retry, pool, limits, deadlines           whether again, on which connection, how many at once, until when
        ▼
    response                                          one response, from bytes to chunks or a completion
        ├─ http1 ─── content_coding                   status, headers, body bytes, the end of the body
        ├─ server_error ─── redaction                 an error response, in any of its shapes, to an exception
        ▼
    stream ─── completeness                           StreamParser: chunks, then one end; when the answer is complete
        ├─ sse                                        body bytes to events
        ├─ decode ─── learned_fields                  events to chunks: typed, also with a server's own fields;
        │     └─ lenient ─── quirks, struct_fields    else one field at a time, by the table of quirks
        ▼
    a deque ──▶ the caller
        └─ accumulator                                chunks to a completion, in batches
              └─ choice, tool_calls, blocks, extra_fields, text_buffer, usage
           events, partial_json                       other views, only for those who ask for them

    request, url, azure, proxy                        what is sent, where to, and the way there
    progress                                          what a chunk brings: a token, or other progress

Work that can be done once for a read is done once for a read; a chunk costs taking it from a deque. Lists go between
modules, no generators and no queues. No module raises for what a server sent, except to the one that called it.
"""
