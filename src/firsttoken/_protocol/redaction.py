"""Keeps secrets out of errors: a server may repeat the key that it was sent, and an excerpt may cut it anywhere."""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

from firsttoken._json import as_array, as_object
from firsttoken.errors import APIStatusError, ChatCompletionError

MASK = "[redacted]"
MIN_RUN = 8
"""The beginning of a secret is masked too, from so many characters on."""

PUBLIC_PARAMETERS = ("api-version",)
"""The parameters of a query that errors may show: Azure's version."""

_SECRET_NAMES = (
    *("auth", "bearer", "cookie", "credential", "jwt", "key", "passphrase", "passwd", "password", "pwd"),
    *("secret", "session", "signature", "token"),
)


def public_query(query: str) -> str:
    """The part of a URL's query that contains no key."""
    return "&".join(field for field in query.split("&") if field.partition("=")[0] in PUBLIC_PARAMETERS)


def holds_secret(header: str) -> bool:
    """Whether a header holds a secret, by its name."""
    lower = header.lower()
    return any(part in lower for part in _SECRET_NAMES)


def secrets_of_headers(headers: Mapping[str, str]) -> list[str]:
    """The secrets in the values of headers that hold one, by their names."""
    found: list[str] = []
    for name, value in headers.items():
        if holds_secret(name):
            lower = name.lower()
            words = re.split(r"[\s;,]+", value)
            if lower.endswith("authorization"):
                found += _basic_secrets(words)
                words = words[1:] or words  # without the scheme
            elif "cookie" in lower:
                words = [word.partition("=")[2] or word for word in words]
            found += words
    return found


def _basic_secrets(words: list[str]) -> list[str]:
    """The user and the password in the words of a header `authorization` (RFC 7617)."""
    if len(words) != 2 or words[0].lower() != "basic":
        return []
    from base64 import b64decode

    try:
        user, _, password = b64decode(words[1]).decode().partition(":")
    except ValueError:
        return []
    return [user, password]


def secrets_of_query(query: str) -> list[str]:
    """The values of a query, as sent and decoded."""
    if not query:
        return []
    from urllib.parse import unquote

    found: list[str] = []
    for field in query.split("&"):
        name, equals, value = field.partition("=")
        if name not in PUBLIC_PARAMETERS:
            word = value if equals else name
            found += (word, unquote(word))
    return found


def redact(error: ChatCompletionError, secrets: tuple[str, ...]) -> None:
    """Mask each secret, and each longer beginning of one, wherever an error shows it, in any of its spellings."""
    words = _words(secrets)
    error.args = tuple(_redacted(arg, words) for arg in error.args)
    notes: list[str] = getattr(error, "__notes__", [])
    notes[:] = [_masked(note, words) for note in notes]  # the hint is one
    if error.request_id is not None:
        error.request_id = _masked(error.request_id, words)
    if isinstance(error, APIStatusError):
        error.body = _redacted(error.body, words)
        for name in ("code", "type", "param"):
            setattr(error, name, _redacted(getattr(error, name), words))


def masked_headers(headers: Mapping[str, str], secrets: tuple[str, ...]) -> dict[str, str] | None:
    """Response headers with the secrets masked that a server has repeated in them; None where it has not."""
    words = _words(secrets)
    if not words or not _has("\n".join(headers.values()), words):
        return None
    return {name: _masked(value, words) for name, value in headers.items()}


_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
"""What a URL contains as it is: RFC 3986, section 2.3."""


@lru_cache(maxsize=64)
def _words(secrets: tuple[str, ...]) -> frozenset[str]:
    return spellings(secrets)


def spellings(secrets: Iterable[str]) -> frozenset[str]:
    """The secrets as they are, and as they are in a `repr`, in JSON, in a URL, in base64 and in hexadecimal digits."""
    return frozenset(word for secret in secrets if secret for word in _spellings(secret) if word)


def _spellings(secret: str) -> Iterator[str]:
    import json
    from base64 import b64encode

    escaped = secret.replace("\\", "\\\\")
    yield from (secret, escaped, escaped.replace("'", "\\'"))
    for in_json in (json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]):
        yield from (in_json, in_json.replace("/", "\\/"))  # some servers escape the slash too
    if len(secret) < MIN_RUN:
        return  # too short to be distinguished from other text
    data = _encoded(secret)
    for safe in (_UNRESERVED, _UNRESERVED | {ord("/")}, frozenset[int]()):
        for form in ("%{:02X}", "%{:02x}"):
            in_url = "".join(chr(byte) if byte in safe else form.format(byte) for byte in data)
            yield from (in_url, in_url.replace("%20", "+"))
    yield from (data.hex(), data.hex().upper())
    for offset in range(3):  # where it begins in a group of three bytes
        start, end = -(-offset * 8 // 6), (offset + len(data)) * 8 // 6
        text = b64encode(bytes(offset) + data).decode("ascii")[start:end]
        yield from (text, text.replace("+", "-").replace("/", "_"))


def _encoded(secret: str) -> bytes:
    try:
        return secret.encode("utf-8", "surrogateescape")  # the environment's bytes that are not UTF-8
    except UnicodeEncodeError:
        return secret.encode("utf-8", "surrogatepass")


def _redacted(value: object, words: frozenset[str]) -> object:
    if isinstance(value, str):
        return _masked(value, words)
    if as_object(value) is None and as_array(value) is None:
        return value
    import json

    # As one text: searching a million strings for each word takes seconds.
    text = json.dumps(value, ensure_ascii=False)
    in_json = frozenset(json.dumps(word, ensure_ascii=False)[1:-1] for word in words)
    if not _has(text, in_json):
        return value
    try:
        return json.loads(_masked(text, in_json))
    except ValueError:  # a mask has cut an escape sequence
        return _redacted_each(value, words)


def _redacted_each(value: object, words: frozenset[str]) -> object:
    if isinstance(value, str):
        return _masked(value, words)
    fields = as_object(value)
    if fields is not None:
        return {_masked(name, words): _redacted_each(item, words) for name, item in fields.items()}
    items = as_array(value)
    return value if items is None else [_redacted_each(item, words) for item in items]


def _has(text: str, words: frozenset[str]) -> bool:
    return any(word[:MIN_RUN] in text for word in words)


def _masked(text: str, words: frozenset[str]) -> str:
    """The text without the runs; two that overlap, as those of keys that begin alike do, are masked as one."""
    parts: list[str] = []
    shown = 0
    for start, end in sorted(run for word in words for run in find_secrets(text, word)):
        if start >= shown:
            parts += (text[shown:start], MASK)
        shown = max(shown, end)
    return "".join(parts) + text[shown:]


def find_secrets(text: str, secret: str) -> Iterator[tuple[int, int]]:
    """Where the text has the secret, or as much of its beginning as counts: start and end."""
    beginning = secret[:MIN_RUN]
    start = text.find(beginning)
    while start >= 0:
        length = len(beginning)
        while length < len(secret) and text[start + length : start + length + 1] == secret[length]:
            length += 1
        yield start, start + length
        start = text.find(beginning, start + 1)
