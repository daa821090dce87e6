"""The protocol: everything that is decided about a call and its answer, without I/O and without a clock.

::

    a driver (_sync, _async)                          waits, moves bytes, says what happened and when
        │ next_action() ▲  receive_data(bytes, now)
        ▼               │
    call ─── call_states, call_progress               the state machine: attempts, reuse, retries, one outcome
        │    retry, limits, deadlines                 whether again, how many at once, until when
        ▼
    response                                          one response, from bytes to chunks or a completion
        ├─ http1 ─── content_coding                   status, headers, body bytes, the end of the body
        ├─ server_error ─── redaction                 an error response, in any of its shapes, to an exception
        ▼
    stream ─── completeness                           StreamParser: chunks, then one end; what is progress, and the end
        │      text_filters                           halves of characters, and reasoning between tags
        ├─ sse                                        body bytes to events
        ├─ decode ─── learned_fields                  events to chunks: typed, also with a server's own fields;
        │     └─ lenient ─── quirks                    else one field at a time, by the table of quirks
        ▼
    a deque ──▶ the caller
        └─ accumulator                                chunks to a completion, in batches
              └─ choice, tool_calls, pieces
           events, partial_json                       other views, only for those who ask for them

    request, url, proxy                               what is sent, where to, and the way there

Work that can be done once for a read is done once for a read; a chunk costs taking it from a deque. Lists go between
modules, no generators and no queues.

What a driver calls (`CallMachine`, and in `firsttoken.sansio` `StreamParser` and `SSEDecoder`) never raises for what a
server sent: a failure is a value there. The functions below them that raise `ResponseFormatError` or `APIStatusError`
(`parse_json`, `decode_completion`, `Accumulator.add`, the tunnel of `proxy`) are called by what catches it.

Whether an attempt is repeated: `errors`, `server_error` and `retry.connection_error` set `error.retryable`; `retry`
adds the response's headers and gives the delay; `call_progress._retry_delay_s` has the number of attempts and what was
yielded. A stale connection is not a retry: `call._lose_before_response` sends the request again at once.

Whether a connection is reused: `http1.ResponseParser.reusable`, by the response; `response.ResponseReader.is_reusable`,
which adds the end of its body; `call.CallMachine._is_reusable`, which adds how the call ended. Then the driver keeps
it, and its `Connection.is_alive` has the last word when it is taken.
"""
