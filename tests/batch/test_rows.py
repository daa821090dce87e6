"""What is sent for a row in each of its forms, and what its id is."""

import csv
import json
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from firsttoken import chat_completion_request, user_message
from firsttoken.batch._files import read_file
from firsttoken.batch._rows import InputError, InvalidRow, RowReader

HI = [{"role": "user", "content": "Hi"}]


def reader(**options: Any) -> RowReader:
    options.setdefault("default_model", "m")
    return RowReader(**options)


def sent(value: Any, **options: Any) -> dict[str, object]:
    row = reader(**options).row(1, value)
    assert row.problem == ""
    return row.body


def problem(value: Any, **options: Any) -> str:
    row = reader(**options).row(7, value)
    assert row.body == {}
    return row.problem


@pytest.mark.parametrize(
    ("value", "options", "body"),
    [
        ("Hi", {}, {"model": "m", "messages": HI}),
        ({"prompt": "Hi"}, {}, {"model": "m", "messages": HI}),
        ({"messages": "Hi"}, {}, {"model": "m", "messages": HI}),
        ({"messages": json.dumps(HI)}, {}, {"model": "m", "messages": HI}),
        ({"messages": HI, "temperature": 0.5}, {}, {"model": "m", "messages": HI, "temperature": 0.5}),
        ({"messages": HI, "stream": False, "stream_options": {}}, {}, {"model": "m", "messages": HI}),
        ({"messages": HI, "label": "x", "seed": None}, {}, {"model": "m", "messages": HI}),
        ({"messages": HI, "extra": {"top_k": 3}}, {}, {"model": "m", "messages": HI, "top_k": 3}),
        ({"messages": HI, "model": "own"}, {}, {"model": "own", "messages": HI}),
        ({"messages": HI, "model": "own"}, {"model": "all"}, {"model": "all", "messages": HI}),
        (
            {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": {"messages": HI, "top_k": 3}},
            {},
            {"model": "m", "messages": HI, "top_k": 3},
        ),
        ({"custom_id": "a", "body": {"messages": HI, "stream": True}}, {}, {"model": "m", "messages": HI}),
        (
            {"text": "Hi", "n": 2},
            {"template": "{text} {{text}}"},
            {"model": "m", "messages": [{"role": "user", "content": "Hi {text}"}], "n": 2},
        ),
        (
            {"a": {"b": [1]}, "c": None},
            {"template": 'JSON like {"x": 1}: {a}{c}'},
            {"model": "m", "messages": [{"role": "user", "content": 'JSON like {"x": 1}: {"b":[1]}'}]},
        ),
        ("Hi", {"template": ">{prompt}<"}, {"model": "m", "messages": [{"role": "user", "content": ">Hi<"}]}),
        ("Hi", {"system": "Be brief"}, {"model": "m", "messages": [{"role": "system", "content": "Be brief"}, *HI]}),
        (
            {"messages": [{"role": "developer", "content": "x"}]},
            {"system": "Be brief"},
            {"model": "m", "messages": [{"role": "developer", "content": "x"}]},
        ),
        ("Hi", {"defaults": {"max_tokens": 5}}, {"model": "m", "messages": HI, "max_tokens": 5}),
        (
            {"prompt": "Hi", "max_completion_tokens": 9, "temperature": 0},
            {"defaults": {"max_tokens": 5, "temperature": 1}},
            {"model": "m", "messages": HI, "max_completion_tokens": 9, "temperature": 0},
        ),
        (chat_completion_request("own", [user_message("Hi")], seed=1), {}, {"model": "own", "messages": HI, "seed": 1}),
    ],
)
def test_what_is_sent(value: object, options: dict[str, object], body: dict[str, object]) -> None:
    assert sent(value, **options) == body


@pytest.mark.parametrize(
    ("value", "options", "message"),
    [
        ({"text": "Hi"}, {}, "expected the field 'messages', 'prompt' or 'body', or a template; found 'text'"),
        ({}, {}, "expected the field 'messages', 'prompt' or 'body', or a template; found no fields"),
        ({"prompt": 5}, {}, "prompt must be text, not int"),
        ([1], {}, "a row must be an object, not list"),
        ({"messages": []}, {}, "messages must be a list of objects, at least one"),
        ({"messages": ["Hi"]}, {}, "messages must be a list of objects, at least one"),
        ({"messages": "[{"}, {}, "messages must be a list: Input data was truncated"),
        ({"custom_id": "a", "url": "/v1/embeddings", "body": {}}, {}, "unsupported url '/v1/embeddings'"),
        ({"custom_id": "a", "body": {}}, {}, "messages must be a list of objects, at least one"),
        ({"a": 1}, {"template": "{b}"}, "the row has no field 'b', which the template needs"),
        ("Hi", {"default_model": None}, "the row has no model, and no default model was given"),
        ({"prompt": "Hi", "metadata": {1, 2}}, {}, ""),
        ({"prompt": "Hi", "metadata": object()}, {}, "the row can't be written as JSON"),
        (InvalidRow("line 7: invalid JSON"), {}, "line 7: invalid JSON"),
    ],
)
def test_what_can_not_be_sent(value: object, options: dict[str, object], message: str) -> None:
    if message:
        assert problem(value, **options).startswith(message)
    else:
        sent(value, **options)  # msgspec writes a set as a list


@pytest.mark.parametrize(
    ("value", "row_id"),
    [
        ({"custom_id": "a", "id": "b", "prompt": "Hi"}, "a"),
        ({"id": "b", "prompt": "Hi"}, "b"),
        ({"id": 17, "prompt": "Hi"}, "17"),
        ({"custom_id": "a", "messages": []}, "a"),
        (InvalidRow("line 7: invalid JSON"), "row-7"),
    ],
)
def test_the_id_is_the_rows_own(value: Any, row_id: str) -> None:
    assert RowReader(default_model="m").row(7, value).id == row_id


def test_without_an_id_it_is_a_hash_of_what_is_sent() -> None:
    reader = RowReader(default_model="m")
    one = reader.row(1, {"prompt": "Hi", "label": "x", "seed": 1})
    same = reader.row(2, {"seed": 1, "messages": HI})
    others = [reader.row(3, "Ho"), reader.row(4, "Hi"), RowReader(model="n").row(5, {"prompt": "Hi", "seed": 1})]
    assert (one.id, one.digest) == (same.id, same.digest)
    assert len({row.id for row in (one, *others)}) == 4
    assert len(one.id) == 24


def test_fields_that_are_not_sent_are_named() -> None:
    reader = RowReader(default_model="m")
    reader.row(1, {"id": "a", "prompt": "Hi", "label": "x", "seed": 1, "extra": {"top_k": 1}})
    reader.row(2, {"custom_id": "a", "body": {"messages": HI, "top_k": 1}, "note": "a line of the Batch API"})
    assert list(reader.ignored) == ["label"]


# Files.


def write(tmp_path: Path, name: str, data: str | bytes) -> Path:
    path = tmp_path / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def test_json_lines(tmp_path: Path) -> None:
    lines = b'\xef\xbb\xbf{"prompt": "a"}\r\n\n{"prompt": "\\ud83d"}\n  \n{"prompt": NaN}\n{"prompt": "e"}'
    assert list(read_file(write(tmp_path, "in.jsonl", lines)))[:2] == [(1, {"prompt": "a"}), (3, {"prompt": "\ud83d"})]
    assert [number for number, _ in read_file(tmp_path / "in.jsonl")] == [1, 3, 5, 6]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"prompt": "a"', "line 1: invalid JSON ("),
        (b"Hi", "line 1: invalid JSON ("),
        (b'{"prompt": "\xff"}', "line 1: invalid JSON ("),
        (b"[" * 100_000, "line 1: invalid JSON ("),
        (b'["Hi"]', "line 1: a row must be a JSON object, not list"),
        (b"17", "line 1: a row must be a JSON object, not int"),
    ],
)
def test_a_line_that_is_no_row_spoils_no_other(tmp_path: Path, line: bytes, message: str) -> None:
    (_, bad), (_, good) = read_file(write(tmp_path, "in.jsonl", line + b'\n{"prompt": "a"}\n'))
    assert isinstance(bad, InvalidRow)
    assert bad.problem.startswith(message)
    assert good == {"prompt": "a"}


@pytest.mark.parametrize(("name", "delimiter"), [("in.csv", ","), ("in.TSV", "\t")])
def test_tables(tmp_path: Path, name: str, delimiter: str) -> None:
    path = tmp_path / name
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerows([["id", "prompt"], ["a", "two\nlines, é"], ["b"], ["c", "x", "y"], ["d", "z"]])
    (_, first), (_, short), (_, long), (_, last) = read_file(path)
    assert first == {"id": "a", "prompt": "two\nlines, é"}
    assert [short, long] == [InvalidRow("row 2: expected 2 columns"), InvalidRow("row 3: expected 2 columns")]
    assert last == {"id": "d", "prompt": "z"}


def test_a_table_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "in.csv", b"prompt\n\xff\n")
    with pytest.raises(InputError, match="is not UTF-8 text"):
        list(read_file(path))


def test_parquet(tmp_path: Path) -> None:
    pyarrow: Any = pytest.importorskip("pyarrow")
    path = tmp_path / "in.parquet"
    rows = [{"id": str(number), "prompt": f"p {number}"} for number in range(3000)]
    import_module("pyarrow.parquet").write_table(pyarrow.Table.from_pylist(rows), path)
    assert list(read_file(path)) == list(enumerate(rows, 1))
    with pytest.raises(InputError, match="is not a Parquet file"):
        list(read_file(write(tmp_path, "other.parquet", "no")))
