"""What the body of a response is: events, or one JSON object, or neither.

The content type is a hint: servers send events as text/plain, and JSON errors as text/event-stream. The first bytes
that are not white space decide.
"""

from firsttoken._core.payload import quoted
from firsttoken.errors import ResponseFormatError

_FIELDS = (b"data:", b"event:", b"error:", b"id:", b"retry:", b":")
_LONGEST_FIELD = max(map(len, _FIELDS))
_BOM = b"\xef\xbb\xbf"


def is_event_stream(content_type: str, head: bytes) -> bool | None:
    """Whether a body is a stream of events.

    Args:
        content_type: the header's value, "" where it is missing.
        head: the first bytes of the body.

    Returns:
        None where `head` is too short to tell.
    """
    start = head.removeprefix(_BOM).lstrip()
    if not start or (len(head) < len(_BOM) and _BOM.startswith(head)):
        return None
    if content_type.strip().lower().startswith("text/event-stream"):
        return start[:1] not in (b"{", b"<")
    if start.startswith(_FIELDS):
        return True
    if len(start) < _LONGEST_FIELD and any(field.startswith(start) for field in _FIELDS):
        return None
    return False


def not_a_completion(status: int, content_type: str, body: bytes) -> ResponseFormatError:
    """The failure of a response whose body is neither events nor JSON."""
    kind = content_type.partition(";")[0].strip()[:80] or "no content type"
    if not body.strip():
        return ResponseFormatError(f"the server answered {status} with an empty body ({kind})")
    return ResponseFormatError(
        f"the server answered {status} with {kind}, which is no chat completion: {quoted(body)}",
        hint="is base_url the address of the API? Most end in /v1",
    )
