"""Where a prompt goes: OpenAI, another server, or the local model."""

import os
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

from firsttoken._cli.terminal import log_stderr, status_line, update_status_line

if TYPE_CHECKING:
    from firsttoken import ChatCompletionRequest, Client
    from firsttoken._cli.profile import Profile
    from firsttoken.types import Message

_OPENAI_MODEL: Final = "gpt-5-mini"
_ANY_MODEL: Final = "default"  # servers of one model take any name
_LOCAL_CONTEXT_TOKENS: Final = 8192
_LOCAL_MAX_TOKENS: Final = 1024
"""Where no limit is named: a small model may repeat itself until its context is full."""


class Connection(NamedTuple):
    """What a command line says of where to send, and how.

    Attributes:
        profile: the name of a profile; None takes the default profile, if there is one.
        timeout_s: for a complete answer, retries included.
        headers: sent with each request, over those of the profile.
    """

    base_url: str | None = None
    model: str | None = None
    profile: str | None = None
    timeout_s: float | None = None
    headers: Mapping[str, str] = {}

    @contextmanager
    def open(self) -> "Generator[tuple[Client, Target]]":
        """A client, and what it sends to; a server of the local model runs as long as the block.

        Raises:
            ConfigurationError: the profile, a header or the URL is wrong, or the local model is not installed.
            LocalServerError: it does not start.
        """
        with resolve_target(self.base_url, self.model, self.load_profile()) as target, self.client(target) as client:
            yield client, target

    def load_profile(self) -> "Profile | None":
        """The profile that holds; a base URL on the command line stands for itself.

        Raises:
            ConfigurationError: there is none of that name, or something is wrong with it.
        """
        if self.base_url is not None:
            return None
        from firsttoken._cli.profile import load_profile

        return load_profile(self.profile)

    def client(self, target: "Target", show_retry: Callable[[str], None] = update_status_line) -> "Client":
        """A client for a target, whose retries are shown.

        Raises:
            ConfigurationError: a header or the URL is wrong, or there is no key for OpenAI.
        """
        from firsttoken import Client, Timeout
        from firsttoken._cli.retries import RetryNotes

        return Client(
            target.api_key,
            target.base_url,
            proxy=target.proxy,
            timeout=Timeout(total_s=self.timeout_s),
            default_headers={**target.headers, **self.headers},
            observer=RetryNotes(show_retry),
        )


class Target(NamedTuple):
    """A server, and how to send requests to it.

    Attributes:
        base_url: None leaves it to the client, which reads the environment.
        model: the model's name for the request.
        proxy: "" for none; None leaves it to the environment.
        max_tokens_field: the server's name for the limit of tokens.
        api_key: "" for none; None leaves it to the client, which reads the environment.
        headers: of the profile.
        params: fields of each request: of the profile, and for the local model a limit of tokens.
    """

    base_url: str | None
    model: str
    proxy: str | None
    max_tokens_field: str
    api_key: str | None = None
    headers: Mapping[str, str] = {}
    params: Mapping[str, object] = {}

    def request(self, messages: "list[Message]", **fields: object) -> "ChatCompletionRequest":
        """A request for the model with its params; `fields` that are not None win over them.

        `max_tokens` is sent by the server's name for it.
        """
        from firsttoken import chat_completion_request
        from firsttoken.types import ChatCompletionRequest

        request = chat_completion_request(self.model, messages)
        given = {name: value for name, value in fields.items() if value is not None}
        params = dict(self.params)
        if "max_tokens" in given:
            for name in ("max_tokens", "max_completion_tokens"):
                params.pop(name, None)
            given[self.max_tokens_field] = given.pop("max_tokens")
        params |= given
        for name in params.keys() & set(ChatCompletionRequest.__struct_fields__):
            setattr(request, name, params.pop(name))
        request.extra = params
        return request


@contextmanager
def resolve_target(base_url: str | None, model: str | None, profile: "Profile | None" = None) -> Generator[Target]:
    """The server to use; the local model's runs as long as the block.

    A profile with a base URL of its own gets no key of the environment but the one that it names: `OPENAI_API_KEY` is
    for the server that the environment names, and for OpenAI.

    Raises:
        ConfigurationError: the local model is wanted and not installed, or the profile's key can't be read.
        LocalServerError: it does not start.
    """
    if profile is not None:
        with _resolve(base_url or profile.base_url, model or profile.model, _key_of(profile)) as target:
            yield target._replace(headers=profile.headers, params={**target.params, **profile.params})
    else:
        with _resolve(base_url, model, None) as target:
            yield target


def _key_of(profile: "Profile") -> str | None:
    from firsttoken._cli.profile import read_key

    key = read_key(profile)
    if key is None and profile.base_url is not None and not takes_environments_key(profile.base_url):
        return ""
    return key


def takes_environments_key(url: str) -> bool:
    """Whether a profile with this base URL, and no key of its own, goes with `OPENAI_API_KEY`."""
    return _host(url).endswith("api.openai.com")


@contextmanager
def _resolve(base_url: str | None, model: str | None, key: str | None) -> Generator[Target]:
    url = base_url or os.environ.get("OPENAI_BASE_URL")
    if url:
        yield _remote(url, model)._replace(api_key=key)
    elif key:
        yield Target(None, model or _OPENAI_MODEL, None, "max_completion_tokens", key)
    elif os.environ.get("OPENAI_API_KEY"):
        yield Target(None, model or _OPENAI_MODEL, None, "max_completion_tokens")
    else:
        yield from _local(model)


def _remote(url: str, model: str | None) -> Target:
    of_openai = _is_openai(url)
    return Target(
        base_url=url,
        model=model or default_model(url),
        proxy=None,
        # OpenAI's newer models refuse the old name, other servers may not know the new one.
        max_tokens_field="max_completion_tokens" if of_openai else "max_tokens",
    )


def default_model(url: str) -> str:
    """The model for a server where none is named."""
    return _OPENAI_MODEL if _is_openai(url) else _ANY_MODEL


def _is_openai(url: str) -> bool:
    return _host(url).endswith(("api.openai.com", ".openai.azure.com"))


def _host(url: str) -> str:
    from urllib.parse import urlsplit

    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""  # the client says what is wrong with it


def _local(model: str | None) -> Generator[Target]:
    from firsttoken.local import LocalServer

    with status_line("starting the local model ..."):
        server = LocalServer(context_tokens=_LOCAL_CONTEXT_TOKENS, parallel=1)
    with server:
        instead = f", not {model}" if model else ""
        limit = {"max_tokens": _LOCAL_MAX_TOKENS}
        log_stderr(f"firsttoken: no OPENAI_API_KEY and no base URL: the local model {server.model} answers{instead}")
        yield Target(server.base_url, server.model, proxy="", max_tokens_field="max_tokens", params=limit)
