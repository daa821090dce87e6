"""Asks with one client, in that client's environment: a line of JSON in for each question, one out for what came of it.

Only the standard library, since nothing of ours need be installed there; the guard is imported where it is asked for.
"""

import asyncio
import importlib.util
import inspect
import itertools
import json
import os
import sys
import warnings
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any


class Question:
    """What a driver is to ask.

    Attributes:
        base_url: of the server.
        timeout_s: what the client's own limit for reading, or its deadline, is to be.
        options: what goes into the request besides the model and the messages.
        is_guarded: whether it goes through the guard.
    """

    key = "sk-of-the-comparison"
    model = "m"
    text = "Why is the sky blue?"

    def __init__(self, base_url: str, timeout_s: float, options: dict[str, Any], is_guarded: bool) -> None:
        self.base_url = base_url
        self.timeout_s = timeout_s
        self.options = options
        self.is_guarded = is_guarded

    @property
    def messages(self) -> list[dict[str, str]]:
        """The question, as OpenAI's API has it."""
        return [{"role": "user", "content": self.text}]

    def transport(self) -> Any:
        """The guard; None, for the stock transport, where the client is to go without."""
        return self._guard("GuardTransport")

    def async_transport(self) -> Any:
        """The guard of the async client; None, for the stock transport."""
        return self._guard("AsyncGuardTransport")

    def _guard(self, name: str) -> Any:
        if not self.is_guarded:
            return None
        import firsttoken.guard
        from firsttoken import Timeout

        timeout = Timeout(first_chunk_s=self.timeout_s, idle_s=self.timeout_s)
        return getattr(firsttoken.guard, name)(timeout=timeout)


def load(path: str) -> Any:
    """The driver's function `answer`."""
    spec = importlib.util.spec_from_file_location("driver", path)
    if spec is None or spec.loader is None:
        raise ImportError(path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.answer


def outcome(answer: Callable[..., Any], question: Question) -> dict[str, str | None]:
    """What a caller is given, and what is raised."""
    pieces: list[str] = []

    def emit(text: object) -> None:
        if isinstance(text, str):
            pieces.append(text)

    error: BaseException | None = None
    try:
        if inspect.iscoroutinefunction(answer):
            asyncio.run(answer(question, emit))
        else:
            answer(question, emit)
    except BaseException as caught:  # a client's own may be of any class
        error = caught
    words = None if error is None else f"{type(error).__module__}.{type(error).__qualname__}: {error}"[:300]
    return {"text": "".join(pieces).encode(errors="replace").decode(), "error": words}


def versions(packages: list[str]) -> dict[str, str]:
    """Those that are installed."""
    found: dict[str, str] = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def main() -> None:
    """Answer until the input ends."""
    warnings.simplefilter("ignore")
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a client prints is no reply
    path, packages = sys.argv[1], sys.argv[2].split()
    answer = load(str(Path(path).absolute()))
    for line in itertools.chain([""], sys.stdin):
        reply = outcome(answer, Question(**json.loads(line))) if line else {"versions": versions(packages)}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
