"""Content as a list of parts, which is text and thinking in one field (Mistral's reasoning models send it)."""

from firsttoken._json import as_array, as_object


def text_and_thinking(parts: list[object]) -> tuple[str | None, str | None]:
    """What the parts say to the reader, and what the model thought; None for what they have not."""
    said: list[str] = []
    thought: list[str] = []
    for part in parts:
        fields = as_object(part)
        if fields is None:
            if isinstance(part, str):
                said.append(part)
        elif fields.get("type", "text") == "text":
            said.append(_text(fields.get("text")))
        elif fields["type"] == "thinking":
            thought.append(_text(fields.get("thinking")))
    return "".join(said) or None, "".join(thought) or None


def _text(inner: object) -> str:
    """The text in a part, which may hold a list of parts again (Mistral's `thinking`)."""
    if isinstance(inner, str):
        return inner
    parts = as_array(inner)
    return "" if parts is None else text_and_thinking(parts)[0] or ""
