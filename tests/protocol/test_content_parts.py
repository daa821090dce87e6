"""firsttoken._protocol.content_parts: a list of parts to text and thinking."""

import pytest

from firsttoken._protocol.content_parts import split_content_parts


@pytest.mark.parametrize(
    ("parts", "text", "thinking"),
    [
        ([], None, None),
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "ab", None),
        ([{"type": "thinking", "thinking": "a"}, {"type": "thinking", "thinking": "b"}], None, "ab"),
        ([{"type": "thinking", "thinking": [{"type": "text", "text": "a"}, "b", 5]}], None, "ab"),
        (["a", {"text": "b"}, {"type": "text", "text": ["c", {"text": "d"}]}], "abcd", None),
        (
            [{"type": "image_url"}, {"type": ["text"]}, None, 5, {"type": "text"}, {"type": "text", "text": 5}],
            None,
            None,
        ),
    ],
)
def test_parts(parts: list[object], text: str | None, thinking: str | None) -> None:
    assert split_content_parts(parts) == (text, thinking)
