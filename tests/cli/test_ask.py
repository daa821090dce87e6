"""`firsttoken ask`: what it sends, and what it writes where."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.asking import Asking, answered
from tests.cli.peer import Peer
from tests.support.command import environment, run

# --- what it sends ----------------------------------------------------------------------------------------------------


def test_a_prompt_is_one_user_message(peer: Peer) -> None:
    exchange = answered(peer, "Why is the sky blue?")
    assert exchange.line == "POST /v1/chat/completions HTTP/1.1"
    assert exchange.body == {
        "model": "default",
        "messages": [{"role": "user", "content": "Why is the sky blue?"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_every_option_has_its_field(peer: Peer) -> None:
    options = ["-m", "tiny", "-s", "Be brief.", "--max-tokens", "7", "--temperature", "0.5"]
    assert answered(peer, "Why?", *options).body == {
        "model": "tiny",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}],
        "max_tokens": 7,
        "temperature": 0.5,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


@pytest.mark.parametrize(
    ("prompt", "stdin", "content"),
    [
        (["Summarise."], "A long text.\n", "A long text.\n\nSummarise."),
        ([], "Why?\n", "Why?"),
        ([], "\ufeffWarum nicht? Für mich schon.", "Warum nicht? Für mich schon."),
        (["Why?"], " \n\n", "Why?"),
    ],
)
def test_standard_input_is_context_or_the_prompt(peer: Peer, prompt: list[str], stdin: str, content: str) -> None:
    assert answered(peer, *prompt, stdin=stdin).body["messages"] == [{"role": "user", "content": content}]


def test_the_key_is_the_environments(peer: Peer) -> None:
    exchange = answered(peer, "Why?", OPENAI_API_KEY="sk-of-nobody")
    assert exchange.headers["authorization"] == "Bearer sk-of-nobody"


# --- what it writes where ---------------------------------------------------------------------------------------------


def test_the_answer_alone_is_on_stdout_and_nothing_on_stderr(peer: Peer) -> None:
    with Asking(peer) as asking:
        asking.exchange.open_stream()
        asking.exchange.send_delta(role="assistant", content="")
        asking.exchange.send_delta(reasoning_content="Hm.")
        asking.exchange.send_text("Be", "cause.")
        asking.exchange.end_stream()
        assert asking.end() == ("Because.\n", "", 0)


def test_a_last_line_that_is_ended_is_not_ended_again(peer: Peer) -> None:
    with Asking(peer) as asking:
        asking.exchange.open_stream()
        asking.exchange.send_text("1\n", "2\n")
        asking.exchange.end_stream()
        assert asking.end() == ("1\n2\n", "", 0)


def test_each_piece_leaves_at_once_into_a_pipe_too(peer: Peer) -> None:
    with Asking(peer) as asking:
        asking.exchange.open_stream()
        for piece in ("one ", "two ", "three"):
            asking.exchange.send_text(piece)
            assert asking.reads(piece)
        asking.exchange.end_stream()
        assert asking.end() == ("\n", "", 0)


@pytest.mark.parametrize(
    "variables", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C"}, {"PYTHONUTF8": "0", "LC_ALL": "C"}]
)
def test_the_answer_is_utf_8_whatever_the_locale(peer: Peer, variables: dict[str, str]) -> None:
    with Asking(peer, **variables) as asking:
        asking.exchange.open_stream()
        asking.exchange.send_text("größer 🙂 \ud800")
        asking.exchange.end_stream()
        assert asking.end() == ("größer 🙂 ?\n", "", 0)


def test_stats_are_on_stderr(peer: Peer) -> None:
    with Asking(peer, "--stats") as asking:
        asking.exchange.open_stream()
        asking.exchange.send_text("So.")
        asking.exchange.end_stream(usage={"prompt_tokens": 5, "completion_tokens": 42, "total_tokens": 47})
        stdout, stderr, status = asking.end()
        assert (stdout, status) == ("So.\n", 0)
        number = r"\d+\.\d"
        first, count, rate = (rf"first token {number}\d s", rf"42 tokens in {number}\d s", rf"{number} tokens/s")
        assert re.fullmatch(f"firsttoken: {first}, {count}, {rate}, finish reason stop\n", stderr)


def test_stats_without_usage_count_chunks_and_say_so(peer: Peer) -> None:
    with Asking(peer, "--stats") as asking:
        asking.exchange.open_stream()
        asking.exchange.send_text("S", "o.")
        asking.exchange.end_stream()
        stdout, stderr, status = asking.end()
        assert (stdout, status) == ("So.\n", 0)
        assert ", 3 chunks in " in stderr
        assert stderr.endswith(" chunks/s, finish reason stop, tokens not counted by the server\n")


CUT = "the answer stops at the limit of tokens, not at its end"
FILTERED = "the answer was cut by the server's content filter"


@pytest.mark.parametrize(
    ("delta", "reason", "remark", "exit_status"),
    [
        ({"content": "So"}, "length", CUT, 8),
        ({"content": "So"}, "MAX_TOKENS", f"{CUT} (MAX_TOKENS)", 8),
        ({"content": "So"}, "model_context_window_exceeded", f"{CUT} (model_context_window_exceeded)", 8),
        ({"content": "So"}, "content_filter", FILTERED, 9),
        ({"content": "So"}, "SAFETY", f"{FILTERED} (SAFETY)", 9),
        ({"content": "So"}, "eos", "the answer ends with the finish reason 'eos'", 0),
        ({"refusal": "I can't."}, "stop", "the model refuses: I can't.", 0),
    ],
)
def test_what_the_text_does_not_show_is_remarked(
    peer: Peer, delta: dict[str, str], reason: str, remark: str, exit_status: int
) -> None:
    with Asking(peer) as asking:
        asking.exchange.open_stream()
        asking.exchange.send_delta(None, **delta)
        asking.exchange.end_stream(reason)
        stdout = "So\n" if "content" in delta else ""
        assert asking.end() == (stdout, f"firsttoken: {remark}\n", exit_status)


def test_an_answer_that_was_cut_is_no_success_in_json_and_in_a_replay(peer: Peer, tmp_path: Path) -> None:
    recording = str(tmp_path / "answer.jsonl")
    with Asking(peer, "--json", "--record", recording) as asking:
        asking.exchange.open_stream()
        asking.exchange.send_text("So")
        asking.exchange.end_stream("length")
        stdout, _, status = asking.end()
        last = json.loads(stdout.splitlines()[-1])
        assert (last["outcome"], last["status"], last["finish_reason"], status) == ("complete", 8, "length", 8)
    replayed = run("replay", recording, "--speed", "max")
    assert (replayed.stdout, replayed.returncode) == ("So\n", 8)


def test_a_pipe_gets_control_characters_as_they_came(peer: Peer) -> None:
    with Asking(peer) as asking:
        asking.exchange.open_stream()
        asking.exchange.send_text("\x1b]52;c;aGk=\x07a\r\nb\x9b")
        asking.exchange.end_stream()
        assert asking.end() == ("\x1b]52;c;aGk=\x07a\r\nb\x9b\n", "", 0)


# --- the local model ------------------------------------------------------------------------------------------------


@pytest.mark.model
def test_without_key_and_base_url_the_local_model_answers() -> None:
    done = run("ask", "Say hello.", "--max-tokens", "5", "--temperature", "0", "-m", "gpt-5-mini")
    assert done.stdout.strip()
    assert done.stdout.endswith("\n")
    assert done.returncode == 8  # cut at the limit of tokens
    assert done.stderr.splitlines()[0] == (
        "firsttoken: no OPENAI_API_KEY and no base URL: the local model SmolLM2-135M-Instruct answers, not gpt-5-mini"
    )


@pytest.mark.model
def test_the_local_model_refuses_what_it_can_not_hold() -> None:
    done = run("ask", "Summarise.", stdin="word " * 9000)
    assert (done.stdout, done.returncode) == ("", 4)
    assert "exceeds the available context size (8192 tokens)" in done.stderr


def test_without_the_local_model_it_says_what_to_install() -> None:
    script = (
        "import sys; sys.modules['xllamacpp'] = None; from firsttoken._cli import main; sys.exit(main(['ask', 'Why?']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
    )
    assert (done.stdout, done.returncode) == ("", 3)
    assert done.stderr == (
        "firsttoken: the local model needs the package xllamacpp\n"
        "hint: in a clone of firsttoken: pip install '.[local]'\n"
    )
