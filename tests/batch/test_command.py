"""`firsttoken batch` as a process: exit statuses, what is said, and where it goes on."""

import re
import signal
import subprocess
from pathlib import Path

import pytest

from firsttoken.testing import Gate, Request, ScriptedServer, ScriptLike, error, refuse, reply, role, text
from tests.batch.files import answers, prompt_of, read_lines, times_sent, write_rows
from tests.support import command


def batch(*arguments: object, stdin: str = "") -> "subprocess.CompletedProcess[str]":
    return command.run("batch", *map(str, arguments), stdin=stdin)


def base_url(server: ScriptedServer) -> tuple[str, str]:
    return "--base-url", server.base_url


def echo(request: Request) -> ScriptLike:
    return f"re: {prompt_of(request)}"


def test_a_file_of_prompts_becomes_a_file_of_answers(chat_server: ScriptedServer, tmp_path: Path) -> None:
    chat_server.set_scripts(echo)
    rows, out = write_rows(tmp_path / "in.jsonl", 30), tmp_path / "out.jsonl"
    first = batch(rows, "-o", out, *base_url(chat_server), "-m", "small", "--max-tokens", 9, "--limit", 20)
    assert (first.returncode, first.stdout) == (0, "")
    assert re.search(r"^firsttoken: 20 answers in [\d.]+ s, 0 failed$", first.stderr, re.MULTILINE)
    assert "firsttoken: 180 prompt tokens, 60 completion tokens" in first.stderr
    bodies = [request.json for request in chat_server.journal.requests]
    assert {(body["model"], body["max_tokens"]) for body in bodies} == {("small", 9)}
    second = batch(rows, "-o", out, *base_url(chat_server), "-m", "small", "--max-tokens", 9, "--ordered")
    assert second.returncode == 0
    assert "firsttoken: 10 answers in" in second.stderr
    assert "20 finished before" in second.stderr
    assert list(answers(out).items()) == [(f"r{n}", f"re: prompt {n}") for n in range(30)]
    third = batch(rows, "-o", out, *base_url(chat_server), "-m", "small", "--max-tokens", 9)
    assert (third.returncode, third.stderr) == (0, "firsttoken: 0 answers, 0 failed, 30 finished before\n")
    assert len(chat_server.journal.requests) == 30


def test_standard_input_is_an_input(chat_server: ScriptedServer, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    rows = '{"id": "a", "text": "Why?"}\n{"id": "b", "text": "How?"}\n'
    done = batch("-", "-o", out, *base_url(chat_server), "--template", "Q: {text}", "-s", "Be brief", stdin=rows)
    assert done.returncode == 0
    assert set(answers(out)) == {"a", "b"}
    assert {prompt_of(request) for request in chat_server.journal.requests} == {"Q: Why?", "Q: How?"}
    assert all(request.messages[0]["content"] == "Be brief" for request in chat_server.journal.requests)


def test_a_template_from_a_file(chat_server: ScriptedServer, tmp_path: Path) -> None:
    (tmp_path / "template.txt").write_text("Name {what}.")
    (tmp_path / "in.csv").write_text("id,what\na,a town\nb,a river\n")
    template = f"@{tmp_path / 'template.txt'}"
    done = batch(
        tmp_path / "in.csv", "-o", tmp_path / "out.jsonl", *base_url(chat_server), "--template", template, "--rpm", 6000
    )
    assert done.returncode == 0
    assert {prompt_of(request) for request in chat_server.journal.requests} == {"Name a town.", "Name a river."}


def test_a_dry_run_counts_and_sends_nothing(chat_server: ScriptedServer, tmp_path: Path) -> None:
    rows, out = write_rows(tmp_path / "in.jsonl", 5, model="gpt-5-mini"), tmp_path / "out.jsonl"
    rows.write_text(f"{rows.read_text()}{rows.read_text()}nonsense\n")
    done = batch(rows, "-o", out, "--base-url", "http://127.0.0.1:9/v1", "--dry-run")
    assert done.returncode == 0
    assert done.stderr.startswith("firsttoken: 11 rows: 5 to send, 5 duplicates, 1 that can't be sent\n")
    assert re.search(r"^firsttoken: about \d+ prompt tokens; nothing was sent$", done.stderr, re.MULTILINE)
    assert not out.exists()


def test_what_it_costs(chat_server: ScriptedServer, tmp_path: Path) -> None:
    pytest.importorskip("genai_prices")
    rows, out = write_rows(tmp_path / "in.jsonl", 5, model="gpt-5-mini"), tmp_path / "out.jsonl"
    dry = batch(rows, "-o", out, *base_url(chat_server), "--dry-run", "--prices")
    assert re.search(r"about \d+ prompt tokens, \$0\.\d{6} for them alone; nothing was sent", dry.stderr)
    done = batch(rows, "-o", out, *base_url(chat_server), "--prices")
    assert "45 prompt tokens, 5 completion tokens, $0.000021\n" in done.stderr
    other = batch(rows, "-o", tmp_path / "2.jsonl", *base_url(chat_server), "-m", "home-grown", "--prices")
    assert "$0.000000 (5 answers of unknown price)\n" in other.stderr


@pytest.mark.parametrize(
    ("scripts", "arguments", "status", "words"),
    [
        ([error(400, "too long")], (), 4, ["  3 BadRequestError 400: ", "hint: --retry-errors sends"]),
        ([[role(), text("So")]], (), 7, ["  3 StreamTruncatedError: "]),
        ([error(401, "bad key")], (), 3, ["firsttoken: stopped: ", "bad key", "hint: run the same command again"]),
        ([error(404, "no such model")], (), 4, ["firsttoken: stopped: "]),
        (["ok", error(400, "too long")], ("--concurrency", "1"), 4, ["1 answer in", "  2 BadRequestError 400: "]),
        ([reply("So", finish_reason="length")], (), 0, ["3 answers cut at the token limit"]),
        ([reply("So", finish_reason="content_filter")], (), 0, ["3 answers ended by a content filter"]),
    ],
)
def test_the_exit_status_is_that_of_most_failures(
    chat_server: ScriptedServer,
    tmp_path: Path,
    scripts: list[ScriptLike],
    arguments: tuple[str, ...],
    status: int,
    words: list[str],
) -> None:
    chat_server.set_scripts(*scripts)  # type: ignore[arg-type]
    done = batch(write_rows(tmp_path / "in.jsonl", 3), "-o", tmp_path / "out.jsonl", *base_url(chat_server), *arguments)
    assert done.returncode == status, done.stderr
    for text_of_it in words:
        assert text_of_it in done.stderr


def test_a_server_that_is_not_there_ends_it(chat_server: ScriptedServer, tmp_path: Path) -> None:
    chat_server.set_scripts(refuse())
    out = tmp_path / "out.jsonl"
    done = batch(write_rows(tmp_path / "in.jsonl", 50), "-o", out, *base_url(chat_server))
    assert done.returncode == 6
    assert "firsttoken: stopped: " in done.stderr
    assert read_lines(out) == []


@pytest.mark.parametrize(
    ("rows", "arguments", "message"),
    [
        ('{"id": "a", "prompt": "x"}\n{"id": "a", "prompt": "y"}\n', (), "the id 'a' is also that of another row"),
        ('{"text": "x"}\n', (), "no row of the input can be sent: expected the field 'messages'"),
        (None, (), "in.jsonl: No such file or directory"),
        ("", ("--shard", "3/2"), "'3/2' is not I/N, as in 1/4 to 4/4."),
        ("", ("--concurrency", "many"), "'many' is neither a number above 0 nor auto."),
        ("", ("--template", "@missing"), "missing can't be read"),
    ],
)
def test_usage(tmp_path: Path, rows: str | None, arguments: tuple[str, ...], message: str) -> None:
    path, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    if rows is not None:
        path.write_text(rows)
    done = batch(path, "-o", out, "--base-url", "http://127.0.0.1:9/v1", *arguments)
    assert (done.returncode, message in done.stderr) == (2, True), done.stderr


def test_an_output_that_can_not_be_written(tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "in.jsonl", 1)
    done = batch(rows, "-o", tmp_path / "missing" / "out.jsonl", "--base-url", "http://127.0.0.1:9/v1")
    assert done.returncode == 1
    assert "out.jsonl: No such file or directory" in done.stderr


def test_fields_that_are_not_sent_are_named(chat_server: ScriptedServer, tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "in.jsonl", 2, label="x")
    done = batch(rows, "-o", tmp_path / "out.jsonl", *base_url(chat_server))
    assert 'firsttoken: fields that are not sent: label\nhint: a server\'s own fields go into "extra"' in done.stderr


# Ctrl-C.


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_finishes_what_is_in_flight(chat_server: ScriptedServer, tmp_path: Path, number: signal.Signals) -> None:
    gate = Gate()
    chat_server.set_scripts([gate, *reply("So.")])
    rows, out = write_rows(tmp_path / "in.jsonl", 9), tmp_path / "out.jsonl"
    arguments = ("batch", str(rows), "-o", str(out), *base_url(chat_server), "--concurrency", "3")
    with command.start(*arguments) as process:
        assert chat_server.journal.wait_until_requests(3, 30)
        process.send_signal(number)
        assert process.stderr is not None
        assert process.stderr.readline() == (b"firsttoken: finishing 3 requests in flight; Ctrl-C again drops them\n")
        gate.open(3)
        _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert b"3 answers in" in stderr
    assert stderr.endswith(b"firsttoken: interrupted\nhint: run the same command again to go on\n")
    assert len(answers(out)) == 3
    gate.open(100)
    assert batch(*arguments[1:]).returncode == 0
    assert len(answers(out)) == 9
    assert set(times_sent(chat_server).values()) == {1}


def test_a_second_ctrl_c_drops_it(chat_server: ScriptedServer, tmp_path: Path) -> None:
    chat_server.set_scripts("ok", [Gate(), *reply("So.")])
    rows, out = write_rows(tmp_path / "in.jsonl", 9), tmp_path / "out.jsonl"
    with command.start("batch", str(rows), "-o", str(out), *base_url(chat_server), "--concurrency", "3") as process:
        assert chat_server.journal.wait_until_requests(4, 30)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert b"finishing 3 requests" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == 130
    assert chat_server.journal.wait_for_disconnect(3)
    assert len(answers(out)) == 1


def test_progress_on_a_terminal(chat_server: ScriptedServer, tmp_path: Path) -> None:
    gate = Gate()
    chat_server.set_scripts("ok", "ok", [gate, *reply("So.")])
    rows = write_rows(tmp_path / "in.jsonl", 4)
    arguments = ("batch", str(rows), "-o", str(tmp_path / "out.jsonl"), *base_url(chat_server), "--concurrency", "2")
    with command.Terminal(*arguments) as terminal:
        terminal.expect(r"firsttoken: 2 of 4 done, 2 at once, \d+ tokens/s")
        gate.open(2)
        assert terminal.wait() == 0
        assert re.search(r"\rfirsttoken: 4 answers in [\d.]+ s, 0 failed\n", terminal.seen)
