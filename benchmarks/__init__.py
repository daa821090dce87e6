"""What firsttoken costs, beside the official client and beside the least that any client can cost.

::

    python -m benchmarks ── __main__      names and --quick in, one table out, exit status 1 if a budget is broken
                               │
                             cases        the table of cases: a new case is one line there
                               │
        ┌──────────┬───────────┼───────────┬──────────┐
        ▼          ▼           ▼           ▼          ▼
    case_core  case_sync  case_start  case_size  case_async
        │          │           │           │          │
        │       processes ─────┴───────────┴──────────┤    child processes: how they are started and what they report
        │          ├─ server                          │    (a process) sends a stream, in bulk or chunk by chunk
        │          ├─ client, async_client            │    (processes) read them with the baseline, firsttoken or openai
        │          ├─ concurrent_server               │    (a process) sends many streams at once, on time
        │          └─ concurrent                      │    (a process) reads them; async_readers: with what
        ▼                                             ▼
    baseline, payloads, cpus, limits               report    the least work; the bytes; the machine; rows and budgets

    python -m benchmarks.sweep            1 to 1,000 streams at once: figures as JSON
    python -m benchmarks.pages            tables in the docs and, by chart and bars, SVG: from the JSON of both

Only ratios taken in one run mean anything; README.md says what they mean.
"""
