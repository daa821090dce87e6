"""What chunks say of an answer: whether they bring a token or other progress, and when the answer is complete.

A finish reason is what counts. `[DONE]` alone is not enough: llama-cpp-python's server interrupts a running answer for
a new request with a bare `[DONE]`. The end of the body is not enough either, since it is also how a proxy gives up.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, Literal

from firsttoken._models.base import MAX_INDEX, index_excess
from firsttoken._models.chunk import ChatCompletionChunk, ChoiceDelta, ToolCallDelta
from firsttoken._models.tables import finish_class, has_kept_part
from firsttoken.errors import ChatCompletionError, StreamTruncatedError

if TYPE_CHECKING:
    from firsttoken._protocol.item_count import ItemCount

COMPLETE: Final = "complete"
End = Literal["complete"] | ChatCompletionError
"""How an answer ends: complete, or with an error."""

_NO_FINISH_REASON_HINT = "for a server that never sends a finish_reason, pass require_finish_reason=False to the client"


class Completeness:
    """What the chunks received so far say about the end of the answer.

    Args:
        items: counts the tool calls and parts that are opened.
        expected_choices: the request's `n`; None where it is not known. Where it is 1, choices that come one after
            the other are one choice: some servers number an answer's pieces. After a finish reason that holds only
            where each chunk has a number of its own, or brings nothing: else a server sends more than was asked for.
        require_finish_reason: whether `[DONE]` ends an answer only after a finish reason.

    Attributes:
        excess: which bound was exceeded; "" if none was.
    """

    __slots__ = (
        "_are_several",
        "_begun",
        "_count",
        "_expected",
        "_finished",
        "_goes_on",
        "_items",
        "_last_index",
        "_late",
        "_require_finish_reason",
        "_seen",
        "_without_choices",
        "excess",
    )

    def __init__(
        self, items: "ItemCount", expected_choices: int | None = None, *, require_finish_reason: bool = True
    ) -> None:
        self._expected = expected_choices
        self._require_finish_reason = require_finish_reason
        self._count = 0
        self._seen: set[int] = set()
        self._finished: set[int] = set()
        self._late: set[int] = set()  # those that began after another one had finished
        self._are_several = False
        self._last_index = 0
        self._begun = 0  # how many numbers were new
        self._without_choices = 0  # how many chunks had none
        self._goes_on = False  # something other than usage followed a finish reason
        self.excess = ""
        self._items = items

    def add(self, chunks: Iterable[ChatCompletionChunk]) -> int | None:
        """Note what chunks say; the pieces of the only choice all get index 0, where a server numbers them.

        Returns:
            How many chunks precede the one with too many items; None if none has too many.
        """
        seen, finished = self._seen, self._finished
        is_under_way = self._is_only_choice_under_way()
        for position, chunk in enumerate(chunks):
            self._count += 1
            choices = chunk.choices
            if is_under_way and len(choices) == 1:  # nearly every chunk, and nothing in it that is not known
                choice = choices[0]
                delta = choice.delta
                if not (
                    choice.index
                    or choice.finish_reason
                    or delta.tool_calls is not None
                    or delta.reasoning_details is not None
                    or delta.content_parts is not None
                    or delta.extra
                ):
                    continue
            if not choices:
                self._without_choices += 1
                self._goes_on = self._goes_on or (bool(finished) and chunk.usage is None)
            elif len(choices) > 1:
                self._are_several = True
            for choice in choices:
                index = choice.index
                if index < self._last_index:
                    self._are_several = True
                self._last_index = index
                if finished and (index in finished or self._expected == 1):
                    self._goes_on = True
                if index > MAX_INDEX or index not in seen:
                    self._begin(index, chunk)
                if index and self._is_one() and index not in self._late:
                    choice.index = 0
                if choice.finish_reason and finish_class(choice.finish_reason) != "none":
                    finished.add(_number(index))
                delta = choice.delta
                if (
                    delta.tool_calls is not None
                    or delta.reasoning_details is not None
                    or delta.content_parts is not None
                    or delta.extra
                ):
                    self._items.add(choice.index, delta)
                    self.excess = self.excess or self._items.excess
                if self.excess:
                    return position
            is_under_way = self._is_only_choice_under_way()
        return None

    def _is_only_choice_under_way(self) -> bool:
        """Whether more text of choice 0 changes nothing."""
        return self._last_index == 0 and 0 in self._seen and not self._finished

    def _begin(self, index: int, chunk: ChatCompletionChunk) -> None:
        """Note a number that is new: of a piece, or of another choice."""
        is_one, is_numbered = self._is_one(), self._begun == self._count - 1 - self._without_choices
        self._begun += 1
        if is_one and self._finished and not is_numbered:
            if not has_content(chunk):
                return
            self._late.add(_number(index))
            is_one = False
        if index > MAX_INDEX and not is_one:
            self.excess = index_excess(index, 0)
        self._seen.add(_number(index))

    def _is_one(self) -> bool:
        """Whether the choices seen are pieces of the only one."""
        return self._expected == 1 and not self._are_several

    @property
    def may_end_in_silence(self) -> bool:
        """Whether silence may end the answer: every choice has finished, and only usage has followed."""
        return bool(self._finished) and not self._goes_on and self._have_all_finished()

    def end_at_done(self, has_audio: Callable[[], bool]) -> End:
        """What `[DONE]` means now.

        Args:
            has_audio: whether a choice has brought audio, which OpenAI ends without a finish reason.
        """
        if self._finished or (self._seen and (not self._require_finish_reason or has_audio())):
            return COMPLETE
        if not self._seen:
            return self._truncated("[DONE] but no choices received")
        return self._truncated(f"[DONE] but no finish_reason for {self._named(self._seen)}", _NO_FINISH_REASON_HINT)

    def end_at_eof(self) -> End:
        """What the end of the body means now."""
        unfinished = self._unfinished()
        if self._finished and not unfinished:
            return COMPLETE
        if not self._seen:
            return self._truncated("no [DONE] and no choices received")
        return self._truncated(f"no [DONE] and no finish_reason for {self._named(unfinished)}")

    def _have_all_finished(self) -> bool:
        """Whether `_unfinished` is empty; it runs for each read, so it does not look at the choices."""
        if self._is_one():
            return not self._late or self._late <= self._finished
        return len(self._finished) == len(self._seen) and self._finished.issuperset(range(self._expected or 0))

    def _unfinished(self) -> set[int]:
        if self._is_one():
            return self._late - self._finished if self._finished else self._seen
        return (self._seen | set(range(self._expected or 0))) - self._finished

    def _named(self, indexes: set[int]) -> str:
        shown = sorted(indexes)
        more = len(shown) - _MAX_SHOWN
        words = ", ".join(map(str, shown[:_MAX_SHOWN])) + (f" and {more} more" if more > 0 else "")
        return f"choice{'s' if len(shown) > 1 else ''} {words}"

    def _truncated(self, why: str, hint: str | None = None) -> StreamTruncatedError:
        chunks = f"{self._count} chunk{'' if self._count == 1 else 's'}"
        return StreamTruncatedError(f"stream truncated after {chunks}: {why}", hint=hint)


_MAX_SHOWN = 8


def _number(index: int) -> int:
    """What is remembered of an index, as a key of a set: not one that a server could choose at will."""
    return index if index <= MAX_INDEX else 0


def is_progress(chunk: ChatCompletionChunk) -> bool:
    """Whether a chunk has content, reasoning, refusal, a tool call, audio or an image, a finish reason, or usage."""
    if chunk.usage is not None:
        return True
    for choice in chunk.choices:
        delta = choice.delta
        if delta.content or choice.finish_reason or _has_token(delta) or delta.reasoning_details:
            return True
        if delta.tool_calls and any(call.id for call in delta.tool_calls):
            return True
        if _has_other_content(delta):
            return True
    return False


def has_token(chunk: ChatCompletionChunk) -> bool:
    """Whether a chunk has non-empty content, reasoning, refusal or tool-call text."""
    return any(_has_token(choice.delta) for choice in chunk.choices)


def has_content(chunk: ChatCompletionChunk) -> bool:
    """Whether a chunk brings anything for a message: a token, a tool call, structured reasoning or an image."""
    return has_token(chunk) or any(
        choice.delta.tool_calls or choice.delta.reasoning_details or _has_other_content(choice.delta)
        for choice in chunk.choices
    )


def prompt_tokens_processed(chunk: ChatCompletionChunk) -> float:
    """How much of the prompt llama.cpp has processed so far; 0 if the chunk does not say."""
    progress = chunk.extra.get("prompt_progress") if chunk.extra else None
    processed = progress.get("processed") if isinstance(progress, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return processed if isinstance(processed, int | float) else 0


def _has_token(delta: ChoiceDelta) -> bool:
    if delta.content or delta.refusal or delta.reasoning_text:
        return True
    if delta.function_call is not None and (delta.function_call.name or delta.function_call.arguments):
        return True
    if delta.audio is not None and (delta.audio.data or delta.audio.transcript):
        return True
    return any(map(_has_text, delta.tool_calls or ()))


def _has_other_content(delta: ChoiceDelta) -> bool:
    """Whether a delta brings an image, or another part of content that is neither text nor reasoning."""
    return bool(delta.extra and delta.extra.get("images")) or (
        delta.content_parts is not None and has_kept_part(delta.content_parts)
    )


def _has_text(call: ToolCallDelta) -> bool:
    function, custom = call.function, call.custom
    return bool(
        (function is not None and (function.name or function.arguments))
        or (custom is not None and (custom.name or custom.input))
    )
