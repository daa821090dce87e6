"""`firsttoken ask`: attachments, headers, the deadline and `--json`."""

import json
import signal
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from firsttoken.testing import ScriptedServer, done, event, finish, reply, stall, text, tool_call
from tests.cli.asking import Asking, answered
from tests.cli.peer import Peer
from tests.support.command import run

PNG = b"\x89PNG\r\n\x1a\n-"


def test_an_image_and_a_text_stand_before_the_prompt(peer: Peer, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    (tmp_path / "notes.md").write_text("# Größe\n", encoding="utf-8")
    options = ["-a", str(tmp_path / "a.png"), "-a", str(tmp_path / "notes.md"), "-a", "https://example.com/b.jpg"]
    assert answered(peer, "What is it?", *options).body["messages"][0]["content"] == [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{b64encode(PNG).decode()}"}},
        {"type": "text", "text": "notes.md:\n\n# Größe\n"},
        {"type": "image_url", "image_url": {"url": "https://example.com/b.jpg"}},
        {"type": "text", "text": "What is it?"},
    ]


def test_texts_alone_are_text(peer: Peer, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("1 + 1", encoding="utf-8")
    content = answered(peer, "What is it?", "-a", str(tmp_path / "a.py")).body["messages"][0]["content"]
    assert content == "a.py:\n\n1 + 1\n\nWhat is it?"


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.txt", None, "firsttoken: can't read the attachment {}: No such file or directory\n"),
        (
            "a.bin",
            b"\xff\x00",
            (
                "firsttoken: can't attach {}: neither UTF-8 text nor a known kind of file\n"
                "hint: known are text, .pdf, .bmp, .flac, .gif, .jpeg, .jpg, .mp3, .ogg, .png, .wav, .webp\n"
            ),
        ),
    ],
)
def test_what_can_not_be_attached_is_3(tmp_path: Path, name: str, data: bytes | None, message: str) -> None:
    file = tmp_path / name
    if data is not None:
        file.write_bytes(data)
    answer = run("ask", "Why?", "-a", str(file), "--base-url", "http://127.0.0.1:9/v1")
    assert (answer.stdout, answer.stderr, answer.returncode) == ("", message.format(file), 3)


def test_headers_are_sent(peer: Peer) -> None:
    headers = answered(peer, "Why?", "--header", "X-Team: blue: navy", "--header", "x-run:7").headers
    assert (headers["x-team"], headers["x-run"]) == ("blue: navy", "7")


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("blue", "'blue' is not a header, as in 'X-Team: blue'."),
        ("a b: c", "invalid header name: 'a b'."),
        ("Content-Length: 1", "the header content-length is set by firsttoken and can't be overridden."),
    ],
)
def test_a_wrong_header_is_2(header: str, message: str) -> None:
    answer = run("ask", "Why?", "--header", header)
    assert answer.stderr.endswith(f"Error: Invalid value for '--header': {message}\n")
    assert (answer.stdout, answer.returncode) == ("", 2)


def test_the_timeout_is_for_the_complete_answer() -> None:
    with ScriptedServer([text("Because"), stall()]) as server:
        answer = run("ask", "Why?", "--timeout", "0.5", "--base-url", server.base_url)
    assert (answer.stdout, answer.returncode) == ("Because", 7)
    assert "was not complete after 0.5 s (total_s)" in answer.stderr


# --- --json -----------------------------------------------------------------------------------------------------------


def lines(stdout: str) -> list[Any]:
    assert stdout.endswith("\n")
    return [json.loads(line) for line in stdout.splitlines()]


def test_json_has_a_line_for_each_event_and_one_for_the_end() -> None:
    with ScriptedServer(reply(["Be", "cause."])) as server:
        answer = run("ask", "Why?", "--json", "--base-url", server.base_url)
    assert (answer.stderr, answer.returncode) == ("", 0)
    *events, end = lines(answer.stdout)
    assert events == [
        {"type": "text", "choice_index": 0, "delta": "Be"},
        {"type": "text", "choice_index": 0, "delta": "cause."},
        {"type": "usage", "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}},
        {"type": "finished", "choice_index": 0, "finish_reason": "stop"},
    ]
    assert {name: end[name] for name in ("type", "outcome", "status", "finish_reason", "error")} == {
        "type": "end",
        "outcome": "complete",
        "status": 0,
        "finish_reason": "stop",
        "error": None,
    }
    assert end["usage"] == events[2]["usage"]
    assert end["timing"]["time_to_first_token_s"] <= end["timing"]["duration_s"]


def test_json_names_the_error_and_keeps_what_came() -> None:
    error = {"error": {"message": "out of memory", "code": "oom"}}
    with ScriptedServer([text("Be"), event(error)]) as server:
        answer = run("ask", "Why?", "--json", "--base-url", server.base_url)
    first, end = lines(answer.stdout)
    assert first == {"type": "text", "choice_index": 0, "delta": "Be"}
    assert (end["outcome"], end["status"], answer.returncode) == ("failed", 7, 7)
    assert (end["error"]["class"], end["error"]["code"]) == ("APIStatusError", "oom")
    assert "out of memory" in end["error"]["message"]
    assert "out of memory" in answer.stderr


def test_json_has_an_end_where_nothing_was_sent() -> None:
    answer = run("ask", "Why?", "--json", "-p", "none")
    (end,) = lines(answer.stdout)
    assert (end["outcome"], end["status"], answer.returncode) == ("failed", 3, 3)
    assert end["error"]["class"] == "ConfigurationError"


def test_json_has_an_end_after_ctrl_c(peer: Peer) -> None:
    with Asking(peer, "--json") as asking:
        asking.exchange.open_stream()
        asking.exchange.send_text("Be")
        assert asking.reads('{"type":"text","choice_index":0,"delta":"Be"}\n')
        asking.process.send_signal(signal.SIGINT)
        assert asking.exchange.client_left()
        stdout, stderr, status = asking.end()
    (end,) = lines(stdout)
    assert (end["outcome"], end["status"], status, stderr) == ("stopped", 130, 130, "")


def test_json_into_a_pipe_that_is_closed_ends_quietly(peer: Peer) -> None:
    with Asking(peer, "--json") as asking:
        asking.exchange.open_stream()
        assert asking.process.stdout is not None
        asking.process.stdout.close()
        asking.exchange.send_text("Because ")
        assert asking.exchange.client_left()
        assert asking.process.stderr is not None
        assert (asking.process.stderr.read(), asking.process.wait(30)) == (b"", 141)


def test_a_tools_call_is_an_event_too() -> None:
    with ScriptedServer([tool_call("look_up", {"a": 1}), finish("tool_calls"), done()]) as server:
        answer = run("ask", "Why?", "--json", "--base-url", server.base_url)
    types = [line["type"] for line in lines(answer.stdout)]
    assert types[0] == "tool_call_started"
    assert types[-3:] == ["tool_call_finished", "finished", "end"]
