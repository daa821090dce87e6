"""Spans and metrics of OpenTelemetry's GenAI conventions, one span for each call: the extra `otel`.

    client = Client(observer=OpenTelemetryObserver())

The span is `chat {model}`, of kind CLIENT, over all attempts of a call, each of which carries the W3C trace context.
Attributes, metrics, the capture of content and its environment variables are those of `opentelemetry-util-genai`.
An answer that was stopped or truncated has the finish reason "error". Without code: `opentelemetry-instrument` observes
every client.

Source: OpenTelemetry's semantic conventions for generative AI systems, "Spans" and "Metrics".
"""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from urllib.parse import urlsplit

from firsttoken._client.config import set_default_observer
from firsttoken._client.observers import reason_of
from firsttoken._json import as_array, as_object, as_text, parse_json
from firsttoken._models.observer import Attempt, CallInfo, CallObserver, Observer
from firsttoken._version import __version__, install_hint
from firsttoken.errors import ChatCompletionError, ConfigurationError

try:
    from opentelemetry import propagate
    from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]
    from opentelemetry.util.genai.handler import TelemetryHandler
    from opentelemetry.util.genai.types import (
        Error,
        GenericPart,
        InputMessage,
        MessagePart,
        OutputMessage,
        ReasoningPart,
        TextPart,
        ToolCallRequestPart,
        ToolCallResponsePart,
    )
except ModuleNotFoundError as error:  # which opentelemetry-instrument takes for "not wanted here"
    raise ModuleNotFoundError(
        f"firsttoken.otel needs {error.name}, which is not installed; hint: {install_hint('otel')}", name=error.name
    ) from error

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider
    from opentelemetry.util.genai.invocation import InferenceInvocation

    from firsttoken._models.chunk import ChatCompletionChunk
    from firsttoken._models.completion import ChatCompletion, ChatCompletionMessage

__all__ = ["FirsttokenInstrumentor", "OpenTelemetryObserver"]

_PROVIDERS = {
    "azure.com": "azure.ai.openai",
    "deepseek.com": "deepseek",
    "groq.com": "groq",
    "mistral.ai": "mistral_ai",
    "moonshot.ai": "moonshot_ai",
    "perplexity.ai": "perplexity",
    "x.ai": "x_ai",
}
"""Well-known values of `gen_ai.provider.name`, by domain; every other server is one that speaks OpenAI's protocol."""

_RETRY_COUNT = "x-stainless-retry-count"
"""The header in which `openai`, and all that Stainless generates, says how many attempts were made before."""

_Number = TypeVar("_Number", int, float)


class OpenTelemetryObserver(Observer):
    """Observes the calls of a client, as in `Client(observer=OpenTelemetryObserver())`; may be shared by clients.

    Args:
        tracer_provider: None for the global one.
        meter_provider: None for the global one.
    """

    __slots__ = ("_handler",)

    def __init__(
        self, tracer_provider: "TracerProvider | None" = None, meter_provider: "MeterProvider | None" = None
    ) -> None:
        self._handler = TelemetryHandler(
            tracer_provider=tracer_provider,
            meter_provider=meter_provider,
            instrumentation_scope_name="firsttoken.otel",
            instrumentation_scope_version=__version__,
        )

    def call_started(self, call: CallInfo) -> CallObserver:
        """A call begins: start its span."""
        return _CallSpan(self._handler, call)


class _CallSpan(CallObserver):
    __slots__ = ("_captures_content", "_invocation")

    def __init__(self, handler: TelemetryHandler, call: CallInfo) -> None:
        url = urlsplit(call.url)
        host = url.hostname or ""
        fields = as_object(parse_json(call.body)) or {}
        invocation = self._invocation = handler.inference(
            _PROVIDERS.get(".".join(host.split(".")[-2:]), "openai"),
            request_model=as_text(fields.get("model")),
            server_address=host,
            server_port=url.port or (443 if url.scheme == "https" else 80),
        )
        invocation.suspend()  # what a reader does between chunks is not a part of the call
        invocation.request_stream = call.streamed
        _set_request(invocation, fields)
        self._captures_content = handler.should_capture_content()
        if self._captures_content:
            invocation.input_messages = [_input(message) for message in as_array(fields.get("messages")) or ()]

    def attempt_started(self, attempt: Attempt) -> None:
        """An attempt begins: give it the trace context; of a guarded client's own retry, note which it is."""
        count = attempt.headers.get(_RETRY_COUNT, "")
        if count.isdecimal() and int(count):
            self._invocation.attributes["http.request.resend_count"] = int(count)
        propagate.inject(attempt.headers, context=self._invocation.context)

    def chunks_received(self, chunks: Sequence["ChatCompletionChunk"], at: float) -> None:  # noqa: ARG002
        """Chunks were received; the time is that of the first, and the gaps are those between all."""
        for _ in chunks:
            self._invocation.record_stream_chunk()

    def call_ended(
        self,
        outcome: Literal["complete", "stopped", "failed"],
        completion: "ChatCompletion",
        error: ChatCompletionError | None,
    ) -> None:
        """The call has ended: end its span."""
        invocation = self._invocation
        _set_response(invocation, completion, is_complete=outcome == "complete")
        if self._captures_content:
            invocation.output_messages = [
                _output(choice.message, choice.finish_reason or "error") for choice in completion.choices
            ]
        if outcome != "failed":
            invocation.stop()
            return
        kind = ConfigurationError if error is None else type(error)
        # Not the message: that may quote the answer, which is for those who capture content.
        words = "the call can't be made" if error is None else reason_of(error)
        invocation.fail(Error(message=words, type=f"{kind.__module__}.{kind.__qualname__}"))


def _set_request(invocation: "InferenceInvocation", fields: dict[str, object]) -> None:
    """Note what was asked for. The fields may be of any type: a guarded client's are its own."""
    invocation.temperature = _number(fields.get("temperature"), float)
    invocation.top_p = _number(fields.get("top_p"), float)
    invocation.top_k = _number(fields.get("top_k"), int)
    invocation.frequency_penalty = _number(fields.get("frequency_penalty"), float)
    invocation.presence_penalty = _number(fields.get("presence_penalty"), float)
    invocation.max_tokens = _number(fields.get("max_completion_tokens"), int) or _number(fields.get("max_tokens"), int)
    invocation.seed = _number(fields.get("seed"), int)
    invocation.reasoning_level = as_text(fields.get("reasoning_effort"))
    stop = fields.get("stop")
    words = [word for word in as_array(stop) or [stop] if isinstance(word, str)]
    invocation.stop_sequences = words or None
    count = _number(fields.get("n"), int)
    invocation.request_choice_count = None if count == 1 else count
    kind = (as_object(fields.get("response_format")) or {}).get("type")
    invocation.output_type = "json" if kind in {"json_object", "json_schema"} else "text" if kind == "text" else None


def _number(value: object, kind: type[_Number]) -> _Number | None:
    return kind(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _set_response(invocation: "InferenceInvocation", completion: "ChatCompletion", *, is_complete: bool) -> None:
    invocation.response_id = completion.id or None
    invocation.response_model_name = completion.model or None
    reasons = [choice.finish_reason or "error" for choice in completion.choices]
    invocation.finish_reasons = reasons or (None if is_complete else ["error"])
    usage = completion.usage
    if usage is None:
        return
    invocation.input_tokens = usage.prompt_tokens
    invocation.output_tokens = usage.completion_tokens
    if usage.completion_tokens_details is not None:
        invocation.thinking_tokens = usage.completion_tokens_details.reasoning_tokens
    if usage.prompt_tokens_details is not None:
        invocation.cache_read_input_tokens = usage.prompt_tokens_details.cached_tokens


def _input(value: object) -> InputMessage:
    message = as_object(value) or {}
    role = as_text(message.get("role")) or "user"
    content = message.get("content")
    if role == "tool":
        answer = ToolCallResponsePart(id=as_text(message.get("tool_call_id")), response=content)
        return InputMessage(role=role, parts=[answer])
    parts = [_part(part) for part in as_array(content) or ([content] if content else [])]
    parts += [_tool_call(call) for call in as_array(message.get("tool_calls")) or ()]
    return InputMessage(role=role, parts=parts, name=as_text(message.get("name")))


def _part(value: object) -> MessagePart:
    """A part of a message; of an image or a sound only that it was there."""
    fields = as_object(value)
    text = value if fields is None else fields.get("text")
    kind = None if fields is None else as_text(fields.get("type"))
    return TextPart(content=text) if isinstance(text, str) else GenericPart(type=kind or "unknown")


def _tool_call(value: object) -> MessagePart:
    call = as_object(value) or {}
    function = as_object(call.get("function")) or {}
    return ToolCallRequestPart(
        id=as_text(call.get("id")), name=as_text(function.get("name")) or "", arguments=function.get("arguments")
    )


def _output(message: "ChatCompletionMessage", finish_reason: str) -> OutputMessage:
    parts: list[MessagePart] = []
    if message.reasoning_text:
        parts.append(ReasoningPart(content=message.reasoning_text))
    parts += [TextPart(content=text) for text in (message.content, message.refusal) if text]
    parts += [_tool_call(call.to_dict()) for call in message.tool_calls or ()]
    return OutputMessage(role=message.role or "assistant", parts=parts, finish_reason=finish_reason)


class FirsttokenInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """Observes every client, and every guard, that has no observer of its own.

    It is the entry point `opentelemetry_instrumentor`, for `opentelemetry-instrument`; in code:
    `FirsttokenInstrumentor().instrument(tracer_provider=…, meter_provider=…)`, and `uninstrument()`.
    """

    def instrumentation_dependencies(self) -> Collection[str]:
        """What must be installed: nothing but firsttoken itself."""
        return ()

    def _instrument(self, **kwargs: Any) -> None:
        set_default_observer(OpenTelemetryObserver(kwargs.get("tracer_provider"), kwargs.get("meter_provider")))

    def _uninstrument(self, **kwargs: Any) -> None:  # noqa: ARG002
        set_default_observer(None)
