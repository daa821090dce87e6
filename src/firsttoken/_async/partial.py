"""The growing value of a streamed answer that is JSON."""

from typing import Self

from firsttoken._async.stream import AsyncChatCompletionStream
from firsttoken._partial import PartialBase
from firsttoken.errors import ChatCompletionError


class PartialIterator(PartialBase[AsyncChatCompletionStream]):
    """The values of choice 0's content. A class, not a generator: dropping it drops the stream at once."""

    __slots__ = ()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> object:
        stream = self._stream
        if self._has_failed:
            self._has_failed = False
            raise stream._not_whole()
        while True:
            self._catch_up()
            try:
                chunk = await anext(stream)
            except StopAsyncIteration:
                if self._update(is_whole=stream.state == "complete"):
                    return self._json.value
                raise
            except ChatCompletionError:
                self._has_failed = self._update()
                if self._has_failed:
                    return self._json.value
                raise
            if self._take(chunk):
                return self._json.value
