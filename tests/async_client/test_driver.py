"""The asyncio call under load: slow readers, many cancellations, other loops, forked children."""

import array
import asyncio
import contextlib
import fcntl
import gc
import os
import random
import resource
import select
import socket
import sys
import termios
import threading
import warnings

import pytest

from firsttoken import AsyncClient
from firsttoken._async.driver import HIGH_WATER_BYTES
from firsttoken._protocol.call_states import State
from firsttoken.errors import APIConnectionError, StreamTruncatedError
from tests.async_client.conftest import Run
from tests.async_client.test_stream import make_client, read, whole
from tests.support.clients import KEY, REQUEST
from tests.support.processes import DESCRIPTORS, open_sockets
from tests.support.server import WAIT_S, Peer, Server, chunk, event
from tests.support.tls import client_context, server_context

STUCK_S = 0.2
"""A server whose bytes nobody takes for so long is stuck."""

KEPT = 0.05
"""The part of the streams that is read to the end among those that are cancelled."""


def test_a_slow_reader_stops_the_reading(run: Run) -> None:
    """The server can't send 64 MiB to a client that takes one chunk; then it all arrives."""
    part = b"%x\r\n%s\r\n" % (len(data := event(chunk("x" * 1000)) * 100), data)
    count = 64 * 1024 * 1024 // len(part)
    sent: list[int] = []

    def serve(peer: Peer) -> None:
        peer.read_request()
        peer.begin_stream()
        for number in range(count):
            unsent = memoryview(part)
            while unsent:
                if not select.select([], [peer.socket], [], STUCK_S)[1]:
                    stuck.set()
                    assert select.select([], [peer.socket], [], WAIT_S)[1]
                unsent = unsent[peer.socket.send(unsent) :]
            sent.append(number)
        peer.send_event(chunk(finish="stop"))
        peer.end_stream()

    async def scenario(server: Server) -> None:
        stream = make_client(server).chat_completion_stream(REQUEST)
        await anext(stream)
        assert await asyncio.to_thread(stuck.wait, WAIT_S)
        call = stream._call
        assert call is not None
        unread = sum(len(piece.raw) for piece in call.machine.pending)
        assert HIGH_WATER_BYTES / 2 < unread < HIGH_WATER_BYTES * 3
        assert len(sent) < count / 2
        assert 1 + len(await read(stream)) == count * 100 + 1
        assert stream.state == "complete"

    stuck = threading.Event()
    with Server(serve) as server:
        run(scenario(server))


@pytest.mark.parametrize("ending", ["reset", "end"])
def test_a_reader_that_was_held_up_gets_what_came_then_the_error(run: Run, ending: str) -> None:
    gone = threading.Event()

    def serve(peer: Peer) -> None:
        peer.read_request()
        peer.begin_stream()
        for text in "abcde":
            peer.send_event(chunk(text))
        assert all_read.wait(WAIT_S)
        if ending == "reset":
            peer.reset()
        else:
            peer.socket.close()
        gone.set()

    async def scenario(server: Server) -> None:
        stream = make_client(server).chat_completion_stream(REQUEST)
        assert (await anext(stream)).text == "a"
        call = stream._call
        assert call is not None
        while len(call.machine.pending) < 4:
            await asyncio.sleep(0)
        all_read.set()
        assert await asyncio.to_thread(gone.wait, WAIT_S)
        while call.machine.state is not State.CONCLUDING:
            await asyncio.sleep(0)
        texts: list[str] = []
        with pytest.raises(APIConnectionError if ending == "reset" else StreamTruncatedError) as caught:
            async for piece in stream:
                texts.append(piece.text)
        assert texts == list("bcde")
        assert caught.value.partial is not None
        assert caught.value.partial.text == "abcde"

    all_read = threading.Event()
    with Server(serve) as server:
        run(scenario(server))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks Linux whether the client's machine took it all")
@pytest.mark.parametrize("transport", ["plain", "tls"])
@pytest.mark.parametrize("ending", ["reset", "whole"])
def test_a_slow_reader_loses_nothing_when_the_server_leaves(run: Run, ending: str, transport: str) -> None:
    """More than the reader lets in lies in the system's buffers, and in TLS's, when the connection ends."""
    part = event(chunk("x" * 1000)) * 16
    count = -(-(HIGH_WATER_BYTES + 16 * 1024) // len(part))
    gone = threading.Event()

    def serve(peer: Peer) -> None:
        peer.read_request()
        peer.begin_stream()
        for _ in range(count):
            peer.send_part(part)
        if ending == "whole":
            peer.send_event(chunk(finish="stop"))
            peer.end_stream()
        untaken = array.array("i", [1])
        while untaken[0] and not peer.server.closing.wait(0.001):
            fcntl.ioctl(peer.socket.fileno(), termios.TIOCOUTQ, untaken)
        if ending == "reset":
            peer.reset()
        else:
            peer.socket.close()
        gone.set()

    async def scenario(server: Server) -> None:
        context = client_context() if transport == "tls" else None
        stream = make_client(server, ssl_context=context).chat_completion_stream(REQUEST)
        await anext(stream)
        assert await asyncio.to_thread(gone.wait, WAIT_S)
        call = stream._call
        assert call is not None
        assert call._connection is not None
        while not call._connection.is_paused:  # the system has it all; the loop may still be reading
            await asyncio.sleep(0)
        if ending == "reset":
            with pytest.raises(APIConnectionError, match="lost the connection"):
                await stream.final_completion()
        else:
            await stream.final_completion()
        assert len(stream.completion.text) == count * 16 * 1000

    with Server(serve, tls=server_context() if transport == "tls" else None) as server:
        run(scenario(server))


def test_a_client_outlives_a_loop_and_leaves_no_warning(run: Run) -> None:
    with Server(whole) as server, warnings.catch_warnings():
        warnings.simplefilter("error")
        client = make_client(server)
        for _ in range(2):
            assert run(read(client.chat_completion_stream(REQUEST))) == ["Hel", "lo", ""]
            assert asyncio.run(read(client.chat_completion_stream(REQUEST))) == ["Hel", "lo", ""]
        gc.collect()
        assert server.connections == 4


def test_two_loops_at_once_and_one_that_nobody_shut_down(run: Run) -> None:
    """Each loop has connections of its own: the end of one takes nothing from the other."""

    async def scenario(server: Server) -> None:
        client = make_client(server)
        assert await read(client.chat_completion_stream(REQUEST)) == ["Hel", "lo", ""]
        await asyncio.to_thread(asyncio.run, read(client.chat_completion_stream(REQUEST)))
        assert server.connections == 2
        assert server.was_left()
        assert await read(client.chat_completion_stream(REQUEST)) == ["Hel", "lo", ""]
        assert server.connections == 2
        await asyncio.to_thread(abandon, client)
        assert len(client._pool._loops) == 2
        async with client.chat_completion_stream(REQUEST), client.chat_completion_stream(REQUEST):
            assert server.connections == 4
        assert len(client._pool._loops) == 1  # when connections are made, loops that were left are looked for

    def abandon(client: AsyncClient) -> None:
        loop = asyncio.new_event_loop()
        loop.run_until_complete(read(client.chat_completion_stream(REQUEST)))
        loop.close()

    with Server(whole) as server, warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # asyncio's, of the loop that nobody shut down
        run(scenario(server))
        gc.collect()


def test_a_forked_child_uses_the_parents_client(run: Run) -> None:
    """The child makes connections of its own; the parent's idle one and its open stream go on."""

    async def scenario(server: Server) -> None:
        client = make_client(server)
        assert await read(client.chat_completion_stream(REQUEST)) == ["Hel", "lo", ""]
        stream = client.chat_completion_stream(REQUEST)
        async with stream:
            assert await asyncio.to_thread(in_a_child, client) == 0
            assert await read(stream) == ["Hel", "lo", ""]
        assert server.connections == 2

    def in_a_child(client: AsyncClient) -> int:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # since Python 3.12, for forking with threads
            child = os.fork()
        if child == 0:
            status = 1
            with contextlib.suppress(BaseException):
                texts = asyncio.new_event_loop().run_until_complete(read(client.chat_completion_stream(REQUEST)))
                status = 0 if texts == ["Hel", "lo", ""] else 2
            os._exit(status)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    with Server(whole) as server:
        run(scenario(server))


@pytest.mark.skipif(not DESCRIPTORS.exists(), reason="counts sockets in /proc")
def test_thousands_of_cancellations_leave_nothing(run: Run) -> None:
    chance = random.Random(1)

    async def one(client: AsyncClient) -> bool:
        """Whether the stream was complete; all but a few are cancelled at a random moment."""
        task = asyncio.create_task(read(client.chat_completion_stream(REQUEST)))
        if chance.random() > KEPT:
            for _ in range(chance.randrange(30)):
                await asyncio.sleep(0)
            if chance.random() < 0.5:
                await asyncio.sleep(chance.random() * 0.02)
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            return await task == ["Hel", "lo", ""]
        return False

    async def scenario(server: Server) -> None:
        wholes = 0
        memory_kib: list[int] = []
        async with AsyncClient(base_url=server.base_url, api_key=KEY, max_retries=0) as client:
            for _ in range(10):
                for _ in range(6):
                    wholes += sum(await asyncio.gather(*(one(client) for _ in range(50))))
                memory_kib.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        # How many are complete when they are cancelled is the machine's to say.
        assert 3_000 * KEPT * 0.8 < wholes < 2_970
        assert memory_kib[-1] - memory_kib[2] < 20 * 1024, memory_kib

    before = open_sockets()
    with Server(whole, listener=socket.create_server(("127.0.0.1", 0), backlog=1024)) as server:
        run(scenario(server))
    assert open_sockets() <= before
