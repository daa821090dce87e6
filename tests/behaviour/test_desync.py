"""Whose response is it, and which part of the request was read: responses that come too early, and one too many."""

import json

import pytest

from firsttoken import chat_completion_request
from firsttoken.errors import APIStatusError
from tests.support.clients import OVER_SOCKETS, REQUEST, MakeClient, failure_of
from tests.support.server import Peer, Server, completion

READ_BYTES = 65536
"""What both clients read at once."""


def response(text: str) -> bytes:
    body = json.dumps(completion(text)).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


@OVER_SOCKETS
@pytest.mark.parametrize("size", [READ_BYTES, READ_BYTES - 1, 2 * READ_BYTES])
def test_a_response_behind_another_answers_nobody(make_client: MakeClient, size: int) -> None:
    """The first one fills a read: what is behind it still waits at the socket when the connection is idle."""
    padding = "x" * (size - len(response("x" * 10_000)) + 10_000 + (len("65000") - len(str(size))))

    def serve(peer: Peer) -> None:
        number = server.connections
        while peer.read_request() is not None:
            peer.send(response(padding) + response("of somebody else") if number == 1 else response("mine"))

    with Server(serve) as server:
        client = make_client(server)
        assert client.chat_completion(REQUEST).text == padding
        assert [client.chat_completion(REQUEST).text for _ in range(2)] == ["mine", "mine"]
    assert server.connections == 2


@OVER_SOCKETS
@pytest.mark.parametrize("then", ["goes on reading", "closes"])
@pytest.mark.parametrize("is_streamed", [True, False], ids=["streamed", "blocking"])
def test_a_refusal_before_the_request_was_read_is_received(
    make_client: MakeClient, then: str, is_streamed: bool
) -> None:
    """Proxies refuse what is too large by its head alone, and the rest of it finds nobody who reads."""
    request = chat_completion_request("m", "x" * 20_000_000)

    def serve(peer: Peer) -> None:
        assert peer.socket.recv(1000).startswith(b"POST ")
        peer.answer_json(413, {"error": "too large"}, {"connection": "close"})
        if then == "goes on reading":
            peer.wait_for_disconnect()

    with Server(serve) as server:
        client = make_client(server, max_retries=0)
        if is_streamed:
            failure = failure_of(client.chat_completion_stream(request))
        else:
            with pytest.raises(APIStatusError) as caught:
                client.chat_completion(request)
            failure = caught.value
    assert isinstance(failure, APIStatusError)
    assert failure.status == 413
    assert "too large" in str(failure)
    assert server.connections == 1
