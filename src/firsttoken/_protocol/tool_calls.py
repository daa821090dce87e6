"""Joins the pieces of tool calls.

Servers make it necessary to decide which call a piece belongs to: some reuse an index for a second call, some send no
index or number the pieces, some repeat the id with every piece, some send an id of "" with later ones.
"""

from firsttoken._json import is_json_object
from firsttoken._models.base import MAX_INDEX
from firsttoken._models.chunk import ToolCallDelta
from firsttoken._models.tool_call import CustomToolCall, FunctionCall, ToolCall
from firsttoken._protocol.pieces import TextBuffer, add_extra, plain

MAX_CHECKS = 64
"""How often the arguments of one call are parsed to see whether another name on its index is another call's."""

MAX_NAME = 1024
"""Characters; a name in pieces is not longer."""


class ToolCallBuilder:
    """A call that is still being written. Id and type are set once; a name may come in pieces, before the arguments."""

    __slots__ = ("_checks", "arguments", "extra", "id", "inner_extra", "input", "is_custom", "name", "position", "type")

    def __init__(self, position: int) -> None:
        self.position = position  # among the calls of its message
        self.id = ""
        self.type = ""
        self.name = ""
        self.is_custom = False
        self._checks = 0  # how often its arguments were looked at
        self.arguments = TextBuffer()
        self.input = TextBuffer()
        self.extra: dict[str, object] = {}
        self.inner_extra: dict[str, object] = {}

    def add(self, delta: ToolCallDelta) -> None:
        self.id = self.id or _word(delta.id)
        self.type = self.type or _word(delta.type)
        if delta.extra:
            add_extra(self.extra, delta.extra)
        if delta.function is not None:
            self._add_name(delta.function.name)
            if delta.function.arguments:
                self.arguments.append(delta.function.arguments)
                self.arguments.compact()
            if delta.function.extra:
                add_extra(self.inner_extra, delta.function.extra)
        if delta.custom is not None:
            self.is_custom = True
            self._add_name(delta.custom.name)
            if delta.custom.input:
                self.input.append(delta.custom.input)
                self.input.compact()
            if delta.custom.extra:
                add_extra(self.inner_extra, delta.custom.extra)

    def _add_name(self, name: str | None) -> None:
        """Add a piece of the name, unless it restates what is known, or the arguments have begun."""
        if not name or name.isspace() or name == self.name:
            return
        if not self.name or name.startswith(self.name):
            self.name = name if not self.arguments and not self.input else self.name or name
        elif not self.arguments and not self.input and len(self.name) < MAX_NAME:
            self.name += name

    def has_complete_arguments(self) -> bool:
        """Whether the arguments are a JSON object, so that nothing can follow."""
        if not self.arguments or not self.arguments[-1].rstrip().endswith("}") or self._checks >= MAX_CHECKS:
            return False
        self._checks += 1
        return is_json_object(self.arguments.text)

    def snapshot(self) -> ToolCall:
        call = ToolCall(
            id=self.id, type=self.type or ("custom" if self.is_custom else "function"), extra=plain(self.extra)
        )
        inner = plain(self.inner_extra)
        if self.is_custom:
            call.custom = CustomToolCall(name=self.name, input=self.input.text, extra=inner)
        else:
            call.function = FunctionCall(name=self.name, arguments=self.arguments.text, extra=inner)
        return call


class ToolCalls:
    """The tool calls of one message, in the order in which they were opened."""

    __slots__ = ("_by_id", "_by_index", "_calls")

    def __init__(self) -> None:
        self._calls: list[ToolCallBuilder] = []
        self._by_id: dict[str, ToolCallBuilder] = {}
        self._by_index: dict[int, ToolCallBuilder] = {}

    def add(self, delta: ToolCallDelta) -> ToolCallBuilder:
        """Add a piece; return the call that it belongs to."""
        call = self._call_of(delta)
        call.add(delta)
        return call

    def snapshot(self) -> list[ToolCall]:
        """The calls so far."""
        return [call.snapshot() for call in self._calls]

    def _call_of(self, delta: ToolCallDelta) -> ToolCallBuilder:
        call_id = _word(delta.id)
        if call_id:
            known = self._by_id.get(call_id)
            return self._call_of_new_id(call_id, delta) if known is None else self._call_of_known_id(known, delta)
        if delta.index is not None:
            known = self._by_index.get(delta.index)
            if known is not None:
                return self._open(delta) if _name(delta) and known.has_complete_arguments() else known
        if self._calls and not _name(delta):
            return self._calls[-1]
        return self._open(delta)

    def _call_of_known_id(self, known: ToolCallBuilder, delta: ToolCallDelta) -> ToolCallBuilder:
        """The call of an id that was seen: that one, save that LocalAI gives all calls the id of the completion."""
        if delta.index is None or delta.index > MAX_INDEX:
            return known
        same = self._by_index.get(delta.index)
        if same is not None:
            return same if same.id == known.id else known
        return self._open(delta) if _name(delta) and known.has_complete_arguments() else known

    def _call_of_new_id(self, call_id: str, delta: ToolCallDelta) -> ToolCallBuilder:
        known = None if delta.index is None or _name(delta) else self._by_index.get(delta.index)
        call = known or self._open(delta)
        self._by_id[call_id] = call
        return call

    def _open(self, delta: ToolCallDelta) -> ToolCallBuilder:
        call = ToolCallBuilder(len(self._calls))
        self._calls.append(call)
        if delta.index is not None and delta.index <= MAX_INDEX:
            self._by_index[delta.index] = call
        return call


def _name(delta: ToolCallDelta) -> str:
    part = delta.function or delta.custom
    return "" if part is None else _word(part.name)


def _word(text: str | None) -> str:
    """The text, "" where it is blank: servers send "" and " " for "as before"."""
    return text if text and not text.isspace() else ""
