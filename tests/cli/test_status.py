"""`firsttoken ask`: each of its ends, and its exit status."""

import json
import os
import re
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.cli.asking import Asking
from tests.cli.peer import Peer
from tests.support.command import COMMAND, environment, run


def test_ctrl_c_while_it_waits_closes_the_connection(peer: Peer) -> None:
    with Asking(peer) as asking:
        asking.process.send_signal(signal.SIGINT)
        assert asking.exchange.client_left()
        assert asking.end() == ("", "", 130)


def test_ctrl_c_reaches_it_behind_an_ampersand_too(peer: Peer) -> None:
    script = '"$@" & echo $!; wait $!'  # a shell that runs a script has such a process ignore SIGINT
    command = ["sh", "-c", script, "sh", *COMMAND, "ask", "Why?", "--base-url", peer.base_url]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=environment()) as shell:
        assert shell.stdout is not None
        pid = int(shell.stdout.readline())
        with peer.accept() as exchange:
            os.kill(pid, signal.SIGINT)
            assert exchange.client_left()
        assert shell.wait(30) == 130


def test_ctrl_c_in_the_middle_keeps_what_was_written(peer: Peer) -> None:
    with Asking(peer) as asking:
        asking.exchange.open_stream()
        asking.exchange.send_text("Because ")
        assert asking.reads("Because ")
        asking.process.send_signal(signal.SIGINT)
        assert asking.exchange.client_left()
        assert asking.end() == ("", "", 130)


def test_a_closed_pipe_ends_it_quietly(peer: Peer) -> None:
    with Asking(peer) as asking:
        asking.exchange.open_stream()
        asking.exchange.send_text("Because ")
        assert asking.process.stdout is not None
        assert asking.reads("Because ")
        asking.process.stdout.close()
        asking.exchange.send_text("of ")
        assert asking.exchange.client_left()
        assert asking.process.stderr is not None
        assert asking.process.stderr.read() == b""
        assert asking.process.wait(30) == 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_said(peer: Peer) -> None:
    command = [*COMMAND, "ask", "Why?", "--base-url", peer.base_url]
    with (
        Path("/dev/full").open("wb") as full,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE, env=environment()
        ) as process,
    ):
        with peer.accept() as exchange:
            exchange.open_stream()
            exchange.send_text("Because")
            assert exchange.client_left()
        _, stderr = process.communicate(timeout=30)
    assert stderr == b"firsttoken: standard output takes no more: No space left on device\n"
    assert process.returncode == 1


@pytest.mark.parametrize(("closed", "stderr"), [(">&-", b"firsttoken: standard output is closed\n"), (">&- 2>&-", b"")])
def test_closed_streams_are_no_accident(peer: Peer, closed: str, stderr: bytes) -> None:
    script = f'exec "$@" {closed}'
    command = ["sh", "-c", script, "sh", *COMMAND, "ask", "Why?", "--base-url", peer.base_url]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment()) as process:
        with peer.accept() as exchange:
            exchange.open_stream()
            exchange.send_text("Because")
            assert exchange.client_left()
        assert process.communicate(timeout=30)[1] == stderr
    assert process.returncode == 1


@pytest.mark.parametrize(
    ("status", "exit_status"),
    [
        ("401 Unauthorized", 3),
        ("403 Forbidden", 3),
        ("400 Bad Request", 4),
        ("422 Unprocessable Entity", 4),
        ("418 I'm a teapot", 4),
    ],
)
def test_a_refusal_is_told_in_the_servers_words(peer: Peer, status: str, exit_status: int) -> None:
    with Asking(peer, "-m", "tiny") as asking:
        asking.exchange.refuse(status, "no \x1b[31msuch\x1b[0m thing")
        stdout, stderr, returned = asking.end()
        assert (stdout, returned) == ("", exit_status)
        assert stderr.startswith("firsttoken: ")
        assert "no ?[31msuch?[0m thing" in stderr
        assert "\x1b" not in stderr


@pytest.mark.parametrize("fields", [{}, {"param": "model"}])
def test_an_unknown_model_that_nobody_named_gets_a_hint(peer: Peer, fields: dict[str, str]) -> None:
    with Asking(peer) as asking:
        asking.exchange.refuse("400 Bad Request" if fields else "404 Not Found", "no such model", **fields)
        stdout, stderr, status = asking.end()
        assert (stdout, status) == ("", 4)
        assert "no such model" in stderr
        assert stderr.endswith("\nhint: no model was named; -m names one\n")


@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Service Unavailable", "408 Request Timeout"])
def test_an_overloaded_server_is_asked_three_times(peer: Peer, status: str) -> None:
    with Asking(peer) as asking:
        asking.exchange.refuse(status, "come again", "retry-after-ms: 1")
        for _ in range(2):
            with peer.accept() as exchange:
                exchange.refuse(status, "come again", "retry-after-ms: 1")
        stdout, stderr, returned = asking.end()
        assert (stdout, returned) == ("", 5)
        assert "come again" in stderr


def test_no_connection_is_6() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        base_url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    done = run("ask", "Why?", "--base-url", base_url)
    assert (done.stdout, done.returncode) == ("", 6)
    assert done.stderr.startswith("firsttoken: ")
    assert "Traceback" not in done.stderr


def test_no_chat_completion_is_6(peer: Peer) -> None:
    with Asking(peer) as asking:
        asking.exchange.respond("200 OK", "<h1>Welcome</h1>", content_type="text/html")
        stdout, stderr, status = asking.end()
        assert (stdout, status) == ("", 6)
        assert "<h1>Welcome</h1>" in stderr


@pytest.mark.parametrize("fault", ["cut", "reset", "error"])
def test_an_answer_that_breaks_off_is_7(peer: Peer, fault: str) -> None:
    with Asking(peer, "--stats") as asking:
        asking.exchange.open_stream()
        asking.exchange.send_text("Because ")
        assert asking.reads("Because ")
        if fault == "reset":
            asking.exchange.reset()
        elif fault == "cut":
            asking.exchange.close()
        else:
            asking.exchange.send_event(json.dumps({"error": {"message": "the model fell over", "code": 500}}))
        stdout, stderr, status = asking.end()
        assert (stdout, status) == ("", 7)
        first, second = stderr.splitlines()[:2]
        assert re.fullmatch("firsttoken: first token .*, finish reason none, tokens not counted by the server", first)
        assert second.startswith("firsttoken: the answer is incomplete: ")
        assert fault != "error" or "the model fell over" in second


def test_no_key_for_openai_is_3() -> None:
    done = run("ask", "Why?", "--base-url", "https://api.openai.com/v1")
    assert (done.stdout, done.returncode) == ("", 3)
    assert done.stderr.startswith("firsttoken: missing API key for api.openai.com\nhint: ")
