"""What is asked.

`--data` is one of

- `synthetic:in=512,out=128,prefix=256`: made-up text of so many words (English words are about one token each; the
  server's usage says how many tokens they were), answers limited to `out` tokens, the first `prefix` words the same
  in all;
- `sharegpt:FILE`: ShareGPT's JSON: a list of `{"conversations": [{"from": "human", "value": …}, …]}`;
- `FILE`: JSON Lines of `{"messages": …}` or `{"prompt": …}`, each with an optional `max_tokens`; or plain text, one
  prompt a line.

Every prompt is made unique by a word of its own (`salt`), after the common prefix: a server that keeps the state of
earlier prompts would otherwise answer from its cache, and the figures would be those of the cache.
"""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, cast

from firsttoken.errors import ConfigurationError

_WORDS = (
    *("time", "year", "people", "way", "day", "man", "thing", "woman", "life", "child", "world", "school"),
    *("state", "family", "student", "group", "country", "problem", "hand", "part", "place", "case", "week"),
    *("company", "system", "program", "question", "work", "number", "night", "point", "home", "water"),
    *("room", "mother", "area", "money", "story", "fact", "month", "lot", "right", "study", "book", "eye"),
    *("job", "word", "business", "issue", "side", "kind", "head", "house", "service", "friend", "father"),
    *("power", "hour", "game", "line", "end", "member", "law", "car", "city", "name", "team", "minute"),
    *("idea", "body", "back", "parent", "face", "level", "office", "door", "health", "person", "art", "war"),
    *("history", "party", "result", "change", "morning", "reason", "research", "girl", "guy", "moment"),
    *("air", "teacher", "force", "education"),
)
_DEFAULT_OUT = 64


class Prompt(NamedTuple):
    """One request's messages, and the most tokens that its answer may have; None leaves that to the server."""

    messages: list[dict[str, object]]
    max_tokens: int | None


class Prompts:
    """The prompts of a measurement, by number; the same number gives the same prompt on every worker.

    Raises:
        ConfigurationError: `data` can't be read.
    """

    def __init__(self, data: str, *, seed: int, salt: bool) -> None:
        self._seed = seed
        self._salt = salt
        kind, _, rest = data.partition(":")
        self._sizes = _sizes(rest) if kind == "synthetic" else None
        self._prompts = [] if self._sizes else list(_sharegpt(rest) if kind == "sharegpt" else _file(data))
        if self._sizes is None and not self._prompts:
            raise ConfigurationError(f"no prompts in {data}")
        self._prefix = self._text("prefix", self._sizes["prefix"]) if self._sizes else ""

    def __getitem__(self, number: int) -> Prompt:
        salt = f"[{random.Random(f'salt {self._seed} {number}').getrandbits(48):012x}]" if self._salt else ""  # noqa: S311
        if self._sizes is not None:
            body = self._text(number, max(0, self._sizes["in"] - self._sizes["prefix"]))
            text = " ".join(filter(None, (self._prefix, salt, body)))
            return Prompt([{"role": "user", "content": text}], self._sizes["out"])
        prompt = self._prompts[number % len(self._prompts)]
        return Prompt(_salted(prompt.messages, salt), prompt.max_tokens) if salt else prompt

    def is_new(self, number: int) -> bool:
        """Whether no smaller number gives the same prompt."""
        return self._salt or self._sizes is not None or number < len(self._prompts)

    def _text(self, number: object, words: int) -> str:
        random_of = random.Random(f"text {self._seed} {number}")  # noqa: S311
        return " ".join(random_of.choices(_WORDS, k=words))


def _sizes(text: str) -> dict[str, int]:
    sizes = {"in": 128, "out": _DEFAULT_OUT, "prefix": 0}
    for part in filter(None, text.split(",")):
        name, _, value = part.partition("=")
        if name not in sizes or not value.isdigit():
            raise ConfigurationError(
                f"--data synthetic: invalid {part!r}", hint="as in synthetic:in=512,out=128,prefix=256"
            )
        sizes[name] = int(value)
    return sizes


def _salted(messages: list[dict[str, object]], salt: str) -> list[dict[str, object]]:
    """The messages with the salt at the start of the last one that is text."""
    salted = [dict(message) for message in messages]
    for message in reversed(salted):
        if isinstance(message.get("content"), str):
            message["content"] = f"{salt} {message['content']}"
            break
    return salted


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"can't read the prompts in {path}: {error}") from error


def _file(path: str) -> Iterator[Prompt]:
    for number, line in enumerate(_read(path).splitlines(), 1):
        if not line.strip():
            continue
        if not line.lstrip().startswith("{"):
            yield Prompt([{"role": "user", "content": line}], None)
            continue
        try:
            row = cast("dict[str, object]", json.loads(line))
        except ValueError as error:
            raise ConfigurationError(f"{path}, line {number}: invalid JSON: {error}") from error
        body = row.get("body")
        yield _row(cast("dict[str, object]", body) if isinstance(body, dict) else row, f"{path}, line {number}")


def _row(row: dict[str, object], where: str) -> Prompt:
    limit = row.get("max_completion_tokens") or row.get("max_tokens")
    max_tokens = limit if isinstance(limit, int) else None
    messages, prompt = row.get("messages"), row.get("prompt")
    if isinstance(messages, list):
        return Prompt(cast("list[dict[str, object]]", messages), max_tokens)
    if isinstance(prompt, str):
        return Prompt([{"role": "user", "content": prompt}], max_tokens)
    raise ConfigurationError(f"{where}: expected messages or prompt")


def _sharegpt(path: str) -> Iterator[Prompt]:
    try:
        rows = json.loads(_read(path))
    except ValueError as error:
        raise ConfigurationError(f"{path}: invalid JSON: {error}") from error
    for row in cast("list[object]", rows) if isinstance(rows, list) else []:
        turns = cast("dict[str, object]", row).get("conversations") if isinstance(row, dict) else None
        for turn in cast("list[object]", turns) if isinstance(turns, list) else []:
            said = cast("dict[str, object]", turn) if isinstance(turn, dict) else {}
            if said.get("from") in ("human", "user") and isinstance(said.get("value"), str):
                yield Prompt([{"role": "user", "content": said["value"]}], None)
                break
