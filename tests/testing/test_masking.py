"""Redaction in place: nothing of a secret is left, and no length is changed."""

import base64
import gzip
import json
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest

from firsttoken.testing._recording.masking import MaskedRead, MaskedReads, Redaction

SECRET = "sk-/0123456789abcdef"
STARS = b"*" * len(SECRET)
HEAD = b"HTTP/1.1 200 OK\r\nx-of: %s\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def shown(pieces: list[bytes], *words: str) -> list[bytes]:
    """What is shown of reads; the times tell them apart."""
    reads = MaskedReads(Redaction(words or (SECRET,)))
    settled: list[MaskedRead] = []
    for number, piece in enumerate(pieces):
        settled += reads.feed(number, piece)
    settled += reads.finish()
    assert [read.ns for read in settled] == list(range(len(pieces)))
    assert [len(read.shown) for read in settled] == [len(piece) for piece in pieces]
    return [bytes(read.shown) for read in settled]


def cuts(data: bytes) -> list[list[bytes]]:
    """The data in two at every place, and byte by byte."""
    return [[data[:at], data[at:]] for at in range(1, len(data))] + [[data[at : at + 1] for at in range(len(data))]]


@pytest.mark.parametrize(
    ("said", "stars"),
    [
        (SECRET.encode(), STARS),
        (json.dumps(SECRET).encode(), b'"' + STARS + b'"'),
        (SECRET.replace("/", "\\/").encode(), STARS + b"*"),
        (SECRET.replace("/", "%2F").encode(), STARS + b"**"),
        (SECRET.encode().hex().encode(), STARS * 2),
        (b"%s%s" % (SECRET.encode(), SECRET.encode()), STARS * 2),
        (b"sk-/01234 is where yours begins", b"********* is where yours begins"),
    ],
)
def test_a_secret_is_masked_however_the_body_is_cut(said: bytes, stars: bytes) -> None:
    for pieces in cuts(b"data: " + said + b"\n\n"):
        assert b"".join(shown([HEAD % b"this", *pieces])) == HEAD % b"this" + b"data: " + stars + b"\n\n"


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("before", [b"", b"u", b"me:", b"user:"])
def test_a_secret_is_masked_in_base64_wherever_it_stands_in_it(encode: Callable[[bytes], bytes], before: bytes) -> None:
    said = encode(before + SECRET.encode() + b" and more")
    for pieces in cuts(b"data: " + said + b"\n\n"):
        masked = (
            b"".join(shown([HEAD % b"this", *pieces])).removeprefix(HEAD % b"this" + b"data: ").removesuffix(b"\n\n")
        )
        seen = b"".join(base64.urlsafe_b64decode(part[: len(part) // 4 * 4] + b"") for part in masked.split(b"*")[:1])
        assert SECRET.encode()[:4] not in seen
        assert masked.count(b"*") >= len(SECRET) * 8 // 6 - 1


def test_a_secret_is_masked_across_the_chunks_of_http() -> None:
    body = b"9;x=y\r\nhere: sk-\r\n5\r\n/0123\r\n10\r\n456789abcdef etc\r\n0\r\n\r\n"
    masked = b"9;x=y\r\nhere: ***\r\n5\r\n*****\r\n10\r\n************ etc\r\n0\r\n\r\n"
    for pieces in cuts(CHUNKED + body):
        assert b"".join(shown(pieces)) == CHUNKED + masked


def test_what_is_no_chunk_is_searched_all_the_same() -> None:
    assert shown([CHUNKED, b"no size\r\n" + SECRET.encode()]) == [CHUNKED, b"no size\r\n" + STARS]


@pytest.mark.parametrize(
    "framing",
    [
        b"5;key=%s\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\r\n0\r\nx-key: %s\r\n\r\n",
        b"%s\r\n",
    ],
    ids=["extension", "trailer", "no size"],
)
def test_a_secret_is_masked_beside_the_content_too(framing: bytes) -> None:
    masked = CHUNKED + framing % STARS
    for pieces in cuts(CHUNKED + framing % SECRET.encode()):
        assert b"".join(shown(pieces)) == masked


def test_what_stands_between_two_chunks_does_not_hide_the_secret_that_they_share() -> None:
    body = b"5;a=%s\r\nsk-/0\r\nf;b=%s\r\n123456789abcdef\r\n0\r\n\r\n"
    masked = body.replace(b"sk-/0", b"*****").replace(b"123456789abcdef", b"*" * 15)
    for pieces in cuts(CHUNKED + body):
        assert b"".join(shown(pieces)) == CHUNKED + masked


def test_words_of_ones_own_are_masked_whatever_their_length() -> None:
    assert shown([HEAD % b"Ada", b'{"text": "Ada, Zo\xc3\xab"}'], "Ada", "Zoë") == [
        HEAD % b"***",
        b'{"text": "***, ****"}',
    ]


def test_a_read_waits_only_while_a_secret_may_go_on() -> None:
    reads = MaskedReads(Redaction((SECRET,)))
    assert reads.feed(0, b"HTTP/1.1 200 OK\r\n") == []
    assert [read.ns for read in reads.feed(1, b"\r\nhello")] == [0, 1]
    assert reads.feed(2, b"a s") == []
    assert [read.ns for read in reads.feed(3, b"ky")] == [2, 3]
    assert reads.feed(4, b"sk-/") == []
    assert [(read.ns, bytes(read.shown)) for read in reads.feed(5, b"0123456789abcdef s")] == [(4, b"****")]
    assert [bytes(read.shown) for read in reads.finish()] == [b"**************** s"]


def test_a_head_that_never_ends_is_masked_too() -> None:
    said = b"HTTP/1.1 200 OK\r\nset-cookie: id=abc; path=/\r\nx: " + SECRET.encode()
    assert shown([said[:30], said[30:]]) == [said[:29] + b"*", b"*" * 13 + b"\r\nx: " + STARS]


def test_the_heads_before_the_last_belong_to_it() -> None:
    interim = b"HTTP/1.1 103 Early Hints\r\nx-api-key: abc\r\n\r\n"
    reads = MaskedReads(Redaction(()))
    assert reads.feed(0, interim) == []
    (first, second) = reads.feed(1, CHUNKED + b"0\r\n\r\n")
    assert (first.head_size, second.head_size) == (len(interim), len(CHUNKED))
    assert bytes(first.shown) == interim.replace(b"abc", b"***")


def test_headers_that_hold_secrets_lose_their_values_and_keep_their_lengths() -> None:
    head = (
        b"POST http://h/v1/chat/completions?api-version=2024&key=a%20b&bare HTTP/1.1\r\n"
        b"Authorization: Bearer abc\r\napi-key: abc\r\nCookie: a=b; c=d\r\n  folded\r\nx-token:\r\n"
        b"openai-organization: org-1\r\nx-ratelimit-remaining-tokens: 100\r\ncontent-type: text/plain\r\n\r\n"
    )
    masked = (
        b"POST http://h/v1/chat/completions?api-version=2024&key=*****&**** HTTP/1.1\r\n"
        b"Authorization: Bearer ***\r\napi-key: ***\r\nCookie: ********\r\n********\r\nx-token:\r\n"
        b"openai-organization: *****\r\nx-ratelimit-remaining-tokens: 100\r\ncontent-type: text/plain\r\n\r\n"
    )
    assert Redaction(()).masked_head(head) == masked


@pytest.mark.parametrize("word", [SECRET, "another"])
def test_a_compressed_body_that_holds_a_secret_is_masked_as_a_complete(word: str) -> None:
    body = gzip.compress(b"y" * 100_000 + SECRET.encode())
    head = b"HTTP/1.1 401 No\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(body)
    said = [head[:20], head[20:] + body[:40], body[40:]]
    if word == SECRET:
        assert shown(said, word) == [head[:20], head[20:] + b"*" * 40, b"*" * (len(body) - 40)]
    else:
        assert shown(said, word) == said


@pytest.mark.parametrize(
    ("before", "each"),
    [
        (HEAD % b"", b"sk-/0"),
        (CHUNKED, b"1;s\r\na\r\n"),
        (CHUNKED, b"1;sk-\r\ns\r\n"),
        (CHUNKED + b"1\r\ns\r\n1;", b"x"),
    ],
    ids=["content", "extensions", "both", "an extension in drops"],
)
def test_beginnings_of_secrets_hold_no_read_back_for_long(before: bytes, each: bytes) -> None:
    reads = MaskedReads(Redaction((SECRET,)))
    reads.feed(0, before)
    settled = 0
    for number in range(10_000):  # each ends as a secret begins
        settled += len(reads.feed(number, each))
        assert len(reads._pending) <= 257
    assert settled > 9_000


@pytest.mark.parametrize("secret", ["sk-/0123456789abcdef", "sk-proj-ÿ?>>>>~~~~"])
def test_a_secret_is_masked_in_other_codings(secret: str) -> None:
    data = secret.encode()
    quoted = [quote(secret), quote(secret, safe=""), quote(secret, safe="").lower(), quote_plus(secret)]
    for form in [data.hex(), data.hex().upper(), *quoted, "".join(f"%{byte:02x}" for byte in data)]:
        assert Redaction((secret,)).masked(form.encode()) == b"*" * len(form)


def test_short_words_are_looked_for_as_they_are() -> None:
    assert Redaction(("Ada",)).masked(b"Ada 416461 QWRh") == b"*** 416461 QWRh"
