"""The base of every object that a server sends: unknown fields are kept, not dropped.

The structs refuse unknown fields (`forbid_unknown_fields`), so that one typed decode also proves that nothing was
lost; what they refuse, `firsttoken._protocol` decodes again, and puts into `extra`.
"""

from collections.abc import Iterator, Mapping, ValuesView
from typing import TYPE_CHECKING, Annotated, Literal, Never, Self, TypeVar, overload

import msgspec

from firsttoken._models.tables import SIMPLE_REASONS
from firsttoken._models.value import Value, parse_object, rich_repr, short_repr, wire_names

_Default = TypeVar("_Default")

EXTRA_NAME = "$firsttoken.extra"
"""The wire name of our own field `extra`, so that a server's field called "extra" is just another unknown field."""

MAX_INDEX = 4095
"""The largest index that a choice or a tool call is kept under: a key of a dict, and a server can make keys collide."""

MAX_PIECE_INDEX = 2**63 - 1
"""The largest number of a piece: some servers number each piece of an answer, and none is kept under that number."""

MAX_ITEMS = MAX_INDEX + 1
"""How many choices an answer has at most, how many tool calls, and how many content parts."""

RAW_NAME = "$firsttoken.raw"
EVENT_NAME = "$firsttoken.event"
CONTENT_PARTS_NAME = "$firsttoken.content_parts"
REPLACEMENT_NAME = "$firsttoken.replacement"
RESPONSE_NAME = "$firsttoken.response"
TIMING_NAME = "$firsttoken.timing"
COMPLETE_NAME = "$firsttoken.complete"
RESPONSE_TYPE_NAME = "$firsttoken.response_type"


if TYPE_CHECKING:
    ObjectName = str
    FinishReason = str
    ChoiceIndex = int
    PieceIndex = int
    CallIndex = int
    AnyArray = list[object]
    AnyObject = dict[str, object]
else:
    # What the typed decode lets through. The rest takes the lenient path, where errors that look like chunks are
    # found: {"object": "error"}, finish_reason "error".
    ObjectName = Literal["chat.completion.chunk", "chat.completion", "text_completion", ""]
    FinishReason = Literal[SIMPLE_REASONS]
    ChoiceIndex = Annotated[int, msgspec.Meta(ge=0, le=MAX_INDEX)]
    PieceIndex = Annotated[int, msgspec.Meta(ge=0, le=MAX_PIECE_INDEX)]
    CallIndex = Annotated[int, msgspec.Meta(ge=-1, le=MAX_PIECE_INDEX)]  # z.ai sends -1
    # Any JSON, nested as deep as servers do it. What is deeper takes the lenient path, too, which measures how deep.
    _scalar = _value = bool | int | float | str | None
    for _ in range(4):
        _value = _scalar | list[_value] | dict[str, _value]
    AnyArray = list[_value]
    AnyObject = dict[str, _value]


def index_excess(index: int, low: int) -> str:
    """What is wrong with an index that is out of bounds."""
    return f"an index must be {low} to {MAX_INDEX}, not {index!r:.40}"


class _EmptyExtra(dict[str, object]):
    """The `extra` of all objects that have nothing extra: one for all, so that decoding makes none."""

    __slots__ = ()

    def _refuse(self, *_: object, **__: object) -> Never:
        raise TypeError("extra is read-only on an object without extra fields: copy the object first")

    __setitem__ = setdefault = update = __ior__ = _refuse  # pyright: ignore[reportAssignmentType]

    def __reduce__(self) -> str:
        return "EMPTY_EXTRA"


EMPTY_EXTRA = _EmptyExtra()


class ResponseObject(Value, kw_only=True, gc=False, forbid_unknown_fields=True):
    """An object of a response.

    Attributes:
        extra: by name, every field that the type does not know, or that the server sent with another type.
    """

    extra: dict[str, object] = msgspec.field(default=EMPTY_EXTRA, name=EXTRA_NAME)

    @classmethod
    def from_dict(cls, value: Mapping[str, object]) -> Self:
        """Make one from a JSON object, which is not changed; `from_dict(x.to_dict()) == x`.

        It is read as leniently as a response: fields that the type does not know are put into `extra`.

        Raises:
            ResponseFormatError: it is not an object of this kind.
        """
        from firsttoken._protocol.lenient import read_object

        return read_object(value, cls)


class Received(ResponseObject, eq=False):
    """A response that keeps the JSON it was decoded from.

    Two are equal if all fields of the wire are; how they arrived and how their JSON was written does not matter.

    Attributes:
        raw: the exact bytes of the JSON; b"" if it was accumulated or made by hand.
    """

    raw: bytes = msgspec.field(default=b"", name=RAW_NAME)

    def to_dict(self) -> dict[str, object]:
        """The JSON object as plain Python, as the server sent it.

        If it was changed, accumulated or made by hand: the fields that are not None, including those of `extra`.
        """
        data = self._received()
        return super().to_dict() if data is None else parse_object(data, type(self))

    def to_json(self) -> bytes:
        """`to_dict()` as JSON, in UTF-8: the bytes that the server sent, if nothing was changed."""
        return self._received() or super().to_json()

    def _received(self) -> bytes | None:
        """What it was decoded from, unless it has been changed since."""
        try:
            return self.raw if self.raw and type(self).from_json(self.raw) == self else None
        except ValueError:
            return None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, type(self)):
            return NotImplemented
        names = [name for name, _ in wire_names(type(self))]
        return all(getattr(self, name) == getattr(other, name) for name in (*names, "extra"))

    def __ne__(self, other: object) -> bool:
        return not self == other  # msgspec's own would compare identities


class Headers(Mapping[str, str]):
    """Response headers: a read-only mapping whose names are case-insensitive (RFC 9110, section 5.1).

    `set-cookie` can be read, but is left out of reprs and pickles.
    """

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self._values = {name.lower(): value for name, value in (values or {}).items()}

    @classmethod
    def of_lower_case(cls, values: dict[str, str]) -> "Headers":
        """Those of a dict whose names are in lower case; it is not copied."""
        headers = cls.__new__(cls)
        headers._values = values
        return headers

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    @overload
    def get(self, key: str, default: None = None, /) -> str | None: ...
    @overload
    def get(self, key: str, default: str | _Default, /) -> str | _Default: ...
    def get(self, key: str, default: object = None, /) -> object:
        """The value of a header; without the detour by an exception."""
        return self._values.get(key.lower(), default)

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._values

    def values(self) -> ValuesView[str]:
        """The values; without the detour by each name."""
        return self._values.values()

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
        request_id: the server's id of the request (`x-request-id` and the like), to quote to its support.
    """

    status: int
    headers: Headers
    request_id: str | None = None

    __repr__ = short_repr
    __rich_repr__ = rich_repr


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """When things arrived, in seconds from the start of the call; stamped when bytes are read.

    Attributes:
        time_to_headers_s: until the response head was received.
        time_to_first_chunk_s: until the first chunk.
        time_to_first_token_s: until the first non-empty content, reasoning, refusal or tool-call text.
        duration_s: until the end, successful or not; None while the stream is open.
        chunks: how many chunks were yielded.
    """

    time_to_headers_s: float | None = None
    time_to_first_chunk_s: float | None = None
    time_to_first_token_s: float | None = None
    duration_s: float | None = None
    chunks: int = 0

    __repr__ = short_repr
    __rich_repr__ = rich_repr
