"""`firsttoken ask --record` and `firsttoken replay`: what they write, say, and end with."""

import json
import re
import signal
import socket
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from firsttoken import Client, Timeout, chat_completion_request
from firsttoken.errors import APITimeoutError, StreamTruncatedError
from firsttoken.testing import Gate, Recording, ScriptedServer, close, done, error, finish, record, stall
from tests.support.clients import drain
from tests.support.command import read_exactly, run, start

REQUEST = chat_completion_request("any", "Why?")
STATS = r"firsttoken: first token \d\.\d\d s, 2 tokens in \d\.\d\d s, [\d.]+ tokens/s, finish reason stop\n"


@pytest.fixture
def tape(tmp_path: Path) -> str:
    return str(tmp_path / "it.jsonl")


def recorded(tape: str, *scripts: Any) -> tuple[str, str, int]:
    with ScriptedServer(*scripts) as server:
        done = run("ask", "Why?", "--base-url", server.base_url, "--record", tape, OPENAI_API_KEY="sk-of-the-asker")
    return done.stdout, done.stderr.replace(server.base_url.removesuffix("/v1"), "SERVER"), done.returncode


def replayed(tape: str, *options: str) -> tuple[str, str, int]:
    done = run("replay", tape, *options)
    return done.stdout, re.sub(r"127\.0\.0\.1:\d+", "SERVER", done.stderr), done.returncode


def test_an_answer_is_recorded_and_comes_again(tape: str) -> None:
    stdout, stderr, status = recorded(tape, "It scatters.")
    assert (stdout, status) == ("It scatters.\n", 0)
    assert re.fullmatch(rf"firsttoken: recorded in {tape}: 1 request, \d+ reads?\n", stderr)
    assert "sk-of-the-asker" not in Path(tape).read_text()
    assert replayed(tape) == ("It scatters.\n", "", 0)
    stdout, stderr, status = replayed(tape, "--stats", "--speed", "max")
    assert (stdout, status) == ("It scatters.\n", 0)
    assert re.fullmatch(STATS, stderr)


@pytest.mark.parametrize("body", [b"", b"not JSON", b'{"model": 5, "n": 0}'])
def test_what_was_asked_does_not_matter(tape: str, body: bytes) -> None:
    recorded(tape, "It scatters.")
    recording = Recording.load(tape)
    recording.exchanges[0].request_body = body
    recording.save(tape)
    assert replayed(tape) == ("It scatters.\n", "", 0)


def test_a_recording_is_written_over(tape: str) -> None:
    Path(tape).write_text("something else\n" * 1000)
    recorded(tape, "It scatters.")
    assert "something else" not in Path(tape).read_text()


@pytest.mark.parametrize(
    ("script", "answer", "words", "status"),
    [
        (["It sc", close()], "It sc", "firsttoken: the answer is incomplete: the connection was closed", 7),
        (error(400, "no such thing"), "", "firsttoken: the server answered 400 Bad Request: no such thing\n", 4),
        (error(401, "who are you?"), "", "firsttoken: the server answered 401 Unauthorized: who are you?\n", 3),
        (error(503, "busy", headers={"retry-after-ms": "1"}), "", "firsttoken: the server answered 503", 5),
        (["It sc", finish("length"), done()], "It sc\n", "firsttoken: the answer stops at the limit of tokens", 8),
    ],
)
def test_what_went_wrong_goes_wrong_again(tape: str, script: Any, answer: str, words: str, status: int) -> None:
    stdout, stderr, returned = recorded(tape, script)
    assert (stdout, returned) == (answer, status)
    assert words in stderr
    assert f"firsttoken: recorded in {tape}: " in stderr
    stdout, stderr, returned = replayed(tape, "--speed", "max")
    assert (stdout, returned) == (answer, status)
    assert stderr.startswith(words)


def test_of_a_question_that_was_asked_again_the_last_answer_counts(tape: str) -> None:
    recorded(tape, error(503, headers={"retry-after-ms": "1"}), "At last.")
    assert [exchange.status for exchange in Recording.load(tape).exchanges] == [503, 200]
    assert replayed(tape) == ("At last.\n", "", 0)


def test_several_calls_are_answered_in_turn_and_the_first_failure_is_the_status(tape: str) -> None:
    with (
        ScriptedServer("One.", ["Tw", close()], "Three.") as server,
        Client(base_url=server.base_url) as client,
        record(client, tape),
    ):
        client.chat_completion_stream(REQUEST).final_completion()
        with pytest.raises(StreamTruncatedError):
            client.chat_completion_stream(REQUEST).final_completion()
        client.chat_completion(REQUEST)
    stdout, stderr, status = replayed(tape)
    assert (stdout, status) == ("One.\nTwThree.\n", 7)
    assert stderr == "firsttoken: the answer is incomplete: the connection was closed before the end of the response\n"


def record_silence(tape: str) -> None:
    with (
        ScriptedServer(["It sc", stall()]) as server,
        Client(base_url=server.base_url, timeout=Timeout(idle_s=0.1)) as client,
        record(client, tape),
        pytest.raises(APITimeoutError),
    ):
        client.chat_completion_stream(REQUEST).final_completion()


def test_ctrl_c_keeps_what_came(tape: str) -> None:
    gate = Gate()
    with (
        ScriptedServer(["It sc", gate, "atters."]) as server,
        start("ask", "Why?", "--base-url", server.base_url, "--record", tape) as process,
    ):
        assert read_exactly(process, 5) == b"It sc"
        assert '"It sc"' in Path(tape).read_text().replace('\\"', '"')  # it is written as it comes
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=30)
        gate.open()
    assert (stdout, process.returncode) == (b"", 130)
    assert stderr.decode().startswith(f"firsttoken: recorded in {tape}: 1 request, ")
    assert Recording.load(tape).exchanges[0].end_reason == "client closed"


def test_ctrl_c_ends_a_replay(tape: str) -> None:
    record_silence(tape)
    recording = Recording.load(tape)
    recording.exchanges[0].ended_ns = 60_000_000_000
    recording.save(tape)
    with start("replay", tape) as process:
        assert read_exactly(process, 5) == b"It sc"
        process.send_signal(signal.SIGINT)
        assert (*process.communicate(timeout=30), process.returncode) == (b"", b"", 130)


@pytest.mark.parametrize("options", [[], ["--serve"]])
def test_a_closed_pipe_ends_a_replay_quietly(tape: str, options: list[str]) -> None:
    recorded(tape, "It scatters.")
    with start("replay", tape, *options) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert (process.stderr.read(), process.wait(30)) == (b"", 141)


def test_served_it_answers_any_client_until_it_is_told_to_end(tape: str) -> None:
    recorded(tape, "It scatters.")
    with start("replay", tape, "--serve", "--speed", "max") as process:
        assert process.stdout is not None
        url = process.stdout.readline().decode().strip()
        body = json.dumps({"model": "m", "messages": [], "stream": True}).encode()
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        for _ in range(2):
            with opener.open(urllib.request.Request(f"{url}/chat/completions", body), timeout=30) as response:
                assert b'" scatters."' in response.read()
        process.send_signal(signal.SIGTERM)
        stdout, stderr = process.communicate(timeout=30)
    assert (stdout, process.returncode) == (b"", 0)
    assert stderr.decode() == (
        f"firsttoken: {tape} is replayed until Ctrl-C; for clients:\nexport OPENAI_BASE_URL={url} OPENAI_API_KEY=any\n"
    )


def test_a_taken_port_is_a_matter_of_configuration(tape: str) -> None:
    recorded(tape, "It scatters.")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        stdout, stderr, status = replayed(tape, "--serve", "--port", str(port))
    assert (stdout, status) == ("", 3)
    assert (
        stderr
        == f"firsttoken: can't listen on port {port}: Address already in use\nhint: port 0 takes one that is free\n"
    )


@pytest.mark.parametrize("options", [[], ["--serve"]])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("hello\n", ":1: this is not a recording\nhint: firsttoken ask --record FILE makes one; "),
        ('{"firsttoken_recording":2}\n', ":1: this is a recording of version 2, and firsttoken "),
        ('{"firsttoken_recording":1}\n', ": there is nothing to replay: the recording has no exchange\n"),
        (
            '{"firsttoken_recording":1}\n{"exchange":1,',
            ":2: expected a JSON object\nhint: was the file cut or edited? ",
        ),
    ],
)
def test_a_file_that_is_no_recording_is_a_matter_of_usage(
    tape: str, content: str, words: str, options: list[str]
) -> None:
    Path(tape).write_text(content)
    stdout, stderr, status = replayed(tape, *options)
    assert (stdout, status) == ("", 2)
    assert stderr.startswith(f"firsttoken: {tape}{words}")


def test_a_missing_file_and_an_odd_speed_are_matters_of_usage(tape: str) -> None:
    assert replayed(tape)[2] == 2
    Path(tape).touch()
    stdout, stderr, status = replayed(tape, "--speed", "fast")
    assert (stdout, status) == ("", 2)
    assert stderr.endswith("Error: Invalid value for '--speed': 'fast' is neither a number above 0 nor max.\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_recording_that_finds_no_place_leaves_the_answer_complete() -> None:
    assert recorded("/dev/full", "It scatters.") == (
        "It scatters.\n",
        "firsttoken: the recording is incomplete: can't write /dev/full: No space left on device\n",
        1,
    )


def test_a_recording_that_can_not_be_opened_is_said_before_the_question(tmp_path: Path) -> None:
    path = str(tmp_path / "none" / "it.jsonl")
    with ScriptedServer("It scatters.") as server:
        done = run("ask", "Why?", "--base-url", server.base_url, "--record", path)
        assert server.journal.entries == []
    assert (done.stdout, done.stderr, done.returncode) == (
        "",
        f"firsttoken: can't write {path}: No such file or directory\n",
        1,
    )


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("", "the name of the file is empty.\n"),
        ("-", "standard output is for the answer; a file of that name is ./-\n"),
    ],
)
def test_a_recording_needs_a_file(path: str, words: str) -> None:
    done = run("ask", "Why?", "--base-url", "http://127.0.0.1:9/v1", "--record", path)
    assert (done.stdout, done.returncode) == ("", 2)
    assert done.stderr.endswith(f"Error: Invalid value for '--record': {words}")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--port", "0"], "--port goes with --serve"),
        (["--serve", "--stats"], "--stats does not go with --serve: the clients have the answers"),
    ],
)
def test_options_that_would_do_nothing_are_matters_of_usage(tape: str, options: list[str], words: str) -> None:
    Path(tape).touch()
    stdout, stderr, status = replayed(tape, *options)
    assert (stdout, status) == ("", 2)
    assert stderr.endswith(f"Error: {words}\n")


@pytest.mark.parametrize(
    ("steps", "answer", "words", "status"),
    [
        (["It sc", finish(), stall()], "It sc\n", "", 0),
        (
            ["It sc", stall()],
            "It sc",
            "the answer is incomplete: timed out after 1 s (idle_s) waiting for the next token from SERVER",
            7,
        ),
        ([stall()], "", "timed out after 1 s (first_chunk_s) waiting for the first token from SERVER", 6),
    ],
    ids=["without done", "in the answer", "before it"],
)
def test_where_the_client_left_the_replay_does_not_wait_for_ever(
    tape: str, steps: list[Any], answer: str, words: str, status: int
) -> None:
    with (
        ScriptedServer(steps) as server,
        Client(base_url=server.base_url, timeout=Timeout(idle_s=0.1, first_chunk_s=0.1), max_retries=0) as client,
        record(client, tape) as recording,
    ):
        drain(client.chat_completion_stream(REQUEST))
    recording.exchanges[0].end_reason = "client closed"
    recording.save(tape)
    stdout, stderr, returned = replayed(tape, "--speed", "max")
    assert (stdout, returned) == (answer, status)
    assert words in stderr
