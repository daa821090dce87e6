"""Keeping secrets out of errors: a server may repeat the key that it was sent, and a quotation may cut it anywhere."""

import re
from collections.abc import Iterator, Mapping
from urllib.parse import unquote

from firsttoken._json import as_array, as_object
from firsttoken.errors import APIStatusError, ChatCompletionError

MASK = "[redacted]"
SHORTEST_RUN = 8
"""The beginning of a secret is masked too, from so many characters on."""

PUBLIC_PARAMETERS = ("api-version",)
"""What a query may show: Azure's, whose errors name the version."""

_SECRET_NAMES = ("auth", "cookie", "key", "secret", "token")


def holds_secret(header: str) -> bool:
    """Whether a header's name says that it holds a secret."""
    lower = header.lower()
    return any(part in lower for part in _SECRET_NAMES)


def secrets_of_headers(headers: Mapping[str, str]) -> list[str]:
    """The words of the headers whose names say that they hold a secret."""
    found: list[str] = []
    for name, value in headers.items():
        if holds_secret(name):
            lower = name.lower()
            words = re.split(r"[\s;,]+", value)
            if lower.endswith("authorization"):
                words = words[1:] or words  # without the scheme
            elif "cookie" in lower:
                words = [word.partition("=")[2] or word for word in words]
            found += words
    return found


def secrets_of_query(query: str) -> list[str]:
    """The values of a query, as they are sent and as they are meant."""
    found: list[str] = []
    for field in query.split("&"):
        name, equals, value = field.partition("=")
        if name not in PUBLIC_PARAMETERS:
            word = value if equals else name
            found += (word, unquote(word))
    return found


def scrub(error: ChatCompletionError, secrets: tuple[str, ...]) -> None:
    """Mask each secret, and each longer beginning of one, wherever an error shows it."""
    spellings = {spelling for secret in secrets if secret for spelling in _escaped_forms(secret)}
    error.args = tuple(_scrubbed(arg, spellings) for arg in error.args)
    notes: list[str] = getattr(error, "__notes__", [])
    notes[:] = [_masked(note, spellings) for note in notes]  # the hint is one
    if error.request_id is not None:
        error.request_id = _masked(error.request_id, spellings)
    if isinstance(error, APIStatusError):
        error.body = _scrubbed(error.body, spellings)
        for name in ("code", "type", "param"):
            setattr(error, name, _scrubbed(getattr(error, name), spellings))


def _escaped_forms(secret: str) -> tuple[str, ...]:
    """As it is, and as `repr` writes it inside other text."""
    escaped = secret.replace("\\", "\\\\")
    return secret, escaped, escaped.replace("'", "\\'")


def _scrubbed(value: object, secrets: set[str]) -> object:
    if isinstance(value, str):
        return _masked(value, secrets)
    fields = as_object(value)
    if fields is not None:
        return {_masked(name, secrets): _scrubbed(item, secrets) for name, item in fields.items()}
    items = as_array(value)
    return value if items is None else [_scrubbed(item, secrets) for item in items]


def _masked(text: str, secrets: set[str]) -> str:
    """The text without the runs; two that overlap, as those of keys that begin alike do, are masked as one."""
    parts: list[str] = []
    shown = 0
    for start, end in sorted(run for secret in secrets for run in find_secrets(text, secret)):
        if start >= shown:
            parts += (text[shown:start], MASK)
        shown = max(shown, end)
    return "".join(parts) + text[shown:]


def find_secrets(text: str, secret: str) -> Iterator[tuple[int, int]]:
    """Where the text has the secret, or as much of its beginning as counts: start and end."""
    beginning = secret[:SHORTEST_RUN]
    start = text.find(beginning)
    while start >= 0:
        length = len(beginning)
        while length < len(secret) and text[start + length : start + length + 1] == secret[length]:
            length += 1
        yield start, start + length
        start = text.find(beginning, start + 1)
