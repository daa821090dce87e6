"""StreamParser joins the rooms: body bytes in, chunks out, one failure parked behind the good chunks.

Owns what is handed out and the rule of completeness. Refuses to know of HTTP, connections and time.

A read is paid for once: split, decoded and parked as a list. Handing a chunk out takes it from a deque; folding
those that were handed out waits until the next read or until somebody asks for the completion.
"""

from collections import deque

from firsttoken._models.chunk import ChatCompletionChunk
from firsttoken._models.completion import ChatCompletion
from firsttoken._protocol.accumulator import Accumulator
from firsttoken._protocol.decode import ChunkDecoder, DecodeResult
from firsttoken._protocol.server_error import without_traceback
from firsttoken._protocol.sse import MAX_EVENT_BYTES, SSEDecoder
from firsttoken.errors import ChatCompletionError, ResponseFormatError, StreamTruncatedError

FOLD_AFTER = 8
"""How many chunks may lie unfolded: folding them together costs a fourth of folding each by itself."""


class StreamParser:
    """A streamed answer, from the bytes of its body.

    Never raises for what the server sent: the first thing that is wrong becomes `failure`, and `next_chunk` still
    hands out every chunk that came before it.

    Args:
        max_event_bytes: the size above which an event is a failure, in bytes.

    Attributes:
        ready: the chunks that are decoded and not handed out; `next_chunk` takes from it.
        failure: what went wrong, None where nothing has; its `partial` is filled in as chunks are handed out.
        complete: whether the answer is known to be whole, though chunks of it may still be `ready`.
    """

    def __init__(self, *, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self.ready: deque[ChatCompletionChunk] = deque()
        self.failure: ChatCompletionError | None = None
        self.complete = False
        self._failure_taken = False
        self._sse = SSEDecoder(max_event_bytes=max_event_bytes)
        self._decoder = ChunkDecoder()
        self._accumulator = Accumulator()
        self._unfolded: list[ChatCompletionChunk] = []  # those handed out since the last fold, then those ready
        self._folded_count = 0
        self._has_dropped = False

    @property
    def ended(self) -> bool:
        """Whether the outcome is known: nothing that may still come changes it."""
        return self.complete or self.failure is not None or self._failure_taken

    def take_failure(self) -> ChatCompletionError | None:
        """Give the failure away, to be raised: its traceback will refer to whoever holds this object."""
        failure, self.failure = self.failure, None
        if failure is not None:
            self._failure_taken = True
            self._attach_partial(failure)
        return failure

    @property
    def chunks_yielded(self) -> int:
        """How many chunks were handed out."""
        return self._folded_count + len(self._unfolded) - len(self.ready)

    def receive_data(self, data: bytes) -> list[ChatCompletionChunk]:
        """Take bytes of the body; park the chunks in them, and give these to whoever watches what arrives."""
        if self.ended:
            return []
        if len(self._unfolded) >= FOLD_AFTER:
            self._fold()
        payload = self._sse.match_single_event(data)
        if payload is not None:
            chunk = self._decoder.try_decode(payload)
            if chunk is not None:
                self._unfolded.append(chunk)
                self.ready.append(chunk)
                return [chunk]
        blocks = self._sse.feed(data)
        chunks = self._park(self._decoder.decode_blocks(self._sse, blocks)) if blocks else []
        if self._sse.failure is not None:
            self.fail(self._sse.failure)
        return chunks

    def receive_eof(self) -> list[ChatCompletionChunk]:
        """Take the end of the body; give the chunk that it ended, if there is one."""
        if self.ended:
            return []
        self._fold()
        decoded = self._decoder.decode_events(self._sse.receive_eof())
        if isinstance(decoded.failure, ResponseFormatError):
            decoded.failure = None  # the event has no end because the stream was cut within it
        chunks = self._park(decoded)
        if not self.ended:
            self._judge_end()
        return chunks

    def receive_body(self, decoded: DecodeResult) -> list[ChatCompletionChunk]:
        """Receive a complete answer as one chunk, or an error; return the chunk."""
        return self._park(decoded)

    def fail(self, failure: ChatCompletionError) -> None:
        """Park a failure behind the chunks that are ready, unless the outcome is known already."""
        if not self.ended:
            self.failure = without_traceback(failure)
            self._attach_partial(failure)

    def finish(self) -> None:
        """Take the answer as whole, as far as it has come, unless the outcome is known already."""
        self.complete = not self.ended

    def stop(self) -> None:
        """Hand out nothing more. May be called while another thread takes from `ready`."""
        dropped = 0
        while True:
            try:
                self.ready.pop()
            except IndexError:
                break
            dropped += 1
        if dropped:
            self._has_dropped = True
            del self._unfolded[-dropped:]

    def next_chunk(self) -> ChatCompletionChunk | None:
        """Hand out the next chunk; None where there is none: more bytes are needed, or it has `ended`."""
        try:
            return self.ready.popleft()
        except IndexError:
            if self.failure is not None:
                self._attach_partial(self.failure)
            return None

    @property
    def completion(self) -> ChatCompletion:
        """Exactly the chunks handed out, folded; its choices are [] before the first."""
        self._fold()
        completion = self._accumulator.completion
        completion.complete = self.complete and not self.ready and not self._has_dropped
        return completion

    def has_finished(self, choices: int) -> bool:
        """Whether so many choices have finished, and every one that was begun, in the chunks handed out."""
        self._fold()
        finished = self._accumulator.finished_count
        return finished >= choices and finished == self._accumulator.started_count

    def _park(self, decoded: DecodeResult) -> list[ChatCompletionChunk]:
        if decoded.has_replacements:
            self._fold()
            self._accumulator.resolve_replacements([*self.ready, *decoded.chunks])
        self._unfolded += decoded.chunks
        self.ready.extend(decoded.chunks)
        if decoded.done:
            self._judge_done()
        elif decoded.failure is not None:
            self.fail(decoded.failure)
        return decoded.chunks

    def _fold(self) -> None:
        handed_out = len(self._unfolded) - len(self.ready)
        if handed_out:
            self._accumulator.add_all(self._unfolded[:handed_out])
            self._folded_count += handed_out
            del self._unfolded[:handed_out]

    def _attach_partial(self, failure: ChatCompletionError) -> None:
        if not self.ready:
            failure.chunks_received = self.chunks_yielded
            failure.partial = self.completion if failure.chunks_received else failure.partial

    def _judge_done(self) -> None:
        if self._folded_count or self._unfolded:
            self.complete = True
        else:
            self.fail(StreamTruncatedError("the stream ended with [DONE] before any chunk"))

    def _judge_end(self) -> None:
        """The end of the body is the end of the answer where every choice that was begun has a finish reason."""
        begun, finished = self._accumulator.started, self._accumulator.finished
        for chunk in self._unfolded:
            for choice in chunk.choices:
                begun.add(choice.index)
                if choice.finish_reason:
                    finished.add(choice.index)
        if begun and begun == finished:
            self.complete = True
            return
        count = self._folded_count + len(self._unfolded)
        if begun:
            missing = ", ".join(str(index) for index in sorted(begun - finished))
            why = f"no [DONE], and no finish reason for choice {missing}"
        else:
            why = "no [DONE], and no choice was begun"
        self.fail(StreamTruncatedError(f"the stream ended after {count} chunks, before the answer did: {why}"))
