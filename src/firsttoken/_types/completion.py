"""A whole completion, as the API reference's "chat completion object" has it."""

import msgspec

from firsttoken._types.wire import RESPONSE_NAME, TIMING_NAME, FinishReason, ObjectName, ResponseInfo, Timing, Wire

_Object = object  # inside ChatCompletion the name `object` is a field


class FunctionCall(Wire):
    """The function that the model wants called.

    Attributes:
        name: the function's name.
        arguments: its arguments as the model wrote them: JSON, if the model kept to it. Never repaired.
    """

    name: str = ""
    arguments: str = ""


class CustomToolCall(Wire):
    """The custom tool that the model wants called; `input` is free text."""

    name: str = ""
    input: str = ""


class ToolCall(Wire):
    """One tool call of a message; `function` or `custom` is set, as `type` says."""

    id: str = ""
    type: str = "function"
    function: FunctionCall | None = None
    custom: CustomToolCall | None = None


class Audio(Wire):
    """An audio answer: base64 data, its transcript, and until when the server keeps it (Unix time, seconds)."""

    id: str | None = None
    data: str | None = None
    expires_at: int | None = None
    transcript: str | None = None


class TopLogprob(Wire):
    """An alternative token at one position, and its log probability."""

    token: str = ""
    logprob: float = 0.0
    bytes: list[int] | None = None


class TokenLogprob(Wire):
    """A token of the answer, its log probability and the likeliest alternatives."""

    token: str = ""
    logprob: float = 0.0
    bytes: list[int] | None = None
    top_logprobs: list[TopLogprob] = []


class ChoiceLogprobs(Wire):
    """Log probabilities of a choice's tokens: those of its content and those of its refusal."""

    content: list[TokenLogprob] | None = None
    refusal: list[TokenLogprob] | None = None


class Reasoning(Wire):
    """What a model thought before it answered, in the forms in which servers send it; each keeps its own name.

    Attributes:
        reasoning_content: as DeepSeek, vLLM, llama.cpp and xAI name it.
        reasoning: as Groq, Ollama, Cerebras and OpenRouter name it.
        reasoning_details: OpenRouter's structured form, which repeats the text of `reasoning`, or is encrypted.
        thinking: the text of `thinking` parts, where content is a list of parts (Mistral).
    """

    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[object] | None = None
    thinking: str | None = None

    @property
    def reasoning_text(self) -> str:
        """The reasoning as text, whatever the server calls it; "" where there is none; given once if sent twice."""
        return self.reasoning_content or self.reasoning or self.thinking or ""


class ChatCompletionMessage(Reasoning):
    """The model's message."""

    role: str = "assistant"
    content: str | None = None
    refusal: str | None = None
    tool_calls: list[ToolCall] | None = None
    function_call: FunctionCall | None = None
    audio: Audio | None = None
    annotations: list[object] | None = None


class Choice(Wire):
    """One of the answers of a completion.

    Attributes:
        index: its number, from 0.
        finish_reason: why the model stopped ("stop", "length", "tool_calls", "content_filter" or a server's own
            word); None where the server sent none. It is never invented.
    """

    index: int = 0
    message: ChatCompletionMessage = msgspec.field(default_factory=ChatCompletionMessage)
    finish_reason: FinishReason | None = None
    logprobs: ChoiceLogprobs | None = None


class PromptTokensDetails(Wire):
    """How the prompt's tokens divide."""

    audio_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    text_tokens: int | None = None
    image_tokens: int | None = None


class CompletionTokensDetails(Wire):
    """How the answer's tokens divide."""

    accepted_prediction_tokens: int | None = None
    audio_tokens: int | None = None
    reasoning_tokens: int | None = None
    rejected_prediction_tokens: int | None = None
    text_tokens: int | None = None
    image_tokens: int | None = None


class CompletionUsage(Wire):
    """Tokens used by the request."""

    completion_tokens: int = 0
    prompt_tokens: int = 0
    total_tokens: int = 0
    completion_tokens_details: CompletionTokensDetails | None = None
    prompt_tokens_details: PromptTokensDetails | None = None


class ChatCompletion(Wire, eq=False):
    """A completion: of the blocking call, or of what a stream has handed out so far.

    Two completions are equal when all their fields are, save `response` and `timing`.

    Attributes:
        moderation: what the moderation that the request asked for says of the prompt and of the answer.
        metadata: the request's own, where the server repeats it.
    """

    id: str = ""
    object: ObjectName = "chat.completion"
    created: int = 0
    model: str = ""
    choices: list[Choice] = []
    usage: CompletionUsage | None = None
    service_tier: str | None = None
    system_fingerprint: str | None = None
    moderation: dict[str, _Object] | None = None
    metadata: dict[str, _Object] | None = None
    response: ResponseInfo | None = msgspec.field(default=None, name=RESPONSE_NAME)
    timing: Timing | None = msgspec.field(default=None, name=TIMING_NAME)

    @property
    def text(self) -> str:
        """The content of the choice with index 0, "" where it has none."""
        for choice in self.choices:
            if choice.index == 0:
                return choice.message.content or ""
        return ""

    def __eq__(self, other: _Object) -> bool:
        if not isinstance(other, ChatCompletion):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in _COMPARED)

    def __ne__(self, other: _Object) -> bool:
        return not self == other  # msgspec's own would compare identities


_COMPARED = tuple(name for name in ChatCompletion.__struct_fields__ if name not in {"response", "timing"})
