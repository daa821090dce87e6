"""The page that says where each field of the API's schema is: it is current, and every field has a place."""

from firsttoken.types import ChatCompletionRequest
from tests.coverage_table import PAGE, Row, chunk_rows, completion_rows, page, request_rows


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: uv run just fields"


def test_every_field_of_an_answer_has_a_place() -> None:
    rows = completion_rows() + chunk_rows()
    assert [row for row in rows if row.kind == "extra"] == []
    assert Row("choices[].delta.tool_calls[].function.arguments", "typed", "FunctionCallDelta", "arguments") in rows
    assert Row("choices[].message.tool_calls[custom].custom.input", "typed", "CustomToolCall", "input") in rows
    assert (
        Row("choices[].message.annotations[].url_citation.url", "plain", "ChatCompletionMessage", "annotations") in rows
    )
    assert len(rows) > 150


def test_every_field_of_a_request_has_a_place() -> None:
    rows = request_rows()
    assert [row for row in rows if row.kind == "extra"] == []
    assert Row("messages[user].role", "typed", "UserMessage", "") in rows
    top = [row for row in rows if "." not in row.path]
    assert {row.kind for row in top} == {"typed"}
    assert {row.path for row in top} == set(ChatCompletionRequest.__struct_fields__) - {"extra"}
    assert Row("messages[tool].tool_call_id", "typed", "ToolMessage", "tool_call_id") in rows
    assert Row("messages[user].content[image_url].image_url.url", "plain", "UserMessage", "content") in rows
    assert len(rows) > 130
