"""A complete completion: the API reference's "chat completion object"."""

from typing import TYPE_CHECKING, Annotated, TypeVar, overload

import msgspec

from firsttoken._json import is_json_object
from firsttoken._models.base import (
    COMPLETE_NAME,
    CONTENT_PARTS_NAME,
    MAX_ITEMS,
    RESPONSE_NAME,
    RESPONSE_TYPE_NAME,
    TIMING_NAME,
    AnyArray,
    AnyObject,
    ChoiceIndex,
    FinishReason,
    ObjectName,
    Received,
    ResponseInfo,
    ResponseObject,
    Timing,
)
from firsttoken._models.tables import TRUNCATED_BY, finish_class, parts_text, reasoning_in, without_reasoning
from firsttoken._models.tool_call import FunctionCall, ToolCall
from firsttoken._models.value import to_plain
from firsttoken.errors import (
    ChatCompletionError,
    ConfigurationError,
    RefusalError,
    ResponseFormatError,
    StreamTruncatedError,
)

if TYPE_CHECKING:
    from firsttoken._schema.parsing import ResponseType

    _ResponseType = ResponseType | None
else:
    _ResponseType = None  # so that no server can send one

_T = TypeVar("_T")
_Error = TypeVar("_Error", bound=ChatCompletionError)

_Object = object  # inside ChatCompletion the name `object` is a field


class Audio(ResponseObject):
    """An audio answer: base64 data, its transcript, and until when the server keeps it (Unix time, seconds)."""

    id: str | None = None
    data: str | None = None
    expires_at: int | None = None
    transcript: str | None = None


class TopLogprob(ResponseObject):
    """An alternative token at one position, and its log probability."""

    token: str = ""
    logprob: float = 0.0
    bytes: list[int] | None = None


class TokenLogprob(ResponseObject):
    """A token of the answer, its log probability and the likeliest alternatives."""

    token: str = ""
    logprob: float = 0.0
    bytes: list[int] | None = None
    top_logprobs: list[TopLogprob] = []


class ChoiceLogprobs(ResponseObject):
    """Log probabilities of a choice's tokens: those of its content and those of its refusal."""

    content: list[TokenLogprob] | None = None
    refusal: list[TokenLogprob] | None = None


class Reasoning(ResponseObject):
    """What a model thought before it answered, in the forms that servers use, each under its own name.

    Attributes:
        reasoning_content: the name of DeepSeek, vLLM, llama.cpp and xAI.
        reasoning: the name of Groq, Ollama, Cerebras and OpenRouter.
        reasoning_details: OpenRouter's structured form, which repeats the text of `reasoning`, or is encrypted.
        thinking: the name of some proxies.
        content_parts: the content, if it came as a list of parts (Mistral, Databricks), which may include reasoning.
            `content` is their text; the list is what is sent back to the server.
    """

    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: AnyArray | None = None
    thinking: str | None = None
    content_parts: list[object] | None = msgspec.field(default=None, name=CONTENT_PARTS_NAME)

    @property
    def reasoning_text(self) -> str:
        """The reasoning as text, whatever the server calls it; "" if there is none. Text sent twice is in it once."""
        text = self.reasoning_content or self.reasoning or self.thinking
        if text:
            return text
        if self.extra or self.reasoning_details or self.content_parts:
            return reasoning_in(self.extra, self.reasoning_details, self.content_parts)
        return ""


class ChatCompletionMessage(Reasoning):
    """The model's message."""

    role: str = "assistant"
    content: str | None = None
    refusal: str | None = None
    tool_calls: Annotated[list[ToolCall], msgspec.Meta(max_length=MAX_ITEMS)] | None = None
    function_call: FunctionCall | None = None
    audio: Audio | None = None
    annotations: AnyArray | None = None

    def to_dict(self) -> dict[str, object]:
        """The message as plain Python. When it is sent back in `messages`, only the id of its audio is sent."""
        fields = {"role": self.role, "content": None} | super().to_dict()
        parts = self.content_parts
        if parts is not None and (self.content or "") == parts_text(parts, "text"):  # else it was changed since
            fields["content"] = to_plain(parts)
        return fields

    def without_reasoning(self) -> "ChatCompletionMessage":
        """The message without reasoning under any name, for a server that refuses it; this one is not changed."""
        return ChatCompletionMessage.from_dict(without_reasoning(self.to_dict()))

    def _repr_markdown_(self) -> str:
        """What Jupyter shows: the text, or the refusal, and the tool calls."""
        calls = [f"```python\n{call.name}({call.arguments})\n```" for call in self.tool_calls or ()]
        return "\n\n".join([text for text in (self.content, self.refusal) if text] + calls)


class Choice(ResponseObject):
    """One answer of a completion.

    Attributes:
        index: its number, from 0.
        finish_reason: why the model stopped ("stop", "length", "tool_calls", "content_filter" or a server's own
            word); None if the server sent none. It is never invented.
    """

    index: ChoiceIndex = 0
    message: ChatCompletionMessage = msgspec.field(default_factory=ChatCompletionMessage)
    finish_reason: FinishReason | None = None
    logprobs: ChoiceLogprobs | None = None


class PromptTokensDetails(ResponseObject):
    """The prompt's tokens by kind."""

    audio_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    text_tokens: int | None = None
    image_tokens: int | None = None


class CompletionTokensDetails(ResponseObject):
    """The answer's tokens by kind."""

    accepted_prediction_tokens: int | None = None
    audio_tokens: int | None = None
    reasoning_tokens: int | None = None
    rejected_prediction_tokens: int | None = None
    text_tokens: int | None = None
    image_tokens: int | None = None


class CompletionUsage(ResponseObject):
    """Tokens used by the request."""

    completion_tokens: int = 0
    prompt_tokens: int = 0
    total_tokens: int = 0
    completion_tokens_details: CompletionTokensDetails | None = None
    prompt_tokens_details: PromptTokensDetails | None = None


COUNTS = ("completion_tokens", "prompt_tokens", "total_tokens")
"""The counts that every usage has."""


class ChatCompletion(Received):
    """A completion: of the blocking call, or of the chunks that a stream has yielded so far.

    Two completions are equal when all their fields are, except `response`, `timing` and `complete`.

    Attributes:
        complete: True if the server ended the answer: from the blocking call, or from a stream whose `state` is
            "complete". False from a stream that was open, stopped or failed. None if that is unknown, since it was
            made by hand, decoded, or accumulated by an `Accumulator`; then its finish reasons decide.
        moderation: the result of the moderation that the request asked for, of the prompt and of the answer.
        metadata: that of the request, if the server repeats it.
        raw: the exact bytes of the body; b"" if it was accumulated or made by hand.
    """

    id: str = ""
    object: ObjectName = "chat.completion"
    created: int = 0
    model: str = ""
    choices: Annotated[list[Choice], msgspec.Meta(max_length=MAX_ITEMS)] = []
    usage: CompletionUsage | None = None
    service_tier: str | None = None
    system_fingerprint: str | None = None
    moderation: AnyObject | None = None
    metadata: AnyObject | None = None
    response: ResponseInfo | None = msgspec.field(default=None, name=RESPONSE_NAME)
    timing: Timing | None = msgspec.field(default=None, name=TIMING_NAME)
    complete: bool | None = msgspec.field(default=None, name=COMPLETE_NAME)
    _response_type: _ResponseType = msgspec.field(default=None, name=RESPONSE_TYPE_NAME)

    @property
    def text(self) -> str:
        """The content of the choice with index 0; "" if it has none."""
        for choice in self.choices:
            if choice.index == 0:
                return choice.message.content or ""
        return ""

    @property
    def message(self) -> ChatCompletionMessage:
        """The message of the choice with index 0, an empty one if there is none; it can be put into `messages`."""
        choice = self._first_choice()
        return ChatCompletionMessage() if choice is None else choice.message

    @property
    def finish_reason(self) -> str | None:
        """Why the choice with index 0 ended; None if the server sent no reason."""
        choice = self._first_choice()
        return None if choice is None else choice.finish_reason

    @property
    def tool_calls(self) -> list[ToolCall]:
        """The tool calls of the choice with index 0; [] if it has none. They are always complete.

        Raises:
            StreamTruncatedError: calls were started, and the answer is not complete: the stream was stopped or broke
                off, or the answer was cut or filtered (finish reason "length", "content_filter" and the like). A call
                that looks complete may be one of several. Or the finish reason is unknown, and the arguments of a
                call are not a JSON object. What arrived is in `choices[0].message.tool_calls`.
        """
        choice = self._first_choice()
        if choice is None or not choice.message.tool_calls:
            return []
        self._require_complete(choice, "its tool calls may be cut")
        if finish_class(choice.finish_reason) != "complete":
            self._require_parsable_calls(choice, choice.message.tool_calls)
        return list(choice.message.tool_calls)

    @overload
    def parse(self) -> _Object: ...
    @overload
    def parse(self, into: type[_T]) -> _T: ...
    @overload
    def parse(self, into: _Object) -> _Object: ...
    def parse(self, into: _Object = None) -> _Object:
        """Parse the content of the choice with index 0 into a value, and check it.

        Args:
            into: the type; None uses the request's `response_format`.

        Raises:
            RefusalError: the model refused; the message has its words.
            StreamTruncatedError: the answer is not complete (see `tool_calls`).
            ResponseFormatError: the content is invalid JSON, does not match, or is missing. Nothing is repaired or
                coerced; the message names the place, and quotes it.
            ConfigurationError: no type is known, or its values can't be parsed.
        """
        if into is None:
            if self._response_type is None:
                raise ConfigurationError(
                    "no type to parse the answer into",
                    hint="completion.parse(SomeType), or chat_completion_request(…, response_format=SomeType)",
                )
            into = self._response_type.type
        from firsttoken._schema.parsing import parse_json_text  # here, as all that reads a value into a type

        text = self._text_to_parse()
        try:
            return parse_json_text(text, into, "the answer")
        except ResponseFormatError as error:
            self._with_context(error)
            raise

    def _text_to_parse(self) -> str:
        choice = self._first_choice() or Choice()
        message = choice.message
        self._require_complete(choice, "it can't be parsed")
        if message.refusal:
            raise self._with_context(RefusalError(f"the model refused: {message.refusal}", refusal=message.refusal))
        if message.content is None:
            called = ", ".join(call.name for call in message.tool_calls or ())
            raise self._with_context(
                ResponseFormatError(f"the answer has no content{called and ', but calls ' + called}")
            )
        return message.content

    def _first_choice(self) -> Choice | None:
        return next((choice for choice in self.choices if choice.index == 0), None)

    def _require_complete(self, choice: Choice, consequence: str) -> None:
        reason, kind = choice.finish_reason, finish_class(choice.finish_reason)
        if self.complete is False:
            why = "the stream was stopped or broke off before its end"
        elif kind in TRUNCATED_BY:
            why = f"it was cut by {TRUNCATED_BY[kind]} (finish reason {reason!r})"
        elif self.complete is None and kind == "none":
            why = "it has no finish reason"
        else:
            return
        raise self._with_context(StreamTruncatedError(f"the answer is not complete, so {consequence}: {why}"))

    def _require_parsable_calls(self, choice: Choice, calls: list[ToolCall]) -> None:
        """Where the finish reason doesn't say that the answer is complete, the arguments have to."""
        for call in calls:
            if not is_json_object(call.arguments):
                raise self._with_context(
                    StreamTruncatedError(
                        f"the finish reason {choice.finish_reason!r} does not say whether the answer is complete, and "
                        f"the arguments of {call.name or 'a nameless function'} are not a JSON object"
                    )
                )

    def _with_context(self, error: _Error) -> _Error:
        """The error, with this completion as its `partial`."""
        error.partial = self
        error.chunks_received = 0 if self.timing is None else self.timing.chunks
        error.request_id = None if self.response is None else self.response.request_id
        return error

    def _repr_markdown_(self) -> str:
        """What Jupyter shows."""
        return self.message._repr_markdown_()
