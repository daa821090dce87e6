"""What happens in a stream, as events with names of their own: `stream.iter_events()` gives them.

    for event in client.chat_completion_stream(request).iter_events():
        match event:
            case TextEvent():
                print(event.delta, end="")
            case ToolCallFinishedEvent():
                answer(event.call)

`type` is the kind of an event, `choice_index` its choice. What is still being written comes in a `delta`; its
`snapshot` is the text up to and with it, joined on access.

`ToolCallFinishedEvent`, `UsageEvent` and `FinishedEvent` come only when the answer is complete: first the
usage, then for each choice its calls and its end. A stream that fails raises after the last event, as it does after the
last chunk; one that is stopped just ends.
"""

from collections.abc import Callable, Sequence
from typing import ClassVar, Literal, Self, TypeVar

import msgspec

from firsttoken._json import encode_json
from firsttoken._models.completion import CompletionUsage
from firsttoken._models.tool_call import ToolCall
from firsttoken._models.value import rich_repr, short_repr, to_plain, wire_names

__all__ = [
    "FinishedEvent",
    "ReasoningEvent",
    "RefusalEvent",
    "StreamEvent",
    "TextEvent",
    "ToolCallArgumentsEvent",
    "ToolCallFinishedEvent",
    "ToolCallStartedEvent",
    "UsageEvent",
]


class _Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    __repr__ = short_repr
    __rich_repr__ = rich_repr

    def to_dict(self) -> dict[str, object]:
        """The event as plain Python: `type` and its fields, what the server sent in the form of the wire."""
        names = [name for name, _ in wire_names(type(self))]
        return {"type": self.__struct_config__.tag} | {name: to_plain(getattr(self, name)) for name in names}

    def to_json(self) -> bytes:
        """`to_dict()` as JSON, in UTF-8."""
        return encode_json(self.to_dict())


class _DeltaEvent(_Event, frozen=True, kw_only=True, dict=True):
    """A piece of a text that grows.

    The text is shared by all its pieces and stands in the instance's dictionary. It is not a field: it is neither
    compared, nor shown, nor encoded.
    """

    choice_index: int
    delta: str

    @property
    def snapshot(self) -> str:
        """The text up to and with `delta`. Each access joins it anew."""
        known: tuple[Sequence[str], int] | None = vars(self).get("snapshot")
        return self.delta if known is None else "".join(known[0])[: known[1]]

    def __copy__(self) -> Self:
        return self

    def __reduce__(self) -> tuple[object, ...]:
        return _unpickle, (type(self), msgspec.structs.asdict(self), self.snapshot)


_AnyDelta = TypeVar("_AnyDelta", bound=_DeltaEvent)


def with_snapshot(event: _AnyDelta, text: Sequence[str], length: int) -> _AnyDelta:
    """The event, as the piece that ends the first `length` characters of a text."""
    vars(event)["snapshot"] = text, length
    return event


def _unpickle(kind: Callable[..., _DeltaEvent], fields: dict[str, object], snapshot: str) -> _DeltaEvent:
    return with_snapshot(kind(**fields), (snapshot,), len(snapshot))


class TextEvent(_DeltaEvent, frozen=True, kw_only=True, tag="text"):
    """A piece of the answer's text, never ""."""

    type: ClassVar[Literal["text"]] = "text"


class ReasoningEvent(_DeltaEvent, frozen=True, kw_only=True, tag="reasoning"):
    """A piece of what the model thinks before it answers, under whichever name the server sends it; never ""."""

    type: ClassVar[Literal["reasoning"]] = "reasoning"


class RefusalEvent(_DeltaEvent, frozen=True, kw_only=True, tag="refusal"):
    """A piece of the words with which the model refuses, never ""."""

    type: ClassVar[Literal["refusal"]] = "refusal"


class ToolCallStartedEvent(_Event, frozen=True, kw_only=True, tag="tool_call_started"):
    """The model has begun to call a tool: its arguments have begun, or something else has followed its name.

    Some servers send a name in pieces; this event has all of it.

    Attributes:
        choice_index: the choice whose message the call is in.
        call_index: its place among the calls of the message, from 0, whatever the server numbers them.
        id: what the server calls it; "" where that has not come.
        name: the tool's name.
    """

    choice_index: int
    call_index: int
    id: str
    name: str
    type: ClassVar[Literal["tool_call_started"]] = "tool_call_started"


class ToolCallArgumentsEvent(_DeltaEvent, frozen=True, kw_only=True, tag="tool_call_arguments"):
    """A piece of a call's arguments, or of a custom tool's input; never "".

    What has come so far is not complete JSON: `ToolCallFinishedEvent` has the complete call.

    Attributes:
        call_index: the call's place among those of its message, from 0.
        id: what the server calls it; "" where that has not come.
        name: the tool's name.
    """

    call_index: int
    id: str
    name: str
    type: ClassVar[Literal["tool_call_arguments"]] = "tool_call_arguments"


class ToolCallFinishedEvent(_Event, frozen=True, kw_only=True, tag="tool_call_finished"):
    """A complete tool call.

    Comes when the answer is complete, and not for a choice that was cut off (finish reason "length" or
    "content_filter"): nobody can know which of its calls are complete.

    Attributes:
        choice_index: the choice whose message the call is in.
        call_index: its place among the calls of the message, from 0.
        id: what the server calls it, "" where it has no name for it.
        name: the tool's name.
        call: the call, as the completion has it.
    """

    choice_index: int
    call_index: int
    id: str
    name: str
    call: ToolCall
    type: ClassVar[Literal["tool_call_finished"]] = "tool_call_finished"


class UsageEvent(_Event, frozen=True, kw_only=True, tag="usage"):
    """The tokens used; at most once, when the answer is complete, though some servers send a count with each chunk."""

    usage: CompletionUsage
    type: ClassVar[Literal["usage"]] = "usage"


class FinishedEvent(_Event, frozen=True, kw_only=True, tag="finished"):
    """A choice has ended, and the stream is complete; the answer may have been cut, see its reason.

    Attributes:
        choice_index: which.
        finish_reason: why the model stopped; None where the server sent none.
    """

    choice_index: int
    finish_reason: str | None
    type: ClassVar[Literal["finished"]] = "finished"


StreamEvent = (
    TextEvent
    | ReasoningEvent
    | RefusalEvent
    | ToolCallStartedEvent
    | ToolCallArgumentsEvent
    | ToolCallFinishedEvent
    | UsageEvent
    | FinishedEvent
)
"""What `iter_events` gives."""
