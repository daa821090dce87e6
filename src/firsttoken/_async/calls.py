"""The methods of the asyncio client that call a server."""

import inspect
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Unpack, cast, overload

from firsttoken._async.driver import Call
from firsttoken._async.pool import ConnectionPool
from firsttoken._async.stream import AsyncChatCompletionStream
from firsttoken._client.config import CopyableClient
from firsttoken._client.prepared import as_request, callback_in
from firsttoken._client.stream import STOP
from firsttoken._models.chunk import ChatCompletionChunk
from firsttoken._models.completion import ChatCompletion
from firsttoken._models.request import (
    ChatCompletionRequest,
    JSONObject,
    Messages,
    RequestFields,
    StreamOptions,
    Timeout,
    Tool,
)

OnChunk = Callable[[ChatCompletionChunk], object] | Callable[[ChatCompletionChunk], Awaitable[object]]


class AsyncCalls(CopyableClient):
    """The methods of a client that call a server; how it is made and closed is in `client`."""

    _pool: ConnectionPool

    async def models(
        self,
        *,
        timeout: Timeout | None = None,
        max_retries: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> list[str]:
        """List the ids of the server's models, in its order: `GET /models`.

        Neither the limiter nor the observer sees it.

        Args:
            timeout: for this call; `response_s` bounds the response.
            max_retries: for this call.
            headers: for this call, over the client's own.

        Raises:
            ChatCompletionError: the call failed; its class says why. `NotFoundError` means a server without a list.
            ConfigurationError: the call can't be made.
        """
        try:
            prepared = self._config.prepare_models(timeout=timeout, max_retries=max_retries, headers=headers)
        finally:
            del headers  # crash reporters show the variables of a frame
        call = Call(self._pool, prepared)
        try:
            await call.wait()
            return call.machine.models
        finally:
            call.close()

    @overload
    async def chat_completion(
        self,
        request: ChatCompletionRequest,
        *,
        timeout: Timeout | None = None,
        max_retries: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> ChatCompletion: ...
    @overload
    async def chat_completion(
        self,
        model: str,
        messages: Messages,
        *,
        timeout: Timeout | None = None,
        max_retries: int | None = None,
        headers: Mapping[str, str] | None = None,
        audio: JSONObject | None = None,
        frequency_penalty: float | None = None,
        function_call: str | JSONObject | None = None,
        functions: Sequence[JSONObject] | None = None,
        logit_bias: Mapping[str, float] | None = None,
        logprobs: bool | None = None,
        max_completion_tokens: int | None = None,
        max_tokens: int | None = None,
        metadata: Mapping[str, str] | None = None,
        modalities: Sequence[str] | None = None,
        moderation: JSONObject | None = None,
        n: int | None = None,
        parallel_tool_calls: bool | None = None,
        prediction: JSONObject | None = None,
        presence_penalty: float | None = None,
        prompt_cache_key: str | None = None,
        prompt_cache_options: JSONObject | None = None,
        prompt_cache_retention: str | None = None,
        reasoning_effort: str | None = None,
        response_format: type[object] | JSONObject | None = None,
        safety_identifier: str | None = None,
        seed: int | None = None,
        service_tier: str | None = None,
        stop: str | Sequence[str] | None = None,
        store: bool | None = None,
        stream: bool | None = None,
        stream_options: StreamOptions | JSONObject | None = None,
        temperature: float | None = None,
        tool_choice: str | JSONObject | None = None,
        tools: Sequence[Tool] | None = None,
        top_logprobs: int | None = None,
        top_p: float | None = None,
        user: str | None = None,
        verbosity: str | None = None,
        web_search_options: JSONObject | None = None,
        extra: dict[str, object] | None = None,
    ) -> ChatCompletion: ...
    async def chat_completion(  # type: ignore[misc] # pyright: ignore[reportInconsistentOverload]
        self,
        request: ChatCompletionRequest | str | None = None,
        messages: Messages | None = None,
        *,
        timeout: Timeout | None = None,
        max_retries: int | None = None,
        headers: Mapping[str, str] | None = None,
        **fields: object,
    ) -> ChatCompletion:
        """Send a request and return the completion.

        Args:
            request: what to send; or the model, followed by the messages.
            messages: where a model was given: the conversation, or a `str`, which is one user message.
            timeout: for this call; `response_s` bounds the response.
            max_retries: for this call.
            headers: for this call, over the client's own.
            **fields: where a model was given: any other field of `ChatCompletionRequest`.

        Raises:
            ChatCompletionError: the call failed; its class says why.
            ConfigurationError: the call can't be made, or `request.stream` is True.
        """
        try:
            prepared = self._config.prepare(
                as_request(request, messages, fields),
                streamed=False,
                timeout=timeout,
                max_retries=max_retries,
                headers=headers,
            )
        finally:
            del headers  # crash reporters show the variables of a frame
        call = Call(self._pool, prepared)
        try:
            await call.wait()
            return call.machine.completion
        finally:
            call.close()

    @overload
    def chat_completion_stream(
        self,
        request: ChatCompletionRequest,
        on_chunk: None = None,
        *,
        timeout: Timeout | None = None,
        max_retries: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncChatCompletionStream: ...

    @overload
    def chat_completion_stream(
        self,
        request: ChatCompletionRequest,
        on_chunk: OnChunk,
        *,
        timeout: Timeout | None = None,
        max_retries: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Coroutine[object, object, ChatCompletion]: ...

    @overload
    def chat_completion_stream(
        self,
        model: str,
        messages: Messages,
        *,
        on_chunk: None = None,
        timeout: Timeout | None = None,
        max_retries: int | None = None,
        headers: Mapping[str, str] | None = None,
        audio: JSONObject | None = None,
        frequency_penalty: float | None = None,
        function_call: str | JSONObject | None = None,
        functions: Sequence[JSONObject] | None = None,
        logit_bias: Mapping[str, float] | None = None,
        logprobs: bool | None = None,
        max_completion_tokens: int | None = None,
        max_tokens: int | None = None,
        metadata: Mapping[str, str] | None = None,
        modalities: Sequence[str] | None = None,
        moderation: JSONObject | None = None,
        n: int | None = None,
        parallel_tool_calls: bool | None = None,
        prediction: JSONObject | None = None,
        presence_penalty: float | None = None,
        prompt_cache_key: str | None = None,
        prompt_cache_options: JSONObject | None = None,
        prompt_cache_retention: str | None = None,
        reasoning_effort: str | None = None,
        response_format: type[object] | JSONObject | None = None,
        safety_identifier: str | None = None,
        seed: int | None = None,
        service_tier: str | None = None,
        stop: str | Sequence[str] | None = None,
        store: bool | None = None,
        stream: bool | None = None,
        stream_options: StreamOptions | JSONObject | None = None,
        temperature: float | None = None,
        tool_choice: str | JSONObject | None = None,
        tools: Sequence[Tool] | None = None,
        top_logprobs: int | None = None,
        top_p: float | None = None,
        user: str | None = None,
        verbosity: str | None = None,
        web_search_options: JSONObject | None = None,
        extra: dict[str, object] | None = None,
    ) -> AsyncChatCompletionStream: ...

    @overload
    def chat_completion_stream(
        self,
        model: str,
        messages: Messages,
        *,
        on_chunk: OnChunk,
        timeout: Timeout | None = None,
        max_retries: int | None = None,
        headers: Mapping[str, str] | None = None,
        **fields: Unpack[RequestFields],
    ) -> Coroutine[object, object, ChatCompletion]: ...

    def chat_completion_stream(  # type: ignore[misc] # pyright: ignore[reportInconsistentOverload]
        self,
        request: ChatCompletionRequest | str | None = None,
        messages: Messages | OnChunk | None = None,
        *,
        on_chunk: OnChunk | None = None,
        timeout: Timeout | None = None,
        max_retries: int | None = None,
        headers: Mapping[str, str] | None = None,
        **fields: object,
    ) -> AsyncChatCompletionStream | Coroutine[object, object, ChatCompletion]:
        """Send a request and stream the response, whether or not `request.stream` is set.

        Args:
            request: what to send; or the model, followed by the messages.
            messages: where a model was given: the conversation, or a `str`, which is one user message.
            on_chunk: called with each chunk, and awaited where it returns something to await; beside a request also the
                second argument. If it returns `STOP`, the stream ends early. What it raises propagates, after the
                connection is closed.
            timeout: for this call.
            max_retries: for this call.
            headers: for this call, over the client's own.
            **fields: where a model was given: any other field of `ChatCompletionRequest`.

        Returns:
            Without `on_chunk` the stream, which sends nothing before it is iterated over, entered or awaited. With it,
            to be awaited: when the answer has ended, the completion of the chunks that `on_chunk` was called with.

        Raises:
            ChatCompletionError: with `on_chunk`: the answer failed; `partial` holds what came. Without, the stream
                raises it.
            ConfigurationError: the call can't be made.
        """
        given, callback = callback_in(request, messages, on_chunk)
        try:
            prepared = self._config.prepare(
                as_request(request, given, fields),
                streamed=True,
                timeout=timeout,
                max_retries=max_retries,
                headers=headers,
            )
        finally:
            del headers  # crash reporters show the variables of a frame
        stream = AsyncChatCompletionStream(self._pool, prepared)
        return stream if callback is None else _call_back(stream, cast("OnChunk", callback))


async def _call_back(stream: AsyncChatCompletionStream, on_chunk: OnChunk) -> ChatCompletion:
    async with stream:
        async for chunk in stream:
            result = on_chunk(chunk)
            if inspect.isawaitable(result):
                result = await result
            if result is STOP:
                break
    return stream.completion
