"""Transcripts and the conversations that are made of them, without a terminal."""

import json
from pathlib import Path

import pytest

from firsttoken._cli.chat.conversation import Conversation, Entry, Transcript, read_transcript
from firsttoken.errors import ConfigurationError
from firsttoken.types import ChatCompletion, user_message

USER = '{"role":"user","content":"A?"}'
ANSWER = '{"role":"assistant","content":"a","firsttoken":{"model":"tiny"}}'


def sent(conversation: Conversation) -> list[object]:
    """The texts that are sent, in order."""
    return [message.to_dict()["content"] for message in conversation.messages()]


def answer(text: str) -> ChatCompletion:
    message = {"role": "assistant", "content": text}
    return ChatCompletion.from_dict({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})


@pytest.mark.parametrize(
    ("tail", "counted"),
    [
        ("", 2),
        (USER, 3),  # complete, but for its end of line
        ('{"role":"user","content":"B', 2),
        ("{", 2),
        ('{"role":"user","content":"\u00e9', 2),
    ],
)
def test_a_line_that_was_being_written_is_cut_off_and_the_next_one_stands_alone(
    tmp_path: Path, tail: str, counted: int
) -> None:
    file = tmp_path / "t.jsonl"
    data = f"{USER}\n{ANSWER}\n{tail}".encode()
    file.write_bytes(data[:-1] if tail.endswith("\u00e9") else data)
    assert len(read_transcript(file)) == counted
    transcript = Transcript(file)
    transcript.append(Entry({"role": "user", "content": "C?"}))
    transcript.close()
    entries = read_transcript(file)
    assert [entry.message["content"] for entry in entries][counted:] == ["C?"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}\n", "line 1 has no role"),
        (f"{USER}\n[]\n", "line 2 is not an object"),
        (f"{USER}\nnone\n{USER}\n", "line 2: JSON is malformed"),
        ("Notes, without an end of line", "line 1: JSON is malformed"),
        (f'{USER}\n{{"role":"guest","content":"x"}}\n', "message 2: unknown role of a message: 'guest'"),
        ('{"role":"user","content":7}\n', "message 1: invalid user message"),
    ],
)
def test_what_is_not_a_transcript_is_refused_and_left_as_it_is(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "t.jsonl"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=message):
        Conversation.load(file, is_saved=True)
    assert file.read_text(encoding="utf-8") == text


@pytest.mark.parametrize(
    ("state", "message", "contents"),
    [
        ("complete", {"content": "a", "reasoning_content": "hm"}, ["A?", "a", "B?"]),
        ("stopped", {"content": "a", "reasoning_content": "hm"}, ["A?", "a", "B?"]),
        ("stopped", {"content": None, "reasoning_content": "hm"}, ["B?"]),
        ("failed", {"content": ""}, ["B?"]),
        (None, {}, ["B?"]),
    ],
)
def test_a_question_without_an_answer_is_taken_back_by_the_next(
    tmp_path: Path, state: str | None, message: dict[str, object], contents: list[str]
) -> None:
    file = tmp_path / "t.jsonl"
    lines: list[dict[str, object]] = [{"role": "user", "content": "A?"}]
    if state is not None:
        lines.append({"role": "assistant", "firsttoken": {"state": state}} | message)
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    conversation = Conversation.load(file, is_saved=True)
    conversation.ask(user_message("B?"))
    assert sent(conversation) == contents
    has_reasoning = ["reasoning_content" in message.to_dict() for message in conversation.messages()]
    assert any(has_reasoning) is (state == "complete")
    conversation.close()
    assert sent(Conversation.load(file, is_saved=False)) == contents


def test_instructions_come_first_and_the_last_ones_count(tmp_path: Path) -> None:
    file = tmp_path / "t.jsonl"
    file.write_text(f"{USER}\n{ANSWER}\n", encoding="utf-8")
    conversation = Conversation.load(file, is_saved=True)
    assert conversation.model == "tiny"
    for text in ("Be long.", "Be brief."):
        conversation.set_system(text)
        conversation.ask(user_message(f"{text}?"))
        conversation.answer(answer("Yes."), "large", "complete")
    conversation.close()
    again = Conversation.load(file, is_saved=False)
    assert (sent(again)[0], len(sent(again)), again.model) == ("Be brief.", 7, "large")
    assert again.undo() == user_message("Be brief.?")
    again.retry()
    assert sent(again) == ["Be brief.", "A?", "a", "Be long.?"]


def test_a_chat_in_which_nothing_was_said_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    conversation = Conversation(Transcript())
    conversation.set_system("Be brief.")
    assert conversation.undo() is None
    conversation.close()
    assert list(tmp_path.iterdir()) == []


def test_a_transcript_that_can_not_be_written_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "firsttoken").write_text("a file", encoding="utf-8")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    with pytest.raises(ConfigurationError, match=r"can't be made: (File exists|Not a directory)") as info:
        Conversation(Transcript()).ask(user_message("A?"))
    assert info.value.hint == "--no-save chats without a transcript"
