"""`AsyncClient` in the clothes of `Client`, so that one scenario can be run through both.

The event loop runs in a thread of its own, and each blocking call waits for a coroutine there.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx2

from firsttoken import AsyncChatCompletionStream, AsyncClient, ChatCompletion, ChatCompletionChunk
from firsttoken.events import StreamEvent

_T = TypeVar("_T")


class Loop:
    """An event loop in a thread of its own; what it would only log is a failure."""

    def __init__(self) -> None:
        self.complaints: list[dict[str, Any]] = []
        self._runner = asyncio.Runner()
        self._loop = self._runner.get_loop()
        self._loop.set_exception_handler(lambda _, context: self.complaints.append(context))
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._runner.close()
        assert not self.complaints


class BlockingStream:
    """The interface of `ChatCompletionStream`, over `AsyncChatCompletionStream`."""

    def __init__(self, loop: Loop, stream: AsyncChatCompletionStream) -> None:
        self._loop = loop
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __repr__(self) -> str:
        return repr(self._stream)

    def __enter__(self) -> Self:
        self._loop.run(self._stream.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> ChatCompletionChunk:
        try:
            return self._loop.run(self._stream.__anext__())
        except StopAsyncIteration:
            raise StopIteration from None

    def iter_text(self) -> Iterator[str]:
        return self._blocking(self._stream.iter_text())

    def iter_events(self) -> Iterator[StreamEvent]:
        return self._blocking(self._stream.iter_events())

    def iter_partial(self) -> Iterator[object]:
        return self._blocking(self._stream.iter_partial())

    def _blocking(self, items: AsyncIterator[_T]) -> Iterator[_T]:
        while True:
            try:
                yield self._loop.run(items.__anext__())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
            except StopAsyncIteration:
                return

    def final_completion(self) -> ChatCompletion:
        return self._loop.run(self._stream.final_completion())

    def close(self) -> None:
        self._loop.run(self._stream.aclose())


class BlockingAsyncClient:
    """The interface of `Client`, over `AsyncClient`."""

    def __init__(self, *args: Any, make: Callable[..., AsyncClient] = AsyncClient, **options: Any) -> None:
        self._loop = Loop()
        self._http_client: httpx2.AsyncClient | None = options.get("http_client")
        try:
            self._client = make(*args, **options)
        except BaseException:
            self._loop.close()
            raise

    @classmethod
    def azure(cls, *args: Any, **options: Any) -> Self:
        return cls(*args, make=AsyncClient.azure, **options)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
        if self._http_client is not None:
            self._loop.run(self._http_client.aclose())
        self._loop.close()

    def close(self) -> None:
        self._loop.run(self._client.aclose())

    def models(self, **options: Any) -> list[str]:
        return self._loop.run(self._client.models(**options))

    def chat_completion(self, request: Any, **options: Any) -> ChatCompletion:
        return self._loop.run(self._client.chat_completion(request, **options))

    def chat_completion_stream(self, request: Any, on_chunk: Any = None, **options: Any) -> Any:
        ask: Any = self._client.chat_completion_stream
        answer = ask(request, on_chunk, **options)
        return BlockingStream(self._loop, answer) if on_chunk is None else self._loop.run(answer)
