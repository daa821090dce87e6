"""The asyncio stream: what is awaited, and being cancelled. `tests/behaviour` has what both clients promise."""

import asyncio
import ssl
import threading

import pytest

from firsttoken import STOP, AsyncChatCompletionStream, AsyncClient, ChatCompletionChunk
from firsttoken.errors import ConfigurationError, StreamTruncatedError
from tests.async_client.conftest import Run
from tests.support.clients import KEY, REQUEST
from tests.support.hanging_calls import full_backlog
from tests.support.server import DONE, WAIT_S, Peer, Server, chunk, completion, event


class Stalling:
    """Sends two chunks and then nothing; says when a client has come, and when it has left."""

    def __init__(self, *texts: str) -> None:
        self.texts = texts
        self.arrived = threading.Event()
        self.left = threading.Event()

    def __call__(self, peer: Peer) -> None:
        if peer.read_request() is None:
            return
        self.arrived.set()
        if self.texts:
            peer.begin_stream()
            for text in self.texts:
                peer.send_event(chunk(text))
        peer.wait_for_disconnect()
        self.left.set()

    async def until_arrived(self) -> None:
        assert await asyncio.to_thread(self.arrived.wait, WAIT_S)

    async def until_left(self) -> None:
        assert await asyncio.to_thread(self.left.wait, WAIT_S)


def make_client(server: Server, *, ssl_context: ssl.SSLContext | None = None) -> AsyncClient:
    return AsyncClient(base_url=server.base_url, api_key=KEY, max_retries=0, ssl_context=ssl_context)


def whole(peer: Peer) -> None:
    while (request := peer.read_request()) is not None:
        if request.json.get("stream"):
            peer.stream("Hel", "lo")
        else:
            peer.answer_json(200, completion())


def test_a_stream_can_be_awaited_and_a_callback_may_be(run: Run) -> None:
    texts: list[str] = []

    async def on_chunk(piece: ChatCompletionChunk) -> object:
        await asyncio.sleep(0)
        texts.append(piece.text)
        return STOP if piece.text == "lo" else None

    async def scenario(server: Server) -> None:
        async with make_client(server) as client:
            opened = await client.chat_completion_stream(REQUEST)
            assert isinstance(opened, AsyncChatCompletionStream)
            assert opened.state == "open"
            assert opened.response is not None
            assert opened.response.status == 200
            assert (await opened.final_completion()).text == "Hello"
            assert (await client.chat_completion_stream(REQUEST, on_chunk)).text == "Hello"

    with Server(whole) as server:
        run(scenario(server))
        assert server.connections == 1
    assert texts == ["Hel", "lo"]


@pytest.mark.parametrize("texts", [(), ("Hel",)], ids=["head", "chunk"])
def test_a_cancelled_task_closes_the_connection(run: Run, texts: tuple[str, ...]) -> None:
    async def read(stream: AsyncChatCompletionStream, got: list[str]) -> None:
        async for piece in stream:
            got.append(piece.text)

    async def scenario(server: Server, stalling: Stalling) -> None:
        client = make_client(server)
        stream = client.chat_completion_stream(REQUEST)
        got: list[str] = []
        task = asyncio.create_task(read(stream, got))
        await stalling.until_arrived()
        while len(got) < len(texts):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await stalling.until_left()
        assert stream.state == "stopped"
        assert got == list(texts)
        assert (stream.completion.text) == "".join(texts)
        assert [piece async for piece in stream] == []

    stalling = Stalling(*texts)
    with Server(stalling) as server:
        run(scenario(server, stalling))


def test_what_was_decoded_is_there_after_a_cancellation(run: Run) -> None:
    """The chunk and the cancellation come in the same turn of the loop: the chunk waits for the next `anext`."""

    async def scenario(server: Server, stalling: Stalling) -> None:
        stream = make_client(server).chat_completion_stream(REQUEST)
        assert (await anext(stream)).text == "Hel"
        task = asyncio.create_task(read(stream))
        await asyncio.sleep(0)
        call = stream._call
        assert call is not None
        data = event(chunk("lo"))
        call.on_data(b"%x\r\n%s\r\n" % (len(data), data))  # as the connection does
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await read(stream) == ["lo"]
        assert stream.completion.text == "Hello"
        assert stream.state == "stopped"
        await stalling.until_left()

    stalling = Stalling("Hel")
    with Server(stalling) as server:
        run(scenario(server, stalling))


def test_asyncio_timeout_and_a_failing_task_group(run: Run) -> None:
    async def fail_after(event: asyncio.Event) -> None:
        await event.wait()
        raise LookupError("elsewhere")

    async def read_on(stream: AsyncChatCompletionStream, event: asyncio.Event) -> None:
        async for _ in stream:
            event.set()

    async def scenario(server: Server, stalling: Stalling) -> None:
        client = make_client(server)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await read(client.chat_completion_stream(REQUEST))
        await stalling.until_left()
        stalling.left.clear()
        arrived = asyncio.Event()
        with pytest.raises(ExceptionGroup) as caught:
            async with asyncio.TaskGroup() as group:
                group.create_task(read_on(client.chat_completion_stream(REQUEST), arrived))
                group.create_task(fail_after(arrived))
        assert caught.group_contains(LookupError, match="elsewhere")
        await stalling.until_left()

    stalling = Stalling("Hel", "lo")
    with Server(stalling) as server:
        run(scenario(server, stalling))


@pytest.mark.parametrize("texts", [(), ("Hel",)], ids=["head", "chunk"])
def test_aclose_in_another_task_ends_the_loop_normally(run: Run, texts: tuple[str, ...]) -> None:
    async def scenario(server: Server, stalling: Stalling) -> None:
        stream = make_client(server).chat_completion_stream(REQUEST)
        got: list[str] = []

        async def read() -> str:
            got.extend([piece.text async for piece in stream])
            return "ended"

        task = asyncio.create_task(read())
        await stalling.until_arrived()
        while stream.timing.chunks < len(texts):
            await asyncio.sleep(0)
        await stream.aclose()
        await stream.aclose()
        assert await task == "ended"
        assert got == list(texts)
        assert stream.state == "stopped"
        with pytest.raises(StreamTruncatedError, match=f"the stream was stopped after {len(texts)} chunk"):
            await stream.final_completion()
        await stalling.until_left()

    stalling = Stalling(*texts)
    with Server(stalling) as server:
        run(scenario(server, stalling))


def test_aclose_while_connecting(run: Run) -> None:
    async def scenario(base_url: str) -> None:
        stream = AsyncClient(base_url=base_url, api_key=KEY).chat_completion_stream(REQUEST)
        task = asyncio.create_task(read(stream))
        for _ in range(100):  # turns of the loop: it is on its way by then
            await asyncio.sleep(0)
        assert (stream.state, task.done()) == ("open", False)
        await stream.aclose()
        assert await task == []
        assert stream.state == "stopped"

    with full_backlog() as port:
        run(scenario(f"http://127.0.0.1:{port}/v1"))


async def read(stream: AsyncChatCompletionStream) -> list[str]:
    return [piece.text async for piece in stream]


def test_two_tasks_cannot_wait_for_one_stream(run: Run) -> None:
    async def scenario(server: Server, stalling: Stalling) -> None:
        stream = make_client(server).chat_completion_stream(REQUEST)
        first = asyncio.create_task(read(stream))
        await stalling.until_arrived()
        with pytest.raises(ConfigurationError, match="the stream is already being read by another thread or task"):
            await anext(stream)
        assert stream.state == "open"
        await stream.aclose()
        assert await first == []

    stalling = Stalling()
    with Server(stalling) as server:
        run(scenario(server, stalling))


def test_a_cancellation_behind_the_last_chunk_leaves_a_complete_answer(run: Run) -> None:
    """`[DONE]` was there, and only the end of the body is waited for."""

    def serve(peer: Peer) -> None:
        peer.read_request()
        peer.begin_stream()
        peer.send_part(event(chunk("Hello", finish="stop")) + DONE)
        peer.wait_for_disconnect()

    async def scenario(server: Server) -> None:
        stream = make_client(server).chat_completion_stream(REQUEST)
        task = asyncio.create_task(read(stream))
        while stream.state != "complete":
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert stream.state == "complete"
        assert (await stream.final_completion()).text == "Hello"

    with Server(serve) as server:
        run(scenario(server))
