"""A batch on the real model, with a JSON schema, interrupted and resumed."""

import json
from pathlib import Path

import pytest

from firsttoken import AsyncClient
from firsttoken.batch import run
from firsttoken.local import LocalServer
from tests.batch.files import read_lines

SCHEMA = {
    "type": "object",
    "properties": {"color": {"type": "string", "enum": ["red", "green", "blue"]}, "sure": {"type": "boolean"}},
    "required": ["color", "sure"],
    "additionalProperties": False,
}


@pytest.mark.model
@pytest.mark.parametrize("count", [5, pytest.param(50, marks=pytest.mark.slow)])
def test_rows_with_a_schema_resumed_once(local_server: LocalServer, tmp_path: Path, count: int) -> None:
    response_format = {"type": "json_schema", "json_schema": {"name": "color", "schema": SCHEMA, "strict": True}}
    things = ["grass", "the sky", "a tomato", "a leaf", "the sea"]
    rows = [
        {"id": f"r{n}", "prompt": f"Which color has {things[n % 5]} number {n}?", "response_format": response_format}
        for n in range(count)
    ]
    limit = 2 * count // 5
    client, out = AsyncClient("k", local_server.base_url, proxy=""), tmp_path / "out.jsonl"
    first = run(rows, out, model=local_server.model, client=client, limit=limit, defaults={"max_tokens": 60, "seed": 1})
    out.write_bytes(out.read_bytes()[:-25])
    second = run(rows, out, model=local_server.model, client=client, defaults={"max_tokens": 60, "seed": 1})
    assert (first.complete, second.finished_before, second.complete) == (limit, limit - 1, count - limit + 1)
    lines = read_lines(out)
    assert {line["custom_id"] for line in lines} == {f"r{n}" for n in range(count)}
    values = [json.loads(line["response"]["body"]["choices"][0]["message"]["content"]) for line in lines]
    assert all(value["color"] in ("red", "green", "blue") and isinstance(value["sure"], bool) for value in values)
