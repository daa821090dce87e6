"""A message that came goes back as it came: over each client, in each way to call it."""

import pytest

from firsttoken import Client, chat_completion_request, user_message
from firsttoken.types import ChatCompletion
from tests.protocol.test_round_trip import END, MESSAGES, without_nulls
from tests.support.clients import MakeClient
from tests.support.server import Peer, Server, completion


def serve(peer: Peer) -> None:
    """Answer a first question with the message that its content names; and any other."""
    while (request := peer.read_request()) is not None:
        first, *more = request.json["messages"]
        message, deltas = MESSAGES[first["content"]]
        if more:
            peer.answer_json(200, completion())
        elif not request.json.get("stream"):
            peer.answer_json(200, {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})
        else:
            peer.begin_stream()
            for delta in deltas:
                peer.send_event({"choices": [{"index": 0, "delta": delta}]})
            peer.send_event(END)
            peer.end_stream()


@pytest.mark.parametrize("style", ["blocking", "callback", "events"])
def test_the_next_request_carries_what_was_received(make_client: MakeClient, style: str) -> None:
    with Server(serve) as server:
        client = make_client(server)
        for name, (message, _) in MESSAGES.items():
            received = received_by(client, style, name).message
            assert without_nulls(received.to_dict()) == without_nulls(message)
            client.chat_completion(chat_completion_request("m", [user_message(name), received, user_message("And?")]))
            assert without_nulls(server.requests[-1].json["messages"][1]) == without_nulls(message)


def received_by(client: Client, style: str, text: str) -> ChatCompletion:
    request = chat_completion_request("m", text)
    found: ChatCompletion
    if style == "blocking":
        found = client.chat_completion(request)
    elif style == "callback":
        found = client.chat_completion_stream(request, lambda _: None)
    else:
        stream = client.chat_completion_stream(request)
        list(stream.iter_events())
        found = stream.completion
    return found
