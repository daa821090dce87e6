"""`firsttoken models`."""

import json

import pytest

from tests.support.command import run
from tests.support.server import Peer, Server


def listing(peer: Peer) -> None:
    request = peer.read_request()
    assert request is not None
    assert request.line == "GET /v1/models HTTP/1.1"
    peer.answer_json(200, {"object": "list", "data": [{"id": "large"}, {"id": "small"}]})


def refusing(peer: Peer) -> None:
    peer.read_request()
    peer.answer(401, json.dumps({"error": {"message": "no such key"}}).encode(), {"content-type": "application/json"})


def test_each_id_is_a_line() -> None:
    with Server(listing) as server:
        done = run("models", "--base-url", server.base_url, "--header", "X-Team: blue")
        assert (done.stdout, done.stderr, done.returncode) == ("large\nsmall\n", "", 0)
        assert server.requests[0].headers["x-team"] == "blue"


def test_a_refusal_has_its_status() -> None:
    with Server(refusing) as server:
        done = run("models", "--base-url", server.base_url)
        assert (done.stdout, done.returncode) == ("", 3)
        assert done.stderr.startswith("firsttoken: ")
        assert "no such key" in done.stderr


@pytest.mark.model
def test_the_local_model_is_one_too() -> None:
    done = run("models")
    assert (done.stdout, done.returncode) == ("SmolLM2-135M-Instruct\n", 0)
