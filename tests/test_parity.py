"""The two clients are twins: the same names, the same arguments, the same documents."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from firsttoken import AsyncChatCompletionStream, AsyncClient, ChatCompletionStream, Client

RENAMED = {
    "close": "aclose",
    "__enter__": "__aenter__",
    "__exit__": "__aexit__",
    "__iter__": "__aiter__",
    "__next__": "__anext__",
}
ONLY_ASYNC = {"__await__"}


def members(cls: type) -> dict[str, Any]:
    """What the class and its bases define for callers: public names, and the protocols of the language."""
    names = set(RENAMED) | set(RENAMED.values()) | ONLY_ASYNC
    return {name: inspect.getattr_static(cls, name) for name in dir(cls) if not name.startswith("_") or name in names}


def arguments(function: Callable[..., Any]) -> list[tuple[str, Any, Any]]:
    return [(name, p.kind, p.default) for name, p in inspect.signature(function).parameters.items()]


@pytest.mark.parametrize(
    ("sync", "twin"),
    [(Client, AsyncClient), (ChatCompletionStream, AsyncChatCompletionStream)],
    ids=["client", "stream"],
)
def test_the_twins_have_the_same_members(sync: type, twin: type) -> None:
    ours, theirs = members(sync), members(twin)
    assert {RENAMED.get(name, name) for name in ours} == set(theirs) - ONLY_ASYNC
    for name, member in ours.items():
        other = theirs[RENAMED.get(name, name)]
        assert isinstance(member, property) == isinstance(other, property), name
        if not isinstance(member, property):
            assert isinstance(member, classmethod) == isinstance(other, classmethod), name
            ours_plain, theirs_plain = (getattr(it, "__func__", it) for it in (member, other))
            assert arguments(ours_plain) == arguments(theirs_plain), name


def test_the_constructors_are_alike() -> None:
    assert arguments(Client) == arguments(AsyncClient)
    assert [name for name, *_ in arguments(Client)][:2] == ["api_key", "base_url"]


@pytest.mark.parametrize("name", ["chat_completion", "chat_completion_stream"])
def test_the_documents_promise_the_same(name: str) -> None:
    def sections(cls: type) -> list[str]:
        text = inspect.getdoc(getattr(cls, name)) or ""
        return [line.strip() for line in text.splitlines() if line.strip().endswith(":")]

    assert sections(Client) == sections(AsyncClient) != []
