"""firsttoken._parts: content parts of bytes, files and URLs."""

import base64
from pathlib import Path
from typing import Any

import pytest

from firsttoken import audio_part, file_part, image_part, text_part, user_message
from firsttoken.errors import ConfigurationError

PNG = b"\x89PNG\r\n\x1a\n123"
WAV = b"RIFF\0\0\0\0WAVEfmt "


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def test_an_image_of_bytes_of_a_file_and_of_a_url(tmp_path: Path) -> None:
    (tmp_path / "cat").write_bytes(PNG)
    (tmp_path / "cat.avif").write_bytes(b"new format")
    inline = {"url": f"data:image/png;base64,{encoded(PNG)}"}
    for source in (PNG, tmp_path / "cat", str(tmp_path / "cat")):
        assert image_part(source) == {"type": "image_url", "image_url": inline}
    assert image_part(PNG, detail="low")["image_url"] == inline | {"detail": "low"}
    for url in ("https://example.org/cat.png", "data:image/png;base64,AA=="):
        assert image_part(url)["image_url"] == {"url": url}
    found: Any = image_part(tmp_path / "cat.avif")["image_url"]
    assert found["url"].startswith("data:image/")


def test_audio_and_files(tmp_path: Path) -> None:
    (tmp_path / "paper.pdf").write_bytes(b"%PDF-1.7")
    assert audio_part(WAV) == {"type": "input_audio", "input_audio": {"data": encoded(WAV), "format": "wav"}}
    assert audio_part(b"raw", format="pcm16")["input_audio"] == {"data": encoded(b"raw"), "format": "pcm16"}
    data = f"data:application/pdf;base64,{encoded(b'%PDF-1.7')}"
    assert file_part(tmp_path / "paper.pdf") == {"type": "file", "file": {"filename": "paper.pdf", "file_data": data}}
    assert file_part(b"%PDF-1.7")["file"] == {"file_data": data}
    assert file_part(file_id="file-1") == {"type": "file", "file": {"file_id": "file-1"}}
    assert user_message([text_part("Hi"), image_part(PNG)]).content[0] == {"type": "text", "text": "Hi"}


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: image_part(b"hello"), "unknown kind of image: it begins b'hello'"),
        (lambda: image_part("cat.png"), "can't read the image 'cat.png': "),
        (lambda: audio_part(b"hello"), "unknown format of the audio"),
        (lambda: file_part(), "file_part needs a source or a file_id"),
        (lambda: file_part(b"\0"), "unknown kind of file: it begins b'\\x00'"),
    ],
)
def test_what_is_not_known_is_refused(make: Any, text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError) as caught:
        make()
    assert str(caught.value).startswith(text)
