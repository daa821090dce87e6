"""Where a prompt goes: OpenAI, another server, or the local model."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final, NamedTuple

from firsttoken._cli.terminal import log_stderr, status_line

__all__ = ["Target", "resolve_target"]

_OPENAI_MODEL: Final = "gpt-5-mini"
_ANY_MODEL: Final = "default"  # servers of one model take any name
_LOCAL_CONTEXT_TOKENS: Final = 8192


class Target(NamedTuple):
    """A server, and how to send requests to it.

    Attributes:
        base_url: None leaves it to the client, which reads the environment.
        model: the model's name for the request.
        proxy: "" for none; None leaves it to the environment.
        max_tokens_field: the server's name for the limit of tokens.
    """

    base_url: str | None
    model: str
    proxy: str | None
    max_tokens_field: str


@contextmanager
def resolve_target(base_url: str | None, model: str | None) -> Generator[Target]:
    """The server to use; the local model's runs as long as the block.

    Raises:
        ConfigurationError: the local model is wanted and not installed.
        LocalServerError: it does not start.
    """
    url = base_url or os.environ.get("OPENAI_BASE_URL")
    if url:
        yield _remote(url, model)
    elif os.environ.get("OPENAI_API_KEY"):
        yield Target(None, model or _OPENAI_MODEL, None, "max_completion_tokens")
    else:
        yield from _local(model)


def _remote(url: str, model: str | None) -> Target:
    of_openai = "api.openai.com" in url or ".openai.azure.com" in url
    return Target(
        base_url=url,
        model=model or (_OPENAI_MODEL if of_openai else _ANY_MODEL),
        proxy=None,
        # OpenAI's newer models refuse the old name, other servers may not know the new one.
        max_tokens_field="max_completion_tokens" if of_openai else "max_tokens",
    )


def _local(model: str | None) -> Generator[Target]:
    from firsttoken.local import LocalServer

    with status_line("starting the local model ..."):
        server = LocalServer(context_tokens=_LOCAL_CONTEXT_TOKENS, parallel=1)
    with server:
        instead = f", not {model}" if model else ""
        log_stderr(f"firsttoken: no OPENAI_API_KEY and no base URL: the local model {server.model} answers{instead}")
        yield Target(server.base_url, server.model, proxy="", max_tokens_field="max_tokens")
