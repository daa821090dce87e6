"""Inputs and outputs of the tests."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from firsttoken.testing import Request, ScriptedServer


def write_rows(path: Path, count: int, **fields: object) -> Path:
    """An input of so many rows: r0, r1, …, each with a prompt of its own."""
    lines = [json.dumps({"custom_id": f"r{n}", "prompt": f"prompt {n}", **fields}) for n in range(count)]
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The output's lines."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def answers(path: Path) -> dict[str, str | None]:
    """The text of each answer by id, None for an error row; each id stands in the output once."""
    lines = read_lines(path)
    found = {
        line["custom_id"]: None if line["error"] else line["response"]["body"]["choices"][0]["message"]["content"]
        for line in lines
    }
    assert len(found) == len(lines)
    return found


def prompt_of(request: Request) -> str:
    """What was asked."""
    return str(request.messages[-1]["content"])


def times_sent(server: ScriptedServer) -> Counter[str]:
    """How often each prompt was sent."""
    return Counter(prompt_of(request) for request in server.journal.requests)
