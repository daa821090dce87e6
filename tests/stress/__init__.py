"""Closes, cancels and signals at random moments, by the ten thousand: `python -m tests.stress`, or `just stress`.

::

    server.py     answers in many ways: whole streams, halves, refusals, silence; in a process of its own
    worker.py     one scenario in a process of its own, in Python's development mode, warnings as errors
    runner.py     starts both, and checks what is left: no hang, no leak, nothing on stderr, a client that works
"""
