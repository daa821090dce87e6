"""The fault table of the docs, written from what is seen: `python -m tests.faults.page`.

Owns the page. Its rows are what every client was seen to give; the tests compare each with what they see.
"""

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

from firsttoken.errors import APIConnectionError, APIStatusError, APITimeoutError, ChatCompletionError
from firsttoken.testing import FAULTS, Fault, ScriptedServer
from tests.faults.drivers import Outcome, sync_iterator, timeout_for
from tests.faults.expected import STREAMED

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "faults.md"

_INTRODUCTION = """# The faults

What [`firsttoken.testing.FAULTS`](../../src/firsttoken/testing/_faults/__init__.py) does to a stream, and what a
caller of firsttoken gets of it: sync and asyncio, iterator and callback alike.

- *Yielded* is the text that the caller had by then; the error's `partial` holds it, too.
- *Again*: the request is sent again by itself, up to `max_retries` times; the caller gets the last attempt's error.
- Where nothing but a [deadline](../how-to/deadlines.md) ends it, the error is an `APITimeoutError`; `phase` says which.

`just faults` writes this page: it sends all {count} faults to a client, and notes what the caller gets. The tests
compare it with what each client gives in each style.

## With your own code

A `Fault` says what to expect of a client: whether the answer `is_complete`, the `text` before it, the `status` that the
server names, whether it `needs_deadline`, and whether it `is_retried`. [How to test code that
streams](../how-to/test-failure-handling.md) has the rest: scripts of your own, gates, the journal and the fixture.

```python
import pytest

from firsttoken import Client, Timeout, chat_completion_request
from firsttoken.errors import ChatCompletionError
from firsttoken.testing import FAULTS, Fault, ScriptedServer


def answer(client: Client) -> str:  # your code
    request = chat_completion_request("gpt-5-mini", "Why is the sky blue?")
    return "".join(client.chat_completion_stream(request).iter_text())


@pytest.mark.parametrize("fault", FAULTS)
def test_half_an_answer_is_never_taken_for_a_complete_one(fault: Fault) -> None:
    with ScriptedServer(fault) as server:
        client = Client(base_url=server.base_url, timeout=Timeout(first_chunk_s=1, idle_s=1), max_retries=0)
        if fault.is_complete:
            assert answer(client) == fault.text
        else:
            with pytest.raises(ChatCompletionError) as failed:
                answer(client)
            assert failed.value.partial is None or failed.value.partial.text == fault.text
```
"""
_SECTIONS: dict[str, Callable[[Fault], bool]] = {
    "Before the head of the stream": lambda fault: fault.where == "before the head",
    "In the stream, which is complete all the same": lambda fault: fault.where == "in the stream" and fault.is_complete,
    "In the stream, which breaks": lambda fault: fault.where == "in the stream" and not fault.is_complete,
}
_HEAD = "| fault | the server | the caller gets | yielded | again |\n| --- | --- | --- | --- | --- |\n"
_ASIDE = re.compile(r": | \(")
_AFTER = re.compile(r" after [\d.]+ s \(\w+\)")
_ROW = re.compile(r"^\| `([^`]+)` \|.*$", re.MULTILINE)


def row(fault: Fault, outcome: Outcome, port: int) -> str:
    """The row of a fault, from what was seen of it."""
    given = "the complete answer" if outcome.failure is None else _given(outcome.failure, port)
    again = "yes" if fault.is_retried else ""
    return f"| `{fault.name}` | {fault.what} | {given} | {_yielded(outcome)} | {again} |"


def _given(failure: ChatCompletionError, port: int) -> str:
    """The class and the short words of a failure, without what depends on the machine and on other libraries."""
    kind = f"`{type(failure).__name__}`"
    words = str(failure).splitlines()[0].replace(f" 127.0.0.1:{port}", " the server")
    if isinstance(failure, APITimeoutError):
        kind += f', phase "{failure.phase}"'
    if isinstance(failure, APIConnectionError):
        return kind  # whether it was lost or never made is chance where the server is quick to leave
    if isinstance(failure, APIStatusError) and failure.status is not None:
        kind += f" {failure.status}"
        if words.startswith(f"the server answered {failure.status}"):
            return kind
    return f"{kind}: {_ASIDE.split(_AFTER.sub('', words))[0]}"


def _yielded(outcome: Outcome) -> str:
    text = outcome.text
    if not text:
        partial = None if outcome.failure is None else outcome.failure.partial
        calls = partial is not None and any(choice.message.tool_calls for choice in partial.choices)
        return "the tool call, as far as it came" if calls else ""
    shown = "".join(letter if letter.isprintable() else f"\\u{ord(letter):04x}" for letter in text)
    return f"`{shown}`" if len(shown) <= 30 else f"`{shown[:20]}`…"


@cache
def committed_rows() -> dict[str, str]:
    """The rows of the page as it stands in the docs, by the fault's name."""
    return {found[1]: found[0] for found in _ROW.finditer(PAGE.read_text(encoding="utf-8"))}


def written(rows: dict[str, str]) -> str:
    """The page with these rows."""
    parts = [_INTRODUCTION.replace("{count}", str(len(rows)))]
    for title, belongs in _SECTIONS.items():
        lines = [rows[fault.name] for fault in filter(belongs, FAULTS)]
        parts.append(f"## {title}\n\n{_HEAD}" + "\n".join(lines) + "\n")
    return "\n".join(parts)


def observed(fault: Fault) -> str:
    """The row of a fault, from asking."""
    timeout = timeout_for(fault, STREAMED[fault.name])
    with ScriptedServer(fault) as server:
        return row(fault, sync_iterator(server, timeout, 0), server.port)


if __name__ == "__main__":
    PAGE.write_text(written({fault.name: observed(fault) for fault in FAULTS}), encoding="utf-8")
