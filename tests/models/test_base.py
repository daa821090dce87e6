"""firsttoken._models.base: what every object of a response has in common."""

import copy
import json
import pickle

import msgspec
import pytest

from firsttoken._models.base import EMPTY_EXTRA, EXTRA_NAME, ResponseObject
from firsttoken.types import ChatCompletionChunk, Headers, ResponseInfo, Timing


class Thing(ResponseObject):
    extra_large: int = 0


def test_an_unknown_field_is_refused_so_that_nothing_is_lost_in_silence() -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field `x`"):
        msgspec.json.decode(b'{"x":1}', type=Thing)


def test_our_own_fields_have_names_that_no_server_uses() -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field `extra`"):
        msgspec.json.decode(b'{"extra":{}}', type=Thing)
    assert msgspec.convert({EXTRA_NAME: {"x": 1}}, Thing).extra == {"x": 1}


def test_the_extra_of_an_object_that_has_none_is_one_for_all_and_can_not_be_changed() -> None:
    assert Thing().extra is EMPTY_EXTRA
    assert Thing().extra == {}
    extra = Thing().extra
    with pytest.raises(TypeError, match="extra is read-only on an object without extra fields"):
        extra["x"] = 1
    for change in (lambda: extra.update(x=1), lambda: extra.setdefault("x", 1), lambda: extra.__ior__({"x": 1})):
        with pytest.raises(TypeError, match="copy the object first"):
            change()
    assert EMPTY_EXTRA == {}


def test_it_stays_the_one_for_all_in_pickles_and_copies() -> None:
    for twin in (pickle.loads(pickle.dumps(Thing())), copy.copy(Thing()), copy.deepcopy(Thing())):
        assert twin == Thing()
        assert twin.extra is EMPTY_EXTRA


def test_headers_are_a_mapping_whose_names_know_no_case() -> None:
    headers = Headers({"X-A": "1", "b": "2"})
    assert headers["x-a"] == headers["X-A"] == headers.get("X-a") == "1"
    assert list(headers) == ["x-a", "b"]
    assert len(headers) == 2
    assert "B" in headers
    assert "c" not in headers
    assert headers == Headers({"x-A": "1", "B": "2"}) == {"x-a": "1", "b": "2"}
    assert repr(headers) == "Headers({'x-a': '1', 'b': '2'})"
    assert len(Headers()) == 0
    assert pickle.loads(pickle.dumps(headers)) == headers
    assert dict(copy.copy(headers)) == dict(headers)


def test_a_cookie_is_in_no_repr_and_no_pickle() -> None:
    headers = Headers({"Set-Cookie": "session=one", "x-ratelimit-remaining-tokens": "7"})
    assert headers["set-cookie"] == "session=one"
    shown = {"set-cookie": "[redacted]", "x-ratelimit-remaining-tokens": "7"}
    assert repr(headers) == f"Headers({shown})"
    assert dict(pickle.loads(pickle.dumps(headers))) == shown


def test_the_head_and_the_timing_are_values() -> None:
    for value in (ResponseInfo(status=200, headers=Headers()), Timing()):
        with pytest.raises(AttributeError, match="immutable"):
            value.chunks = 5  # pyright: ignore[reportAttributeAccessIssue]
    assert Timing() == Timing(time_to_headers_s=None, chunks=0)


def test_what_was_received_and_can_not_be_read_again_is_written_field_by_field() -> None:
    chunk = ChatCompletionChunk(id="a", raw=b"{")
    assert chunk.to_dict() == json.loads(chunk.to_json())
    assert chunk.to_dict() == ChatCompletionChunk(id="a").to_dict()
