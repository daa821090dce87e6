"""`firsttoken chat` at a terminal: what is sent, what is kept, and each way in which an answer ends."""

import json
import os
import re
import signal
import stat
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from firsttoken.testing import Gate, Request, ScriptedServer, StepLike, close, reasoning, reply, role, stall, text
from tests.cli.chatting import PROMPT, Chatting
from tests.support.command import COMMAND, environment, run
from tests.support.server import Peer, Server

SAID = {"role": "user", "content": "Why?"}


def messages(server: ScriptedServer, number: int) -> list[dict[str, object]]:
    """What a request had in it, from 1."""
    return server.journal.requests[number - 1].messages


def transcript(folder: Path) -> list[dict[str, Any]]:
    """The lines of the one that there is."""
    (file,) = (folder / "firsttoken" / "chats").glob("*.jsonl")
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def said(folder: Path) -> list[tuple[str, str, str]]:
    """Role, text and state of each message in the transcript."""
    return [
        (
            line["role"],
            str(line.get("content") or line.get("reasoning_content")),
            line["firsttoken"].get("state", "complete"),
        )
        for line in transcript(folder)
        if "role" in line
    ]


def listing(peer: Peer) -> None:
    peer.read_request()
    peer.answer_json(200, {"object": "list", "data": [{"id": "large"}, {"id": "small"}]})


def busy(peer: Peer) -> None:
    peer.read_request()
    peer.answer(429, b"{}", {"content-type": "application/json", "retry-after": "50"})
    peer.wait_for_disconnect()


# --- a conversation ---------------------------------------------------------------------------------------------------


def test_a_limit_of_tokens_is_sent_and_one_that_cuts_is_said(tmp_path: Path) -> None:
    with ScriptedServer(reply("Because of", finish_reason="length")) as server:
        options = ["--base-url", server.base_url, "--max-tokens", "2"]
        done = run("chat", *options, stdin="Why?", XDG_DATA_HOME=str(tmp_path))
        assert server.journal.requests[0].json["max_tokens"] == 2
    assert (done.stdout, done.returncode) == ("Because of\n", 8)
    assert done.stderr == "firsttoken: the answer stops at the limit of tokens, not at its end\n"


def test_a_note_stands_below_its_answer(tmp_path: Path) -> None:
    with (
        ScriptedServer(reply("Because of", finish_reason="length")) as server,
        Chatting(tmp_path, "--base-url", server.base_url) as chat,
    ):
        chat.wait_for_prompt()
        chat.send("Why?")
        rows = chat.wait_for_prompt_after("Why?")
    note = "firsttoken: the answer stops at the limit of tokens, not at its end"
    assert rows == [">>> Why?", "Because of", note, "", PROMPT]


def test_a_conversation_is_sent_kept_and_gone_on_with(tmp_path: Path) -> None:
    with ScriptedServer("Because.", "So.", "Yes.") as server:
        with Chatting(tmp_path, "--base-url", server.base_url, "-s", "Be brief.", "-m", "tiny") as chat:
            chat.wait_for_prompt()
            chat.send("Why?")
            chat.wait_for("^Because\\.$")
            chat.wait_for_prompt()
            chat.send("And then?")
            chat.wait_for("^So\\.$")
            assert chat.wait_for_prompt() == [">>> Why?", "Because.", "", ">>> And then?", "So.", "", PROMPT]
            chat.type("\x04")
            assert chat.end() == 0
            assert chat.rows[-1] == ">>>"
        before = [{"role": "system", "content": "Be brief."}, SAID]
        assert messages(server, 1) == before
        before += [{"role": "assistant", "content": "Because."}, {"role": "user", "content": "And then?"}]
        assert messages(server, 2) == before

        with Chatting(tmp_path, "--base-url", server.base_url, "-c") as chat:
            assert re.fullmatch(r"firsttoken: going on with .*, 4 messages", " ".join(chat.wait_for_prompt()[:-1]))
            chat.send("Sure?")
            chat.wait_for("^Yes\\.$")
            chat.wait_for_prompt()
            chat.send("/bye")
            assert chat.end() == 0
        request = server.journal.requests[2]
        assert request.messages == [
            *before,
            {"role": "assistant", "content": "So."},
            {"role": "user", "content": "Sure?"},
        ]
        assert request.json["model"] == "tiny"
    assert [role for role, _, _ in said(tmp_path)] == [
        "system",
        "user",
        "assistant",
        "user",
        "assistant",
        "user",
        "assistant",
    ]
    (file,) = (tmp_path / "firsttoken" / "chats").glob("*")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_batch_asks_the_questions_of_a_transcript_again(tmp_path: Path) -> None:
    file = tmp_path / "t.jsonl"
    file.write_text("\n".join(json.dumps(line) for line in TRANSCRIPT), encoding="utf-8")
    with ScriptedServer("Well.", "Well.") as server:
        done = run("batch", str(file), "-o", str(tmp_path / "out.jsonl"), "--base-url", server.base_url)
        assert done.returncode == 0, done.stderr
        sent = sorted((request.messages for request in server.journal.requests), key=len)
    system, first = {"role": "system", "content": "Be brief."}, {"role": "user", "content": "A?"}
    assert sent == [
        [system, first],
        [system, first, {"role": "assistant", "content": "a"}, {"role": "user", "content": "C?"}],
    ]


TRANSCRIPT: list[dict[str, object]] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "A?", "firsttoken": {"at": "2026-11-26T12:00:00Z"}},
    {"role": "assistant", "content": "a", "firsttoken": {"model": "tiny"}},
    {"role": "user", "content": "B?"},
    {"firsttoken": {"take_back": 1}},
    {"role": "user", "content": "C?"},
    {"role": "assistant", "content": "c", "firsttoken": {"model": "tiny", "state": "stopped"}},
]


# --- what is typed ----------------------------------------------------------------------------------------------------


def test_a_pasted_text_is_one_message_byte_for_byte(tmp_path: Path) -> None:
    lines = [f'{number:03} /bye \t""" 数据 🙂 {"x" * 106}' for number in range(500)]
    pasted = "\n".join(lines)
    assert len(pasted.encode()) >= 64 * 1024
    with ScriptedServer("Long.") as server, Chatting(tmp_path, "--base-url", server.base_url) as chat:
        chat.wait_for_prompt()
        chat.type(b"\x1b[200~" + pasted.replace("\n", "\r").encode() + b"\x1b[201~")
        chat.wait_for("^... 499 ")
        assert server.journal.requests == []
        chat.type("\r")
        chat.wait_for("^Long\\.$")
        assert messages(server, 1) == [{"role": "user", "content": pasted}]
    assert said(tmp_path)[0] == ("user", pasted, "complete")


@pytest.mark.parametrize(
    ("typed", "content"),
    [
        ("a\nb\x1b\rc\r", "a\nb\nc"),  # Ctrl-J, Alt-Enter
        ('"""a\rb\r\rc"""\r', "a\nb\n\nc"),
        ("/etc/hosts is what?\r", "/etc/hosts is what?"),
        ("leave this\x03but send this\r", "but send this"),
        ("\r\r \rWhy?\r", " Why?"),
    ],
)
def test_what_is_typed_is_one_message(tmp_path: Path, typed: str, content: str) -> None:
    with ScriptedServer("So.") as server, Chatting(tmp_path, "--base-url", server.base_url) as chat:
        chat.wait_for_prompt()
        chat.type(typed)
        chat.wait_for("^So\\.$")
        assert messages(server, 1) == [{"role": "user", "content": content}]


def test_the_editor_writes_the_message(tmp_path: Path) -> None:
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nprintf " in the editor" >> "$1"\n', encoding="utf-8")
    editor.chmod(0o700)
    with (
        ScriptedServer("So.") as server,
        Chatting(tmp_path, "--base-url", server.base_url, variables={"VISUAL": str(editor)}) as chat,
    ):
        chat.wait_for_prompt()
        chat.type("Written\x07")
        chat.wait_for("Written in the editor")
        chat.type("\r")
        chat.wait_for("^So\\.$")
        assert messages(server, 1) == [{"role": "user", "content": "Written in the editor"}]


def test_what_is_typed_while_an_answer_comes_stands_in_the_next_prompt(tmp_path: Path) -> None:
    gate = Gate()
    with (
        ScriptedServer(["So", gate, *reply(".")], "Yes.") as server,
        Chatting(tmp_path, "--base-url", server.base_url) as chat,
    ):
        chat.wait_for_prompt()
        chat.send("Why?")
        chat.wait_for("waiting for default")
        assert server.journal.wait_until_requests(1)
        chat.type("a\rb")
        gate.open()
        rows = chat.wait_for("^\\.\\.\\. b")
        assert rows == [">>> Why?", "So.", "", ">>> a", "... b"]
        assert len(server.journal.requests) == 1


def test_commands_and_models_are_completed(tmp_path: Path) -> None:
    with Server(listing) as server, Chatting(tmp_path, "--base-url", server.base_url) as chat:
        chat.wait_for_prompt()
        chat.type("/mod\t\t")
        # While the list is printed the terminal is not the editor's: Enter would be a line break.
        chat.wait_until(lambda rows: rows[-2:] == ["/model  /models", ">>> /model"])
        chat.type(" la\t\r")
        chat.wait_for("the model is large")


# --- Ctrl-C -----------------------------------------------------------------------------------------------------------

BEFORE: dict[str, tuple[list[StepLike], str, list[tuple[str, str, str]]]] = {
    "wait": ([role(), stall()], "waiting for default", []),
    "reasoning": (
        [role(), reasoning("Let me think"), stall()],
        "thinking: Let me think",
        [("assistant", "Let me think", "stopped")],
    ),
    "text": ([role(), text("Because of "), stall()], "^Because of", [("assistant", "Because of ", "stopped")]),
}


@pytest.mark.parametrize("keys", ["\x03", "\x03\x03"], ids=["once", "twice"])
@pytest.mark.parametrize("moment", list(BEFORE))
def test_ctrl_c_closes_the_connection_and_the_chat_goes_on(tmp_path: Path, moment: str, keys: str) -> None:
    steps, shown, partial = BEFORE[moment]
    with ScriptedServer(steps, steps, "So.") as server, Chatting(tmp_path, "--base-url", server.base_url) as chat:
        waits_s: list[float] = []
        for number in (1, 2):
            chat.wait_for_prompt()
            chat.send(f"Why{number}?")
            chat.wait_until(lambda rows, number=number: _shows(rows, f">>> Why{number}?", shown))
            assert server.journal.wait_until_requests(number)
            typed_at = time.monotonic()
            chat.type(keys)
            assert server.journal.wait_for_disconnect(number)
            waits_s.append(time.monotonic() - typed_at)
            chat.wait_until(lambda rows, number=number: rows.count("(stopped)") == number)
        assert min(waits_s) < 0.1
        chat.wait_for_prompt()
        chat.send("And now?")
        chat.wait_for("^So\\.$")
        chat.wait_for_prompt()
        chat.type("\x04")
        assert chat.end() == 0
        answered = [{"role": "assistant", "content": "Because of "}] if moment == "text" else []
        sent = [{"role": "user", "content": f"Why{number}?"} for number in (1, 2)] if answered else []
        interleaved = [message for question in sent for message in (question, *answered)]
        assert messages(server, 3) == [*interleaved, {"role": "user", "content": "And now?"}]
    kept = said(tmp_path)
    assert kept[: 1 + len(partial)] == [("user", "Why1?", "complete"), *partial]
    assert kept[-2:] == [("user", "And now?", "complete"), ("assistant", "So.", "complete")]


def _shows(rows: list[str], question: str, shown: str) -> bool:
    """Whether the answer to a question shows something."""
    return question in rows and any(re.search(shown, row) for row in rows[rows.index(question) :])


def test_ctrl_c_before_anything_was_sent_stops_too(tmp_path: Path) -> None:
    with (
        ScriptedServer([role(), stall()], "So.") as server,
        Chatting(tmp_path, "--base-url", server.base_url) as chat,
    ):
        chat.wait_for_prompt()
        chat.send("Why?")
        chat.wait_until_keys_are_signals()
        chat.type("\x03")  # while what the first question needs is being imported
        chat.wait_for("^\\(stopped\\)$")
        chat.wait_for_prompt()


def test_a_row_that_vanishes_is_short_enough_for_a_terminal_that_is_made_narrower(tmp_path: Path) -> None:
    thought = "I wonder about the sky and its colour. " * 5
    gate = Gate()
    with (
        ScriptedServer([role(), reasoning(thought), gate, *reply("So.")]) as server,
        Chatting(tmp_path, "--base-url", server.base_url, "-m", f"lab/{'long-' * 9}name", columns=120) as chat,
    ):
        chat.wait_for_prompt()
        chat.send("Why?")
        rows = chat.wait_for("its colour\\.$")
        assert len(rows[-1]) < 40
        chat.resize(40)
        gate.open()
        chat.wait_for("^So\\.$")
        rows = chat.wait_for_prompt()
    assert [row for row in rows if "wonder" in row or "long-" in row] == []


def test_ctrl_c_on_an_empty_line_hints_at_ctrl_d(tmp_path: Path) -> None:
    with Chatting(tmp_path, "--base-url", "http://127.0.0.1:9/v1") as chat:
        chat.wait_for_prompt()
        chat.type("\x03")
        chat.wait_for("^\\(Ctrl-D or /bye ends the chat\\)$")
        chat.wait_for_prompt()


def test_ctrl_c_ends_the_wait_before_a_retry(tmp_path: Path) -> None:
    with Server(busy) as server, Chatting(tmp_path, "--base-url", server.base_url) as chat:
        chat.wait_for_prompt()
        chat.send("Why?")
        chat.wait_for("waiting for default")
        chat.type("\x03")
        chat.wait_for("^\\(stopped\\)$")
        chat.wait_for_prompt()


# --- failures ---------------------------------------------------------------------------------------------------------


def test_a_stream_that_breaks_keeps_what_came_and_retry_asks_again(tmp_path: Path) -> None:
    with ScriptedServer([role(), text("Because of "), close()], "Because of light.") as server:
        with Chatting(tmp_path, "--base-url", server.base_url) as chat:
            chat.wait_for_prompt()
            chat.send("Why?")
            rows = chat.wait_for_prompt_after("Why?")
            assert rows[1] == "Because of"
            shown = " ".join(rows[2:-1])
            assert shown.startswith("firsttoken: the answer is incomplete: the connection was closed before the end")
            assert rows[-3:-1] == ["(/retry asks again)", ""]
            chat.send("/retry")
            chat.wait_for("^Because of light\\.$")
            chat.wait_for_prompt()
        assert messages(server, 2) == [SAID]
    assert said(tmp_path) == [
        ("user", "Why?", "complete"),
        ("assistant", "Because of ", "failed"),
        ("assistant", "Because of light.", "complete"),
    ]
    assert {"take_back": 1} in [line["firsttoken"] for line in transcript(tmp_path)]


def test_no_connection_is_said_and_the_chat_goes_on(tmp_path: Path) -> None:
    with Chatting(tmp_path, "--base-url", "http://127.0.0.1:9/v1") as chat:
        chat.wait_for_prompt()
        chat.send("Why?")
        chat.wait_for("firsttoken: no connection to 127.0.0.1:9: Connection refused")
        chat.wait_for_prompt()
        assert said(tmp_path) == [("user", "Why?", "complete")]


@pytest.mark.parametrize("moment", ["after the answer", "in the answer"])
def test_killed_at_any_moment_every_finished_message_is_there(tmp_path: Path, moment: str) -> None:
    with ScriptedServer("Because.", [role(), text("So "), stall()], "Yes.") as server:
        with Chatting(tmp_path, "--base-url", server.base_url) as chat:
            chat.wait_for_prompt()
            chat.send("Why?")
            chat.wait_for_prompt_after("Why?")
            if moment == "in the answer":
                chat.send("And?")
                chat.wait_for("^So")
            os.kill(chat.process.pid, signal.SIGKILL)
            assert chat.end() == -signal.SIGKILL
        if moment == "after the answer":
            run("ask", "Why?", "--base-url", server.base_url, "--timeout", "0.2")
        with Chatting(tmp_path, "--base-url", server.base_url, "-c") as chat:
            chat.wait_for_prompt()
            chat.send("/retry" if moment == "in the answer" else "And?")
            chat.wait_for("^Yes\\.$")
        assert messages(server, 3) == [
            SAID,
            {"role": "assistant", "content": "Because."},
            {"role": "user", "content": "And?"},
        ]


# --- commands ---------------------------------------------------------------------------------------------------------


def test_commands_take_back_change_and_save(tmp_path: Path) -> None:
    def answer(request: Request) -> str:
        return f"To {request.messages[-1]['content']}"

    with ScriptedServer(answer) as server, Chatting(tmp_path, "--base-url", server.base_url, columns=240) as chat:
        chat.wait_for_prompt()
        for line, shown in [
            ("One", "^To One$"),
            ("Two", "^To Two$"),
            ("/undo", "^taken back: Two$"),
            ("/model tiny", "^the model is tiny$"),
            ("/system Be brief.", "^Be brief\\.$"),
            ("Three", "^To Three$"),
            ("/tokens", "^27 tokens sent, 6 received, in 3 answers$"),
            (f"/save {tmp_path}/saved.jsonl", "^5 messages saved in "),
            (f"/save {tmp_path}/saved.md", "^5 messages saved in "),
            ("/HELP", "^Ctrl-D +end the chat$"),
            ("/nonsense", "^firsttoken: unknown command /nonsense$"),
            (f"/load {tmp_path}/saved.md", "is not a transcript: line 1"),
        ]:
            chat.send(line)
            chat.wait_for(shown)
            chat.wait_for_prompt()
        chat.send("/edit")
        chat.wait_until(lambda rows: rows[-1] == ">>> Three")
        chat.send(" and four")
        chat.wait_for("^To Three and four$")
        chat.wait_for_prompt()
        chat.send("/clear")
        chat.wait_for("^a new conversation$")
        chat.wait_for_prompt()
        chat.send("Five")
        chat.wait_for("^To Five$")
        chat.wait_for_prompt()
        chat.send(f"/load {tmp_path}/saved.jsonl")
        chat.wait_for("firsttoken: going on with .*")
        chat.wait_for_prompt()
        chat.send("Six")
        chat.wait_for("^To Six$")
        requests = server.journal.requests
    system = {"role": "system", "content": "Be brief."}
    one = [{"role": "user", "content": "One"}, {"role": "assistant", "content": "To One"}]
    three = [{"role": "user", "content": "Three"}, {"role": "assistant", "content": "To Three"}]
    assert (requests[2].messages, requests[2].json["model"]) == ([system, *one, three[0]], "tiny")
    assert requests[3].messages == [system, *one, {"role": "user", "content": "Three and four"}]
    assert requests[4].messages == [system, {"role": "user", "content": "Five"}]
    assert requests[5].messages == [system, *one, *three, {"role": "user", "content": "Six"}]
    assert (
        (tmp_path / "saved.md")
        .read_text(encoding="utf-8")
        .startswith("## system\n\nBe brief.\n\n## user\n\nOne\n\n## ")
    )


def test_the_help_is_wrapped_between_words(tmp_path: Path) -> None:
    with Chatting(tmp_path, "--base-url", "http://127.0.0.1:9/v1", columns=60) as chat:
        chat.wait_for_prompt()
        chat.send("/help")
        rows = chat.wait_for("^Ctrl-D +end the chat$")
    at = rows.index("/edit              take the last question back into the")
    assert rows[at + 1] == f"{'':19}line, to be edited"


def test_files_are_attached_to_the_next_message(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("1 + 1", encoding="utf-8")
    (tmp_path / "b.txt").write_text("2 + 2", encoding="utf-8")
    with ScriptedServer("Two", "Four") as server:
        with Chatting(tmp_path, "--base-url", server.base_url, "-a", str(tmp_path / "a.txt")) as chat:
            chat.wait_for_prompt()
            chat.send("How much?")
            chat.wait_for("^Two$")
            chat.wait_for_prompt()
            chat.send(f"/attach {tmp_path / 'none.txt'}")
            chat.wait_for("can't read the attachment")
            chat.wait_for_prompt()
            chat.send(f"/attach {tmp_path / 'b.txt'}")
            chat.wait_for("^attached to the next message$")
            chat.wait_for_prompt()
            chat.send("And this?")
            chat.wait_for("^Four$")
        assert messages(server, 2)[0]["content"] == "a.txt:\n\n1 + 1\n\nHow much?"
        assert messages(server, 2)[2]["content"] == "b.txt:\n\n2 + 2\n\nAnd this?"


def test_two_chats_do_not_write_into_one_transcript(tmp_path: Path) -> None:
    with ScriptedServer("Because.") as server, Chatting(tmp_path, "--base-url", server.base_url) as chat:
        chat.wait_for_prompt()
        chat.send("Why?")
        chat.wait_for_prompt_after("Why?")
        with Chatting(tmp_path, "--base-url", server.base_url, "-c", columns=200) as second:
            assert second.end() == 3
            assert re.match(r"firsttoken: .*\.jsonl is open in another chat", second.rows[0])


def test_no_save_keeps_nothing(tmp_path: Path) -> None:
    with ScriptedServer("Because.") as server, Chatting(tmp_path, "--base-url", server.base_url, "--no-save") as chat:
        chat.wait_for_prompt()
        chat.send("Why?")
        chat.wait_for("^Because\\.$")
        chat.wait_for_prompt()
        chat.type("\x04")
        assert chat.end() == 0
    assert list(tmp_path.iterdir()) == []


# --- without a terminal -----------------------------------------------------------------------------------------------


def test_what_is_piped_in_is_one_message_and_its_answer_plain(tmp_path: Path) -> None:
    with ScriptedServer("**Because.**", "So.") as server:
        options = ["--base-url", server.base_url]
        first = run("chat", *options, stdin="Why?\n/bye\n", XDG_DATA_HOME=str(tmp_path))
        assert (first.stdout, first.stderr, first.returncode) == ("**Because.**\n", "", 0)
        second = run("chat", *options, "-c", "--json", stdin="And?", XDG_DATA_HOME=str(tmp_path))
        assert messages(server, 1) == [{"role": "user", "content": "Why?\n/bye\n"}]
        assert len(messages(server, 2)) == 3
    lines = [json.loads(line) for line in second.stdout.splitlines()]
    assert ([line["type"] for line in lines], second.returncode) == (["text", "usage", "finished", "end"], 0)
    assert len(said(tmp_path)) == 4


def test_a_reader_that_leaves_ends_it_quietly(tmp_path: Path) -> None:
    with ScriptedServer([role(), text("Because "), *[text("x" * 8192)] * 64, stall()]) as server:
        script = f'echo Why? | "$@" chat --base-url {server.base_url} | head -c 8'
        done = subprocess.run(
            ["sh", "-c", script, "sh", *COMMAND],
            capture_output=True,
            text=True,
            check=False,
            env=environment(XDG_DATA_HOME=str(tmp_path)),
        )
        assert (done.stdout, done.stderr) == ("Because ", "")
        assert server.journal.wait_for_disconnect()
    ((_, _, asked), (_, content, state)) = said(tmp_path)
    assert (asked, content.startswith("Because xxx"), state) == ("complete", True, "stopped")


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ([], 2, "Error: no message: standard input is neither a terminal nor has it any text\n"),
        (["-c", "--load", "x"], 2, "Error: -c and --load are mutually exclusive\n"),
        (["--load", "none.jsonl"], 3, "the transcript none.jsonl can't be read: No such file or directory\n"),
        (["-c"], 3, "found no conversation to continue in"),
    ],
)
def test_what_can_not_be_is_said(tmp_path: Path, arguments: list[str], status: int, message: str) -> None:
    done = run("chat", *arguments, stdin="Why?" if status == 3 else "", XDG_DATA_HOME=str(tmp_path))
    assert (done.stdout, done.returncode) == ("", status)
    assert message in done.stderr


# --- its start --------------------------------------------------------------------------------------------------------


def test_the_first_prompt_imports_nothing_that_it_does_not_need(tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = ["sh", "-c", f'exec "$0" -X importtime -m firsttoken chat "$@" 2>{log}', *COMMAND[:1]]
    with Chatting(tmp_path, "--base-url", "http://127.0.0.1:9/v1", command=command) as chat:
        chat.wait_for_prompt()
        names = {line.rpartition("|")[2].strip() for line in log.read_text(encoding="utf-8").splitlines()}
    assert "prompt_toolkit" in names
    needless = {"rich", "pygments", "markdown_it", "httptools", "truststore", "xllamacpp", "tomllib"}
    assert needless & names == set()
    assert not [
        name for name in names if name.startswith(("firsttoken._sync", "firsttoken._async", "firsttoken.testing"))
    ]
