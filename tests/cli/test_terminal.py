"""The standard streams: odd ones, and a terminal."""

import os
import re
import subprocess

import pytest

from tests.cli.peer import Peer
from tests.support.command import COMMAND, Terminal, environment, run


def test_an_endless_standard_input_is_waited_for_aloud(peer: Peer) -> None:
    command = [*COMMAND, "ask", "Why?", "--base-url", peer.base_url]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        assert process.stderr.readline() == (
            b"firsttoken: waiting for standard input to end (< /dev/null says that there is none)\n"
        )
        process.stdin.close()
        with peer.accept() as exchange:
            exchange.open_stream()
            exchange.end_stream()
        assert process.wait(30) == 0


@pytest.mark.parametrize(
    ("arguments", "stdin", "message"),
    [
        ([], b"", "Error: no question: give a PROMPT, as in: firsttoken ask 'Why is the sky blue?'"),
        (["  "], b" \n", "Error: no question: "),
        ([], b"\xff\xfe", "Error: standard input is not UTF-8 text: invalid start byte at byte 0"),
        ([os.fsdecode(b"caf\xe9")], b"", "Error: PROMPT is not UTF-8 text"),
        (["Why?", "--max-tokens", "0"], b"", "Error: Invalid value for '--max-tokens': 0 is not in the range x>=1."),
        (["Why", "not?"], b"", "Error: Got unexpected extra argument (not?)"),
    ],
)
def test_a_wrong_command_line_is_2(arguments: list[str], stdin: bytes, message: str) -> None:
    done = run("ask", *arguments, stdin=stdin)
    assert (done.stdout, done.returncode) == ("", 2)
    assert message in done.stderr


def test_standard_input_that_can_not_be_read_is_2() -> None:
    command = ["sh", "-c", 'exec "$@" 0>/dev/null', "sh", *COMMAND, "ask", "Why?"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment())
    assert (done.stdout, done.returncode) == ("", 2)
    assert "Error: standard input can't be read: " in done.stderr


def test_at_a_terminal_the_wait_is_shown_and_vanishes(peer: Peer) -> None:
    with Terminal("ask", "Why?", "--base-url", peer.base_url) as terminal, peer.accept() as exchange:
        terminal.expect(r"waiting for the first token \.\.\. $")
        exchange.open_stream()
        exchange.send_text("Because.")
        exchange.end_stream()
        assert terminal.wait() == 0
    assert re.fullmatch(r"waiting for the first token \.\.\. \r +\rBecause\.\n", terminal.seen)


def test_at_a_terminal_ctrl_c_ends_the_line(peer: Peer) -> None:
    with Terminal("ask", "Why?", "--base-url", peer.base_url) as terminal, peer.accept() as exchange:
        exchange.open_stream()
        exchange.send_text("Because ")
        terminal.expect("Because ")
        terminal.type("\x03")
        assert terminal.wait() == 130
        assert exchange.client_left()
    assert terminal.seen.endswith("Because ^C\n")


@pytest.mark.model
def test_at_a_terminal_ctrl_c_ends_the_start_of_the_local_model() -> None:
    with Terminal("ask", "Why?") as terminal:
        terminal.expect(r"starting the local model")
        terminal.type("\x03")
        assert terminal.wait() == 130
    assert "Traceback" not in terminal.seen


def test_at_a_terminal_nothing_is_read_from_it() -> None:
    with Terminal("ask") as terminal:
        assert terminal.wait() == 2
    assert "no question: give a PROMPT" in terminal.seen


def test_a_closed_stderr_is_no_accident() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [*COMMAND, "ask"], stdin=subprocess.DEVNULL, stderr=writer, check=False, env=environment()
        )
        assert done.returncode == 2
    finally:
        os.close(writer)


def test_at_a_terminal_control_characters_are_harmless(peer: Peer) -> None:
    with Terminal("ask", "Why?", "--base-url", peer.base_url) as terminal, peer.accept() as exchange:
        exchange.open_stream()
        exchange.send_text("\x1b]52;c;aGk=", "\x07a\x9b\x7f\x00\r\n\tb 👩\u200d🚀\r", "ü")
        exchange.send_delta(refusal="\x1b[2J")
        exchange.end_stream()
        assert terminal.wait() == 0
    answer = terminal.seen.rpartition("\r")[2]
    assert answer == "?]52;c;aGk=?a???\n\tb 👩\u200d🚀ü\nfirsttoken: the model refuses: ?[2J\n"


def test_at_a_terminal_retries_are_shown_while_it_waits(peer: Peer) -> None:
    with Terminal("ask", "Why?", "--base-url", peer.base_url) as terminal:
        with peer.accept() as exchange:
            exchange.refuse("429 Too Many Requests", "come again", "retry-after-ms: 300")
        terminal.expect(r"\rRateLimitError 429, trying again in 0\.3 s \.\.\. ")
        with peer.accept() as exchange:
            terminal.expect(r"\rwaiting for the first token, attempt 2 \.\.\. ")
            exchange.open_stream()
            exchange.send_text("So.")
            exchange.end_stream()
        assert terminal.wait() == 0
    assert re.search(r"\r +\rSo\.\n$", terminal.seen)
