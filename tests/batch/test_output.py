"""The output file: what is finished, what was torn, and what is not an output at all."""

import json
from pathlib import Path
from typing import Any

import pytest

from firsttoken.batch import InputError, Result
from firsttoken.batch._ids import DONE, IdTable
from firsttoken.batch._output import Found, Output
from firsttoken.errors import RateLimitError, StreamTruncatedError
from firsttoken.types import ChatCompletion, ChatCompletionMessage, Choice, ResponseInfo
from firsttoken.types import Headers as ResponseHeaders

ANSWER = ChatCompletion(
    id="c-1",
    model="m",
    choices=[Choice(index=0, message=ChatCompletionMessage(content="So."), finish_reason="stop", extra={"x": None})],
    response=ResponseInfo(status=200, headers=ResponseHeaders({}), request_id="req-1"),
    complete=True,
)


def refused() -> RateLimitError:
    error = RateLimitError("slow down", status=429, code="rate_limit_exceeded", body={"error": {"message": "slow"}})
    error.request_id = "req-2"
    return error


def truncated() -> StreamTruncatedError:
    error = StreamTruncatedError("stream truncated after 1 chunk", hint="try again")
    error.partial = ANSWER
    return error


COMPLETE = Result("a", ANSWER, None, 1, digest=0x1238)
REFUSED = Result("b", None, refused(), 3, digest=0x4560)
TRUNCATED = Result("c", None, truncated(), 4, digest=0x7890)
ALL = (COMPLETE, REFUSED, TRUNCATED)


def write(path: Path, *results: Result) -> None:
    with Output(path) as output:
        for result in results:
            output.write(result)


def resume(path: Path, *, retry_errors: bool = False) -> tuple[Found, IdTable]:
    ids = IdTable()
    with Output(path) as output:
        return output.resume(ids, retry_errors=retry_errors), ids


def ids_in(path: Path) -> list[str]:
    return [json.loads(line)["custom_id"] for line in path.read_text().splitlines()]


def test_a_line_is_one_of_openais_batch_api() -> None:
    assert COMPLETE.to_dict() == {
        "id": "firsttoken_0000000000001238",
        "custom_id": "a",
        "response": {
            "status_code": 200,
            "request_id": "req-1",
            "body": {
                "id": "c-1",
                "object": "chat.completion",
                "created": 0,
                "model": "m",
                "choices": [
                    {
                        "index": 0,
                        "message": {"role": "assistant", "content": "So."},
                        "finish_reason": "stop",
                        "x": None,
                    }
                ],
            },
        },
        "error": None,
    }


def test_an_error_row_has_class_status_attempts_and_what_arrived() -> None:
    assert REFUSED.to_dict() == {
        "id": "firsttoken_0000000000004560",
        "custom_id": "b",
        "response": {"status_code": 429, "request_id": "req-2", "body": {"error": {"message": "slow"}}},
        "error": {
            "code": "rate_limit_exceeded",
            "message": "slow down",
            "class": "RateLimitError",
            "status": 429,
            "attempts": 3,
            "partial": None,
        },
    }
    line: dict[str, Any] = TRUNCATED.to_dict()
    error = line["error"]
    assert line["response"] is None
    assert (error["class"], error["status"], error["partial"]) == ("StreamTruncatedError", None, "So.")
    assert error["message"] == "stream truncated after 1 chunk"


def test_a_lone_surrogate_is_written(tmp_path: Path) -> None:
    write(tmp_path / "out.jsonl", Result("\ud83d", ANSWER, None, 1))
    assert ids_in(tmp_path / "out.jsonl") == ["\ud83d"]
    assert resume(tmp_path / "out.jsonl")[1].get("\ud83d") == DONE


def test_what_was_written_is_finished(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    write(path, *ALL)
    found, ids = resume(path)
    assert found == Found(1, 2, 0)
    assert [ids.get(name) for name in "abcd"] == [DONE, DONE, DONE, 0]
    assert ids.digest("a") == 0x1238


def test_wherever_the_last_line_was_torn_it_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    write(path, COMPLETE, REFUSED)
    data = path.read_bytes()
    first = data.index(b"\n") + 1
    for end in {0, 1, 20, first - 1, first, first + 1, first + 30, *range(0, len(data), 31), len(data) - 1}:
        path.write_bytes(data[:end])
        found, ids = resume(path)
        kept = first if end >= first else 0
        assert (path.read_bytes(), found.torn_bytes) == (data[:kept], end - kept)
        assert ids.get("b") == 0
        write(path, REFUSED)
        assert ids_in(path) == (["a", "b"] if kept else ["b"])


def test_blocks_that_the_disk_never_got_are_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    write(path, COMPLETE)
    good = path.read_bytes()
    path.write_bytes(good + b"\0" * 4096 + b"\n\0\0")
    assert resume(path)[0].torn_bytes == 4096 + 3
    assert path.read_bytes() == good


@pytest.mark.parametrize(
    ("data", "number"),
    [
        (b"a diary\n", 1),
        (b"a diary", 1),
        (b'{"custom_id": "a", "body": {}}\n', 1),
        (b'{"id": "x", "text": "y"}', 1),
        (b'{"id":"x","custom_id":"a","response":null,"error":null}\nx\n{"custom_id":"b","response":1,"error":1}\n', 2),
    ],
)
def test_a_file_of_another_kind_is_left_as_it_is(tmp_path: Path, data: bytes, number: int) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(data)
    with pytest.raises(InputError, match=f"line {number}: not the output of a batch"):
        resume(path)
    assert path.read_bytes() == data


def test_the_output_of_openais_batch_api_is_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text('{"id": "batch_req_1", "custom_id": "a", "response": {"status_code": 200}, "error": null}\n')
    found, ids = resume(path)
    assert (found, ids.get("a"), ids.digest("a")) == (Found(1, 0, 0), DONE, 0)


def test_error_rows_make_room_for_their_retry(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    write(path, *ALL)
    with Output(path) as output:
        ids = IdTable()
        assert output.resume(ids, retry_errors=True) == Found(1, 2, 0)
        assert [ids.get(name) for name in "abc"] == [DONE, 0, 0]
        assert ids_in(path) == ["a"]
        output.write(TRUNCATED)
    assert ids_in(path) == ["a", "c"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.jsonl"]


def test_lines_are_put_into_order(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    write(path, *ALL)
    with Output(path) as output:
        output.sort(iter(["c", "x", "a", "b", "a"]))
    assert ids_in(path) == ["c", "a", "b"]


def test_a_second_run_on_the_same_output_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with Output(path) as output:
        with pytest.raises(InputError, match="another run is writing to"):
            Output(path)
        output.write(COMPLETE)
        output.resume(IdTable(), retry_errors=True)
        output.write(REFUSED)
        output.resume(IdTable(), retry_errors=True)
        with pytest.raises(InputError, match="another run is writing to"):
            Output(path)
    Output(path).close()
