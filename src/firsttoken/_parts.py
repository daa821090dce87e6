"""Content parts of a user's message: images, audio and files, from bytes, a file or a URL."""

import base64
from typing import TYPE_CHECKING

from firsttoken.errors import ConfigurationError

if TYPE_CHECKING:
    import os

_SIGNATURES = {
    b"\x89PNG\r\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
    b"BM": "image/bmp",
    b"%PDF": "application/pdf",
    b"ID3": "audio/mpeg",
    b"\xff\xfb": "audio/mpeg",
    b"fLaC": "audio/flac",
    b"OggS": "audio/ogg",
}
_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav"}
_AUDIO_FORMATS = {
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/mpeg": "mp3",
    "audio/flac": "flac",
    "audio/ogg": "ogg",
}


def image_part(source: "bytes | str | os.PathLike[str]", *, detail: str | None = None) -> dict[str, object]:
    """Make a content part of an image, to stand beside a text part in `user_message([…])`.

    Args:
        source: the image as bytes, the path of a file, or a URL, which the server fetches.
        detail: "low", "high" or "auto"; None leaves it to the server.

    Raises:
        ConfigurationError: the file can't be read, or bytes are of no known kind of image.
    """
    image: dict[str, object] = {"url": _url(source, "image")}
    if detail is not None:
        image["detail"] = detail
    return {"type": "image_url", "image_url": image}


def audio_part(source: "bytes | str | os.PathLike[str]", *, format: str | None = None) -> dict[str, object]:  # noqa: A002 - the API's name
    """Make a content part of audio.

    Args:
        source: the audio as bytes, or the path of a file.
        format: "wav", "mp3" or whatever else the server takes; None finds it by the data, else by the file's name.

    Raises:
        ConfigurationError: the file can't be read, or the format is not known.
    """
    data, kind = _read(source, "audio")
    found = format or _AUDIO_FORMATS.get(kind or "")
    if found is None:
        raise ConfigurationError("unknown format of the audio", hint='name it: audio_part(data, format="wav")')
    return {"type": "input_audio", "input_audio": {"data": _base64(data), "format": found}}


def file_part(
    source: "bytes | str | os.PathLike[str] | None" = None, *, filename: str | None = None, file_id: str | None = None
) -> dict[str, object]:
    """Make a content part of a file, as a PDF.

    Args:
        source: the file as bytes, or its path.
        filename: its name; None takes that of the path.
        file_id: in place of a source: the id of a file that was uploaded before.

    Raises:
        ConfigurationError: the file can't be read, its kind is not known, or there is neither source nor id.
    """
    if source is None:
        if file_id is None:
            raise ConfigurationError("file_part needs a source or a file_id", hint='as in file_part("paper.pdf")')
        return {"type": "file", "file": {"file_id": file_id}}
    file: dict[str, object] = {"file_data": _url(source, "file")}
    from pathlib import Path

    name = filename or (None if isinstance(source, bytes) else Path(source).name)
    return {"type": "file", "file": file if name is None else {"filename": name} | file}


def text_part(text: str) -> dict[str, object]:
    """Make a content part of text, to stand beside others."""
    return {"type": "text", "text": text}


def _url(source: "bytes | str | os.PathLike[str]", what: str) -> str:
    if isinstance(source, str) and source.startswith(("https:", "http:", "data:")):
        return source
    data, kind = _read(source, what)
    if kind is None or (what == "image" and not kind.startswith("image/")):
        raise ConfigurationError(
            f"unknown kind of {what}: it begins {data[:8]!r}",
            hint='pass a data URL: "data:image/png;base64,…"' if what == "image" else "pass the path of a file",
        )
    return f"data:{kind};base64,{_base64(data)}"


def _read(source: "bytes | str | os.PathLike[str]", what: str) -> tuple[bytes, str | None]:
    """The data, and its media type: by the data, else by the file's name."""
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source), _media_type(bytes(source))
    import mimetypes
    from pathlib import Path  # here, so that whoever needs neither does not wait for them

    try:
        data = Path(source).read_bytes()
    except (OSError, TypeError, ValueError) as error:
        raise ConfigurationError(f"can't read the {what} {source!r}: {error}") from error
    return data, _media_type(data) or mimetypes.guess_type(str(source))[0]


def _media_type(data: bytes) -> str | None:
    if data.startswith(b"RIFF"):
        return _RIFF.get(data[8:12])
    return next((kind for sign, kind in _SIGNATURES.items() if data.startswith(sign)), None)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


for _function in (audio_part, file_part, image_part, text_part):
    _function.__module__ = "firsttoken"  # the public module, for reprs and tracebacks
