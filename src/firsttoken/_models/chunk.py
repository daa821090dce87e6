"""A piece of a streamed completion: the API reference's "chat completion chunk object"."""

from typing import Annotated

import msgspec

from firsttoken._models.base import (
    EVENT_NAME,
    MAX_ITEMS,
    REPLACEMENT_NAME,
    AnyArray,
    AnyObject,
    CallIndex,
    FinishReason,
    ObjectName,
    PieceIndex,
    Received,
    ResponseObject,
)
from firsttoken._models.completion import Audio, ChoiceLogprobs, CompletionUsage, Reasoning


class FunctionCallDelta(ResponseObject):
    """A piece of a function call: the name is sent once, the arguments in pieces."""

    name: str | None = None
    arguments: str | None = None


class CustomToolCallDelta(ResponseObject):
    """A piece of a custom tool call: the name is sent once, the input in pieces."""

    name: str | None = None
    input: str | None = None


class ToolCallDelta(ResponseObject):
    """A piece of a tool call; `firsttoken.sansio.Accumulator` knows which call it belongs to."""

    index: CallIndex | None = None
    id: str | None = None
    type: str | None = None
    function: FunctionCallDelta | None = None
    custom: CustomToolCallDelta | None = None


class ChoiceDelta(Reasoning):
    """What a chunk adds to the message of a choice; None is nothing."""

    role: str | None = None
    content: str | None = None
    refusal: str | None = None
    tool_calls: Annotated[list[ToolCallDelta], msgspec.Meta(max_length=MAX_ITEMS)] | None = None
    function_call: FunctionCallDelta | None = None
    audio: Audio | None = None
    annotations: AnyArray | None = None


class ChunkChoice(ResponseObject):
    """What a chunk adds to one choice.

    Attributes:
        replacement: the complete message, if the server sends it after its deltas; it replaces what they made.
    """

    index: PieceIndex = 0
    delta: ChoiceDelta = msgspec.field(default_factory=ChoiceDelta)
    finish_reason: FinishReason | None = None
    logprobs: ChoiceLogprobs | None = None
    replacement: ChoiceDelta | None = msgspec.field(default=None, name=REPLACEMENT_NAME)


class ChatCompletionChunk(Received):
    """One event of a stream.

    Two are equal when all their fields are, except `raw`.

    Attributes:
        choices: what is new for each choice; empty in chunks that only carry usage or a server's own fields.
        usage: tokens used; with `stream_options.include_usage`, which is on by default, in the last chunk.
        moderation: the result of the moderation that the request asked for, of the prompt and of the answer.
        metadata: that of the request, if a server sends a complete completion as its only chunk.
        obfuscation: padding that OpenAI adds to hide the lengths of tokens; without meaning.
        raw: the exact bytes of the event's data.
        event: the name of the server-sent event, "message" if it has none. A named event whose data is not a chunk of
            the answer has no choices; its fields are in `extra`, and no part of it goes into the completion.
    """

    id: str = ""
    object: ObjectName = "chat.completion.chunk"
    created: int = 0
    model: str = ""
    choices: Annotated[list[ChunkChoice], msgspec.Meta(max_length=MAX_ITEMS)] = []
    usage: CompletionUsage | None = None
    service_tier: str | None = None
    system_fingerprint: str | None = None
    moderation: AnyObject | None = None
    metadata: AnyObject | None = None
    obfuscation: str | None = None
    event: str = msgspec.field(default="message", name=EVENT_NAME)

    @property
    def text(self) -> str:
        """The content that this chunk adds to the choice with index 0; "" if it adds none."""
        for choice in self.choices:
            if choice.index == 0 and choice.delta.content:
                return choice.delta.content
        return ""
