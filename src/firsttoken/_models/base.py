"""What every object that a server sends has in common: unknown fields are kept, not dropped.

The structs refuse unknown fields (`forbid_unknown_fields`), so that one typed decode also proves that nothing was
lost; what they refuse, `firsttoken._protocol` decodes again, and puts into `extra`.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Literal, Never

import msgspec

EXTRA_NAME = "$firsttoken.extra"
"""The wire name of our own field `extra`, so that a server's field called "extra" is just another unknown field."""

RAW_NAME = "$firsttoken.raw"
RESPONSE_NAME = "$firsttoken.response"
TIMING_NAME = "$firsttoken.timing"
COMPLETE_NAME = "$firsttoken.complete"
RESPONSE_TYPE_NAME = "$firsttoken.response_type"


if TYPE_CHECKING:
    ObjectName = str
    FinishReason = str
else:
    # What the typed decode lets through. The rest takes the tolerant path, where errors that look like chunks are
    # found: {"object": "error"}, finish_reason "error". The pattern is paid for once a choice, the names cost nothing.
    ObjectName = Literal["chat.completion.chunk", "chat.completion", "text_completion", ""]
    FinishReason = Annotated[str, msgspec.Meta(pattern=r"^(?!(error|abort)\Z)")]


class _EmptyExtra(dict[str, object]):
    """The `extra` of all objects that have nothing extra: one for all, so that decoding makes none."""

    __slots__ = ()

    def _refuse(self, *_: object, **__: object) -> Never:
        raise TypeError("this object has no extra fields, and what a server sent can't be added to: copy it first")

    __setitem__ = setdefault = update = __ior__ = _refuse  # pyright: ignore[reportAssignmentType]

    def __reduce__(self) -> str:
        return "EMPTY_EXTRA"


EMPTY_EXTRA = _EmptyExtra()


class ResponseObject(msgspec.Struct, kw_only=True, gc=False, forbid_unknown_fields=True, repr_omit_defaults=True):
    """An object of a response.

    Attributes:
        extra: every field that the server sent and the type does not know, or sent with a type of its own; by name.
    """

    extra: dict[str, object] = msgspec.field(default=EMPTY_EXTRA, name=EXTRA_NAME)


class Headers(Mapping[str, str]):
    """Response headers: a read-only mapping whose names are case-insensitive (RFC 9110, section 5.1).

    `set-cookie` can be read, and is in no repr and no pickle.
    """

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self._values = {name.lower(): value for name, value in (values or {}).items()}

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Headers({self._without_cookies()!r})"

    def __reduce__(self) -> "tuple[object, ...]":
        return Headers, (self._without_cookies(),)

    def _without_cookies(self) -> dict[str, str]:
        """What may be logged or stored; a cookie is as good as a key."""
        return {name: "[redacted]" if name.startswith("set-cookie") else value for name, value in self._values.items()}


class ResponseInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The head of the HTTP response that an answer came in.

    Attributes:
        status: the HTTP status code.
        headers: the response headers, names case-insensitive.
        request_id: the server's name for the request (`x-request-id` and its like), to quote to its support.
    """

    status: int
    headers: Headers
    request_id: str | None = None


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """When things arrived, in seconds from the start of the call; stamped when bytes are read.

    Attributes:
        time_to_headers_s: until the response head was there.
        time_to_first_chunk_s: until the first chunk.
        time_to_first_token_s: until the first non-empty content, reasoning, refusal or tool-call text.
        duration_s: until the end, whatever it was; None while the stream is open.
        chunks: how many chunks were yielded.
    """

    time_to_headers_s: float | None = None
    time_to_first_chunk_s: float | None = None
    time_to_first_token_s: float | None = None
    duration_s: float | None = None
    chunks: int = 0
