"""The client: its settings, what it sends, and that threads and forked processes may share it."""

import os
import select
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from firsttoken import ChatCompletionStream, Timeout, chat_completion_request
from firsttoken.errors import APIConnectionError, APITimeoutError, ConfigurationError
from tests.support.clients import KEY, REQUEST, MakeClient, drain
from tests.support.errors import message_of
from tests.support.processes import start_python
from tests.support.server import WAIT_S, Peer, Server, chunk, completion, respond_sequentially
from tests.support.tls import client_context, server_context


def hello(peer: Peer) -> None:
    peer.answer_json(200, completion())


# --- settings -------------------------------------------------------------------------------------------------------


def test_what_is_sent(make_client: MakeClient) -> None:
    with Server(respond_sequentially(hello)) as server:
        client = make_client(
            server, organization="org", project="proj", default_headers={"X-One": "1", "X-Two": "2"}, max_retries=0
        )
        client.chat_completion(REQUEST, headers={"x-two": "two"})
    (request,) = server.requests
    assert request.line == "POST /v1/chat/completions HTTP/1.1"
    assert request.headers == {
        "host": f"127.0.0.1:{server.port}",
        "accept": "application/json",
        "accept-encoding": "gzip, deflate",
        "content-type": "application/json",
        "user-agent": request.headers["user-agent"],
        "authorization": f"Bearer {KEY}",
        "openai-organization": "org",
        "openai-project": "proj",
        "x-one": "1",
        "x-two": "two",
        "content-length": str(len(request.body)),
    }
    assert request.headers["user-agent"].startswith("firsttoken/")
    assert request.json == {"model": "test-model", "messages": [{"role": "user", "content": "Why is the sky blue?"}]}


def test_a_call_that_can_not_be_made(make_client: MakeClient) -> None:
    client: Any = make_client("http://127.0.0.1:1/v1")
    streamed = chat_completion_request("m", "Hi", stream=True)
    with pytest.raises(ConfigurationError, match="hint: use chat_completion_stream"):
        client.chat_completion(streamed)
    with pytest.raises(ConfigurationError, match="expected a ChatCompletionRequest or the name of a model, not dict"):
        client.chat_completion_stream({"model": "m"})
    with pytest.raises(ConfigurationError, match="timeout must be a Timeout, not float"):
        client.chat_completion(REQUEST, timeout=1.5)
    with pytest.raises(ConfigurationError, match="max_retries must be an int of 0 or more: True"):
        client.chat_completion(REQUEST, max_retries=True)


def test_a_closed_client_can_be_used_again(make_client: MakeClient) -> None:
    with Server(respond_sequentially(hello, hello)) as server:
        client = make_client(server)
        with client as entered:
            assert entered is client
            client.chat_completion(REQUEST)
        assert server.was_left()
        client.chat_completion(REQUEST)
    assert server.connections == 2


def test_an_open_stream_outlives_the_closing_of_its_client(make_client: MakeClient) -> None:
    go_on = threading.Event()

    def answer(peer: Peer) -> None:
        peer.begin_stream()
        peer.send_event(chunk("Hel"))
        assert go_on.wait(WAIT_S)
        peer.send_event(chunk("lo", finish="stop"))
        peer.end_stream()

    with Server(respond_sequentially(answer)) as server:
        client = make_client(server)
        stream = client.chat_completion_stream(REQUEST)
        next(stream)
        client.close()
        go_on.set()
        assert stream.final_completion().text == "Hello"


# --- shared ---------------------------------------------------------------------------------------------------------


def test_fifty_threads_share_a_client(make_client: MakeClient) -> None:
    """Each has several streams, one after another, and gets its own answers."""

    def serve(peer: Peer) -> None:
        while (request := peer.read_request()) is not None:
            words = request.json["messages"][0]["content"]
            if request.json.get("stream"):
                peer.stream(*[f"{words}-{number};" for number in range(20)])
            else:
                peer.answer_json(200, completion(words))

    with Server(serve) as server, ThreadPoolExecutor(50) as pool:
        client = make_client(server)
        together = threading.Barrier(50)

        def run(thread: int) -> list[str]:
            together.wait(WAIT_S)
            answers: list[str] = []
            for turn in range(4):
                request = chat_completion_request("m", f"{thread}.{turn}")
                answers.append(client.chat_completion_stream(request).final_completion().text or "")
                answers.append(client.chat_completion(request).text or "")
            return answers

        for thread, answers in enumerate(pool.map(run, range(50))):
            for turn in range(4):
                words = f"{thread}.{turn}"
                assert answers[2 * turn] == "".join(f"{words}-{number};" for number in range(20))
                assert answers[2 * turn + 1] == words
    assert server.connections <= 50
    assert len(server.requests) == 400


def in_a_fork(act: Callable[[], None]) -> int:
    """Run it in a forked child; gives the child's exit status: 0 where nothing was raised."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            act()
            status = 0
        finally:
            sys.stderr.flush()
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("tls", [False, True])
def test_a_forked_child_uses_the_client_and_does_no_harm(make_client: MakeClient, tls: bool) -> None:
    go_on = threading.Event()

    def serve(peer: Peer) -> None:
        while (request := peer.read_request()) is not None:
            peer.begin_stream()
            peer.send_event(chunk("Hel"))
            if request.json["model"] == "slow":
                assert go_on.wait(WAIT_S)
            peer.send_event(chunk("lo", finish="stop"))
            peer.end_stream()

    with Server(serve, tls=server_context() if tls else None) as server:
        client = make_client(server, ssl_context=client_context() if tls else None)
        quick = chat_completion_request("quick", "Hi")
        assert client.chat_completion_stream(quick).final_completion().text == "Hello"
        stream = client.chat_completion_stream(chat_completion_request("slow", "Hi"))
        idle = client.chat_completion_stream(quick)
        assert next(stream).text == "Hel"  # over the connection that was idle
        assert client.chat_completion_stream(quick).final_completion().text == "Hello"  # another one, idle now

        def child() -> None:
            assert drain(client.chat_completion_stream(quick)) == (["Hel", "lo"], None)
            assert drain(idle) == (["Hel", "lo"], None)
            texts, failure = drain(stream)
            assert texts == []
            assert isinstance(failure, APIConnectionError)
            assert "belongs to the process that opened it\nhint: a forked child can use the same client" in message_of(
                failure
            )
            assert failure.partial is not None
            assert failure.partial.text == "Hel"
            assert failure.chunks_received == 1
            stream.close()
            client.close()

        def closing_child() -> None:
            stream.close()
            client.close()

        assert in_a_fork(child) == 0
        assert in_a_fork(closing_child) == 0
        assert in_a_fork(lambda: None) == 0
        go_on.set()
        assert drain(stream) == (["lo"], None)
        assert stream.state == "complete"
        assert client.chat_completion_stream(quick).final_completion().text == "Hello"
    assert server.connections == 3  # two of the parent, one of the first child


@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("ending", ["the stream", "its deadline", "the client"])
def test_the_parent_can_close_what_a_living_child_has_inherited(make_client: MakeClient, ending: str) -> None:
    def answer(peer: Peer) -> None:
        peer.begin_stream()
        peer.send_event(chunk("Hel"))
        if ending == "the client":
            peer.send_event(chunk("lo", finish="stop"))
            peer.end_stream()
        peer.wait_for_disconnect()

    with Server(respond_sequentially(answer)) as server:
        client = make_client(server, timeout=Timeout(idle_s=0.2))
        stream = client.chat_completion_stream(REQUEST)
        if ending == "the client":
            assert stream.final_completion().text == "Hello"
        else:
            next(stream)
        read_end, write_end = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(write_end)
            select.select([read_end], [], [], WAIT_S)
            os._exit(0)
        if ending == "the stream":
            stream.close()
        elif ending == "its deadline":
            assert isinstance(drain(stream)[1], APITimeoutError)
        else:
            client.close()
        left = server.was_left()  # though the child still has the descriptor
        os.close(read_end)
        os.close(write_end)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert left


# --- Ctrl-C, as it is really pressed --------------------------------------------------------------------------------

SCRIPT = """
import sys
from firsttoken import Client, chat_completion_request
client = Client(base_url=sys.argv[1], api_key="")
try:
    with client.chat_completion_stream(chat_completion_request("m", "Hi")) as stream:
        for chunk in stream:
            print(chunk.text, flush=True)
except KeyboardInterrupt:
    print("stopped with", stream.completion.text, stream.state, flush=True)
"""


def test_sigint_leaves_a_usable_partial() -> None:
    def answer(peer: Peer) -> None:
        peer.begin_stream()
        peer.send_event(chunk("Hel"))
        peer.wait_for_disconnect()

    with Server(respond_sequentially(answer)) as server:
        process = start_python(SCRIPT, server.base_url)
        with process:
            assert process.stdout is not None
            assert process.stdout.readline() == "Hel\n"
            process.send_signal(signal.SIGINT)
            assert process.stdout.readline() == "stopped with Hel stopped\n"
            assert server.was_left()
            assert process.wait(WAIT_S) == 0


def test_a_stream_can_be_dropped_before_it_was_made() -> None:
    stream = ChatCompletionStream.__new__(ChatCompletionStream)
    del stream  # as when its constructor failed: nothing to close, and no warning
