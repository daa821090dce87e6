"""Files beside a message: images, audio and PDFs as content parts, text as text."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from firsttoken import audio_part, file_part, image_part, text_part
from firsttoken.errors import ConfigurationError

if TYPE_CHECKING:
    from firsttoken.types import UserMessage

_IMAGES = frozenset({".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp"})
_AUDIO = frozenset({".wav", ".mp3", ".flac", ".ogg"})
_URLS = ("http://", "https://", "data:image/")


def attachment_part(source: str) -> dict[str, object]:
    """The content part for a file, or for the URL of an image.

    Raises:
        ConfigurationError: it can't be read, or is of no kind that a message can carry.
    """
    if source.startswith(_URLS):
        return image_part(source)
    path = Path(source).expanduser()
    kind = path.suffix.lower()
    if kind in _IMAGES:
        return image_part(path)
    if kind in _AUDIO:
        return audio_part(path)
    if kind == ".pdf":
        return file_part(path)
    return _text_part(path)


def message_with(text: str, parts: Sequence[dict[str, object]]) -> "UserMessage":
    """A user's message: the attachments first, then what is asked of them; plain text where all of it is text."""
    from firsttoken import user_message  # here, since its module takes longer than all others before the first prompt

    if all(part["type"] == "text" for part in parts):
        return user_message("\n\n".join([*(str(part["text"]) for part in parts), text]))
    return user_message([*parts, text_part(text)])


def _text_part(path: Path) -> dict[str, object]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"can't read the attachment {path}: {error.strerror}") from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            f"can't attach {path}: neither UTF-8 text nor a known kind of file",
            hint=f"known are text, .pdf, {', '.join(sorted(_IMAGES | _AUDIO))}",
        ) from error
    return text_part(f"{path.name}:\n\n{text}")
