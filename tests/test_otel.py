"""firsttoken.otel: the one span of a call, its metrics, and what is instrumented without code."""

import asyncio
import gc
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.util.genai.handler import TelemetryHandler
from pytest_genai_semconv.assertions import assert_chat_span

from firsttoken import (
    AsyncChatCompletionStream,
    AsyncClient,
    Client,
    Timeout,
    assistant_message,
    tool_message,
    user_message,
)
from firsttoken.errors import ChatCompletionError, ConfigurationError
from firsttoken.guard import AsyncGuardTransport, GuardTransport
from firsttoken.otel import FirsttokenInstrumentor, OpenTelemetryObserver
from firsttoken.testing import ScriptedServer, close, done, error, finish, role, stall, tool_call, usage
from firsttoken.types import CallInfo, Observer

WHOLE = [role(), "It scat", "ters.", finish(), usage(9, 4), done()]
HALF = [role(), "It scat", stall()]
TIMEOUT = Timeout(first_chunk_s=20, idle_s=20)
QUESTION = "Why is the sky blue?"


class Telemetry:
    """Where spans and metrics go, and an observer that sends them there."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.reader = InMemoryMetricReader()
        self.tracer_provider = TracerProvider()
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.meter_provider = MeterProvider([self.reader])
        self.observer = OpenTelemetryObserver(self.tracer_provider, self.meter_provider)

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self._exporter.get_finished_spans()

    def counts(self) -> dict[str, int]:
        """How many measurements each metric has."""
        data = self.reader.get_metrics_data()
        metrics: Any = () if data is None else data.resource_metrics[0].scope_metrics[0].metrics
        return {metric.name: sum(point.count for point in metric.data.data_points) for metric in metrics}


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    made = Telemetry()
    yield made
    made.meter_provider.shutdown()


def span_of(telemetry: Telemetry) -> tuple[ReadableSpan, dict[str, Any]]:
    (span,) = telemetry.spans
    assert_chat_span(span, request_model="m")
    assert (span.name, span.kind, span.end_time is not None) == ("chat m", SpanKind.CLIENT, True)
    return span, dict(span.attributes or {})


MESSAGES: list[ChatCompletionMessageParam] = [{"role": "user", "content": QUESTION}]

Leave = Literal["not", "break", "close", "garbage", "cancel"]
"""How the reader leaves the stream at the first text; by "garbage" it stays in a reference cycle."""


def leave(stream: Any, how: Leave) -> None:
    if how == "close":
        stream.close()
    elif how == "garbage":
        cycle = [stream]
        cycle.append(cycle)


async def aleave(stream: Any, how: Leave) -> None:
    if how == "close":
        await (stream.aclose if isinstance(stream, AsyncChatCompletionStream) else stream.close)()
    elif how == "cancel":
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)
    else:
        leave(stream, how)


def by_client(server: ScriptedServer, how: Leave, observer: Observer) -> None:
    with Client(server.api_key, server.base_url, timeout=TIMEOUT, observer=observer) as client:
        stream = client.chat_completion_stream("m", MESSAGES)
        for chunk in stream:
            if chunk.text and how != "not":
                leave(stream, how)
                break


def by_async_client(server: ScriptedServer, how: Leave, observer: Observer) -> None:
    async def run() -> None:
        async with AsyncClient(server.api_key, server.base_url, timeout=TIMEOUT, observer=observer) as client:
            stream = client.chat_completion_stream("m", MESSAGES)
            async for chunk in stream:
                if chunk.text and how != "not":
                    await aleave(stream, how)
                    break

    asyncio.run(run())


def by_guard(server: ScriptedServer, how: Leave, observer: Observer) -> None:
    http_client = openai.DefaultHttpx2Client(transport=GuardTransport(timeout=TIMEOUT, observer=observer))
    with openai.OpenAI(api_key=server.api_key, base_url=server.base_url, http_client=http_client) as client:
        stream = client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
        for chunk in stream:
            if how != "not" and chunk.choices[0].delta.content:
                leave(stream, how)
                break


def by_async_guard(server: ScriptedServer, how: Leave, observer: Observer) -> None:
    async def run() -> None:
        http_client = openai.DefaultAsyncHttpx2Client(transport=AsyncGuardTransport(timeout=TIMEOUT, observer=observer))
        async with openai.AsyncOpenAI(
            api_key=server.api_key, base_url=server.base_url, http_client=http_client
        ) as client:
            stream = await client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
            async for chunk in stream:
                if how != "not" and chunk.choices[0].delta.content:
                    await aleave(stream, how)
                    break

    asyncio.run(run())


Driver = Callable[[ScriptedServer, Leave, Observer], None]
DRIVERS = [by_client, by_async_client, by_guard, by_async_guard]
every_way = pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: driver.__name__)


@every_way
def test_a_complete_answer_is_one_span_with_all_that_is_known(driver: Driver, telemetry: Telemetry) -> None:
    with ScriptedServer(WHOLE) as server:
        driver(server, "not", telemetry.observer)
        port, sent = server.port, server.journal.entries[0].request
    span, attributes = span_of(telemetry)
    first_chunk_s = attributes.pop("gen_ai.response.time_to_first_chunk")
    assert 0 < first_chunk_s < 20
    assert attributes.pop("gen_ai.response.id")
    assert attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "m",
        "gen_ai.request.stream": True,
        "gen_ai.response.model": "m",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 9,
        "gen_ai.usage.output_tokens": 4,
        "server.address": "127.0.0.1",
        "server.port": port,
    }
    assert span.status.status_code is StatusCode.UNSET
    assert span.context is not None
    assert sent.headers["traceparent"] == f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-03"
    assert telemetry.counts() == {
        "gen_ai.client.operation.duration": 1,
        "gen_ai.client.operation.time_to_first_chunk": 1,
        "gen_ai.client.operation.time_per_output_chunk": 4,
        "gen_ai.client.token.usage": 2,
    }


@pytest.mark.parametrize("how", ["break", "close", "garbage"])
@every_way
def test_an_answer_that_was_left_is_one_span(driver: Driver, how: Leave, telemetry: Telemetry) -> None:
    with ScriptedServer(HALF) as server:
        driver(server, how, telemetry.observer)
        gc.collect()
        check_left(telemetry)


@pytest.mark.parametrize("driver", [by_async_client, by_async_guard])
def test_an_answer_whose_task_was_cancelled_is_one_span(driver: Driver, telemetry: Telemetry) -> None:
    with ScriptedServer(HALF) as server:
        with pytest.raises(asyncio.CancelledError):
            driver(server, "cancel", telemetry.observer)
        gc.collect()
        check_left(telemetry)


def check_left(telemetry: Telemetry) -> None:
    span, attributes = span_of(telemetry)
    assert attributes["gen_ai.response.finish_reasons"] == ("error",)
    assert "error.type" not in attributes
    assert span.status.status_code is StatusCode.UNSET


@every_way
def test_a_truncated_answer_is_one_span_with_its_error(driver: Driver, telemetry: Telemetry) -> None:
    with ScriptedServer([role(), "It scat", close()]) as server, pytest.raises((ChatCompletionError, openai.APIError)):
        driver(server, "not", telemetry.observer)
    span, attributes = span_of(telemetry)
    assert attributes["gen_ai.response.finish_reasons"] == ("error",)
    assert attributes["error.type"] == "firsttoken.errors.StreamTruncatedError"
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description == "StreamTruncatedError"


@every_way
def test_a_refused_call_is_one_span(driver: Driver, telemetry: Telemetry) -> None:
    with (
        ScriptedServer(error(401, "no such key", code="invalid_api_key")) as server,
        pytest.raises((ChatCompletionError, openai.APIError)),
    ):
        driver(server, "not", telemetry.observer)
    span, attributes = span_of(telemetry)
    assert attributes["error.type"] == "firsttoken.errors.AuthenticationError"
    assert attributes["gen_ai.response.finish_reasons"] == ("error",)
    assert span.status.description == "AuthenticationError 401 invalid_api_key"


@pytest.mark.parametrize("driver", [by_client, by_async_client])
def test_a_retried_call_is_one_span_over_all_attempts(driver: Driver, telemetry: Telemetry) -> None:
    with ScriptedServer(error(429, headers={"retry-after-ms": "1"}), WHOLE) as server:
        driver(server, "not", telemetry.observer)
        contexts = [entry.request.headers["traceparent"] for entry in server.journal.entries]
    span, attributes = span_of(telemetry)
    assert span.context is not None
    assert contexts == [f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-03"] * 2
    assert attributes["gen_ai.response.finish_reasons"] == ("stop",)
    assert span.status.status_code is StatusCode.UNSET


def test_retries_under_the_guard_are_the_clients_own_and_a_span_each(telemetry: Telemetry) -> None:
    with ScriptedServer(error(429, headers={"retry-after-ms": "1"}), WHOLE) as server:
        by_guard(server, "not", telemetry.observer)
    assert [span.status.status_code for span in telemetry.spans] == [StatusCode.ERROR, StatusCode.UNSET]
    counts = [(span.attributes or {}).get("http.request.resend_count") for span in telemetry.spans]
    assert counts == [None, 1]


def test_a_blocking_call_is_not_streamed(telemetry: Telemetry) -> None:
    with ScriptedServer(WHOLE) as server, Client("sk-x", server.base_url, observer=telemetry.observer) as client:
        client.chat_completion(
            "m",
            QUESTION,
            temperature=0,
            max_completion_tokens=40,
            stop="END",
            seed=7,
            response_format={"type": "json_object"},
            reasoning_effort="low",
        )
    _, attributes = span_of(telemetry)
    assert attributes["gen_ai.request.stream"] is False
    asked = {name: value for name, value in attributes.items() if name.startswith("gen_ai.request.")}
    assert asked | {"gen_ai.output.type": attributes["gen_ai.output.type"]} == {
        "gen_ai.request.model": "m",
        "gen_ai.request.stream": False,
        "gen_ai.request.temperature": 0.0,
        "gen_ai.request.max_tokens": 40,
        "gen_ai.request.stop_sequences": ("END",),
        "gen_ai.request.seed": 7,
        "gen_ai.request.reasoning.level": "low",
        "gen_ai.output.type": "json",
    }


CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"


def test_content_is_captured_only_where_it_is_wanted(telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch) -> None:
    call = tool_call("weather", '{"city": "Paris"}', call_id="call_2")
    script = [role(), "Let me see.", call, finish("tool_calls"), done()]
    asked = [
        user_message("Rain?"),
        assistant_message(
            tool_calls=[{"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}]
        ),
        tool_message("no city", "call_1"),
    ]
    with ScriptedServer(script) as server:
        with Client("sk-x", server.base_url, observer=telemetry.observer) as client:
            client.chat_completion_stream("m", asked).final_completion()
        monkeypatch.setenv(CONTENT, "SPAN_ONLY")
        seeing = OpenTelemetryObserver(telemetry.tracer_provider, telemetry.meter_provider)
        with Client("sk-x", server.base_url, observer=seeing) as client:
            client.chat_completion_stream("m", asked).final_completion()
    without, captured = (dict(span.attributes or {}) for span in telemetry.spans)
    assert "gen_ai.input.messages" not in without
    assert "gen_ai.output.messages" not in without
    question, call, answer = json.loads(str(captured["gen_ai.input.messages"]))
    assert question["parts"] == [{"content": "Rain?", "type": "text"}]
    assert call["parts"] == [{"arguments": "{}", "name": "weather", "id": "call_1", "type": "tool_call"}]
    assert answer["parts"] == [{"response": "no city", "id": "call_1", "type": "tool_call_response"}]
    (output,) = json.loads(str(captured["gen_ai.output.messages"]))
    assert output["finish_reason"] == "tool_calls"
    assert [part["type"] for part in output["parts"]] == ["text", "tool_call"]


def test_what_cannot_be_sent_is_a_span_with_an_error(telemetry: Telemetry) -> None:
    def no_token() -> str:
        return "not a\ntoken"

    with (
        Client(no_token, "http://127.0.0.1:9/v1", observer=telemetry.observer) as client,
        pytest.raises(ConfigurationError),
    ):
        client.chat_completion("m", QUESTION)
    _, attributes = span_of(telemetry)
    assert attributes["error.type"] == "firsttoken.errors.ConfigurationError"


def test_a_call_inside_a_frameworks_own_span_adds_none(telemetry: Telemetry) -> None:
    """As the conventions want it: the outer instrumentation of the same inference gets what was learned."""
    handler = TelemetryHandler(telemetry.tracer_provider, telemetry.meter_provider)
    with (
        ScriptedServer(WHOLE) as server,
        Client("sk-x", server.base_url, observer=telemetry.observer) as client,
        handler.inference("openai", request_model="m"),
    ):
        client.chat_completion_stream("m", QUESTION).final_completion()
    _, attributes = span_of(telemetry)
    assert attributes["gen_ai.usage.output_tokens"] == 4


def test_the_span_is_not_the_current_one_of_whoever_reads(telemetry: Telemetry) -> None:
    tracer = telemetry.tracer_provider.get_tracer("app")
    with (
        ScriptedServer(WHOLE) as server,
        Client("sk-x", server.base_url, observer=telemetry.observer) as client,
        tracer.start_as_current_span("app") as outer,
    ):
        for _ in client.chat_completion_stream("m", QUESTION):
            with tracer.start_as_current_span("chunk"):
                pass
    chat = next(span for span in telemetry.spans if span.name == "chat m")
    parents = {span.parent.span_id for span in telemetry.spans if span.parent is not None}
    assert chat.parent is not None
    assert parents == {outer.get_span_context().span_id}


@pytest.fixture
def instrumentor(telemetry: Telemetry) -> Iterator[BaseInstrumentor]:
    made = FirsttokenInstrumentor()
    made.instrument(tracer_provider=telemetry.tracer_provider, meter_provider=telemetry.meter_provider)
    yield made
    made.uninstrument()


class _Deaf(Observer):
    def call_started(self, call: CallInfo) -> None:
        return None


@pytest.mark.usefixtures("instrumentor")
def test_instrumented_clients_and_guards_are_observed(telemetry: Telemetry) -> None:
    with ScriptedServer(WHOLE) as server, Client("sk-x", server.base_url) as client:
        client.chat_completion("m", QUESTION)
        http_client = openai.DefaultHttpx2Client(transport=GuardTransport())
        with openai.OpenAI(api_key="sk-x", base_url=server.base_url, http_client=http_client) as guarded:
            list(guarded.chat.completions.create(model="m", messages=MESSAGES, stream=True))
        with Client("sk-x", server.base_url, observer=_Deaf()) as client:
            client.chat_completion("m", QUESTION)
    assert [span.name for span in telemetry.spans] == ["chat m"] * 2


def test_uninstrumented_clients_are_observed_no_longer(instrumentor: BaseInstrumentor, telemetry: Telemetry) -> None:
    with ScriptedServer(WHOLE) as server, Client("sk-x", server.base_url) as client:
        client.chat_completion("m", QUESTION)
        instrumentor.uninstrument()
        client.chat_completion("m", QUESTION)
        instrumentor.instrument()
    assert len(telemetry.spans) == 1


def test_a_script_is_instrumented_without_code() -> None:
    code = "from firsttoken import Client; print(Client('sk-x').chat_completion('m', 'Hi').text)"
    with ScriptedServer("Hello") as server:
        finished = subprocess.run(
            [Path(sys.executable).with_name("opentelemetry-instrument"), sys.executable, "-c", code],
            env=os.environ | {"OPENAI_BASE_URL": server.base_url, "OTEL_PYTHON_TRACER_PROVIDER": "sdk_tracer_provider"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        headers = [entry.request.headers for entry in server.journal.entries]
    assert (finished.stdout, len(headers)) == ("Hello\n", 1), finished.stderr
    assert "traceparent" in headers[0]


def test_the_import_says_what_is_missing() -> None:
    code = "import sys; sys.modules['opentelemetry.util.genai.handler'] = None; import firsttoken.otel"
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert finished.stderr.splitlines()[-1] == (
        "ModuleNotFoundError: firsttoken.otel needs opentelemetry.util.genai.handler, which is not installed; "
        "hint: in a clone of firsttoken: pip install '.[otel]'"
    )
