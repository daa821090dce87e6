"""Content as a list of parts, which is text and thinking in one field (Mistral's reasoning models send it)."""

from firsttoken._json import as_array, as_object


def split_content_parts(parts: list[object]) -> tuple[str | None, str | None]:
    """The text and the reasoning of the parts; None where there is none."""
    text: list[str] = []
    reasoning: list[str] = []
    for part in parts:
        fields = as_object(part)
        if fields is None:
            if isinstance(part, str):
                text.append(part)
        elif fields.get("type", "text") == "text":
            text.append(_text(fields.get("text")))
        elif fields["type"] == "thinking":
            reasoning.append(_text(fields.get("thinking")))
    return "".join(text) or None, "".join(reasoning) or None


def _text(inner: object) -> str:
    """The text in a part, which may hold a list of parts again (Mistral's `thinking`)."""
    if isinstance(inner, str):
        return inner
    parts = as_array(inner)
    return "" if parts is None else split_content_parts(parts)[0] or ""
