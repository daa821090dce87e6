"""StreamParser: the bytes of a body in, chunks out, and one end that follows them.

Work is done once per read: it is split, decoded and enqueued as a list. Yielding a chunk takes it from a deque; the
yielded chunks are accumulated at a later read, or when the completion is asked for.
"""

from collections import deque

from firsttoken._json import excerpt
from firsttoken._models.chunk import ChatCompletionChunk
from firsttoken._models.completion import ChatCompletion
from firsttoken._protocol.accumulator import Accumulator
from firsttoken._protocol.completeness import COMPLETE, Completeness, End
from firsttoken._protocol.decode import ChunkDecoder, DecodeResult
from firsttoken._protocol.item_count import ItemCount
from firsttoken._protocol.retry import without_traceback
from firsttoken._protocol.sse import MAX_EVENT_BYTES, SSEDecoder
from firsttoken._protocol.text_filters import ReasoningTags, SplitPairs, StreamTags
from firsttoken.errors import ChatCompletionError, ResponseFormatError

ACCUMULATE_AFTER = 8
"""How many chunks may wait to be accumulated: in a batch each costs a fourth of what it costs alone."""


class StreamParser:
    """A streamed answer, from the bytes of its body.

    Never raises for what the server sent: the first thing that is wrong becomes `failure`, and `next_chunk` still
    yields every chunk that came before it.

    Args:
        max_event_bytes: the size above which an event is an error, in bytes.
        expected_choices: the request's `n`; None where it is not known.
        require_finish_reason: whether `[DONE]` ends an answer only after a finish reason.
        reasoning_tags: the tags between which reasoning stands in the content; None leaves the content as it is.

    Attributes:
        pending: the chunks that are decoded and not yet yielded; `next_chunk` takes from it.
        end: what follows them, as soon as it is known: the answer is complete, or it fails.
    """

    __slots__ = (
        "_accumulated_count",
        "_accumulator",
        "_completeness",
        "_decoder",
        "_has_dropped",
        "_pairs",
        "_sse",
        "_tags",
        "_unaccumulated",
        "end",
        "pending",
    )

    def __init__(
        self,
        *,
        max_event_bytes: int = MAX_EVENT_BYTES,
        expected_choices: int | None = None,
        require_finish_reason: bool = True,
        reasoning_tags: ReasoningTags | None = None,
    ) -> None:
        self.pending: deque[ChatCompletionChunk] = deque()
        self.end: End | None = None
        self._sse = SSEDecoder(max_event_bytes=max_event_bytes)
        self._decoder = ChunkDecoder()
        self._completeness = Completeness(ItemCount(), expected_choices, require_finish_reason=require_finish_reason)
        self._pairs: SplitPairs | None = None
        self._tags = None if reasoning_tags is None else StreamTags(reasoning_tags)
        self._accumulator = Accumulator()
        self._unaccumulated: list[
            ChatCompletionChunk
        ] = []  # those yielded since the last accumulation, then those pending
        self._accumulated_count = 0
        self._has_dropped = False

    @property
    def failure(self) -> ChatCompletionError | None:
        """What went wrong; None if nothing did. Its `partial` grows as chunks are yielded."""
        return self.end if isinstance(self.end, ChatCompletionError) else None

    @property
    def complete(self) -> bool:
        """Whether the answer is known to be complete, though chunks of it may still be pending."""
        return self.end is COMPLETE

    @property
    def chunks_yielded(self) -> int:
        """How many chunks were yielded."""
        return self._accumulated_count + len(self._unaccumulated) - len(self.pending)

    @property
    def may_end_in_silence(self) -> bool:
        """Whether the answer may be complete though neither `[DONE]` nor the end of the body has come."""
        return self._completeness.may_end_in_silence and self._sse.is_between_events

    def receive_data(self, data: bytes) -> list[ChatCompletionChunk]:
        """Receive bytes of the body; enqueue the chunks in them, and return these too."""
        if self.end is not None:
            return []
        if len(self._unaccumulated) >= ACCUMULATE_AFTER:
            self._accumulate()
        payload = self._sse.match_single_event(data)
        if payload is not None:
            chunk = self._decoder.try_decode(payload)
            if chunk is not None:
                chunks = [chunk]
                self._enqueue(chunks)
                return chunks
        blocks = self._sse.feed(data)
        chunks = self._receive(self._decoder.decode_blocks(self._sse, blocks)) if blocks else []
        if self._sse.failure is not None:
            self.set_end(self._sse.failure)
        return chunks

    def receive_eof(self) -> list[ChatCompletionChunk]:
        """Receive the end of the body; return the chunk that it ended, if there is one."""
        if self.end is not None:
            return []
        decoded = self._decoder.decode_events(self._sse.receive_eof())
        if isinstance(decoded.failure, ResponseFormatError):
            decoded.failure = None  # the event has no end because the stream was cut within it
        chunks = self._receive(decoded)
        if self.end is None:
            self.set_end(self._completeness.end_at_eof())
        return chunks

    def receive_body(self, decoded: DecodeResult) -> list[ChatCompletionChunk]:
        """Receive a complete answer as one chunk, or an error; return the chunk."""
        self._enqueue(decoded.chunks)
        self.set_end(decoded.failure or COMPLETE)
        return decoded.chunks

    def set_end(self, end: End) -> None:
        """Set the end that follows the pending chunks; the first one counts."""
        if self.end is None:
            self._flush()
            self.end = end
            if isinstance(end, ChatCompletionError):
                without_traceback(end)
                if not self.pending:
                    self.attach_partial(end)

    def drop_pending(self) -> None:
        """Yield nothing more. May be called while another thread takes from `pending`."""
        dropped = 0
        while True:
            try:
                self.pending.pop()
            except IndexError:
                break
            dropped += 1
        if dropped:
            self._has_dropped = True
            del self._unaccumulated[-dropped:]

    def next_chunk(self) -> ChatCompletionChunk | None:
        """The next chunk; None where there is none: more bytes are needed, or `end` is known."""
        try:
            return self.pending.popleft()
        except IndexError:
            end = self.end
            if isinstance(end, ChatCompletionError) and end.chunks_received != self.chunks_yielded:
                self.attach_partial(end)
            return None

    @property
    def completion(self) -> ChatCompletion:
        """Exactly the chunks yielded, accumulated; `choices` is [] before the first."""
        self._accumulate()
        completion = self._accumulator.completion
        completion.complete = self.complete and not self.pending and not self._has_dropped
        return completion

    def attach_partial(self, error: ChatCompletionError) -> None:
        """Attach to an error the chunks that were yielded before it."""
        error.chunks_received = self.chunks_yielded
        error.partial = self.completion if error.chunks_received else error.partial

    def _receive(self, decoded: DecodeResult) -> list[ChatCompletionChunk]:
        chunks = decoded.chunks
        if decoded.has_halves and self._pairs is None:
            self._pairs = SplitPairs()
        self._enqueue(chunks)
        if decoded.has_replacements:
            self._accumulate()
            self._accumulator.resolve_replacements([*self.pending])
        if decoded.done:
            self.set_end(self._completeness.end_at_done(self._has_audio))
        elif decoded.failure is not None:
            self.set_end(decoded.failure)
        return chunks

    def _enqueue(self, chunks: list[ChatCompletionChunk]) -> None:
        """Enqueue chunks; the first one with too many items, and all after it, are dropped, and the stream fails."""
        accepted = self._completeness.add(chunks)
        refused = None if accepted is None else chunks[accepted]
        if refused is not None:
            del chunks[accepted:]
        if self._pairs is not None:
            self._pairs.apply(chunks)
        if self._tags is not None:
            self._tags.apply(chunks)
        self._unaccumulated += chunks
        self.pending.extend(chunks)
        if refused is not None:
            self.set_end(ResponseFormatError(f"{self._completeness.excess}: {excerpt(refused.raw)}"))

    def _flush(self) -> None:
        """Enqueue what waited for the rest of a character or of a tag that will not come."""
        for waiting in (self._pairs, self._tags):
            choices = None if waiting is None else waiting.flush()
            if choices:
                self._accumulate()
                head = self._unaccumulated[-1] if self._unaccumulated else self._accumulator.completion
                chunk = ChatCompletionChunk(id=head.id, created=head.created, model=head.model, choices=choices)
                self._unaccumulated.append(chunk)
                self.pending.append(chunk)

    def _accumulate(self) -> None:
        """Accumulate what was yielded. Chunks are taken out first: an interrupted call must not add one twice."""
        yielded = self._unaccumulated[: len(self._unaccumulated) - len(self.pending)]
        if yielded:
            del self._unaccumulated[: len(yielded)]
            self._accumulated_count += len(yielded)
            self._accumulator.add_all(yielded)

    def _has_audio(self) -> bool:
        if any(choice.delta.audio is not None for chunk in self.pending for choice in chunk.choices):
            return True
        self._accumulate()
        return any(choice.message.audio is not None for choice in self._accumulator.completion.choices)
