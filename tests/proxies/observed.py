"""What a client sees through a proxy: each fault's outcome, and how late a chunk is."""

import time
from dataclasses import dataclass
from pathlib import Path

from firsttoken import ChatCompletion, Client, Timeout, chat_completion_request
from firsttoken.errors import APITimeoutError, ChatCompletionError
from firsttoken.testing import FAULTS, Fault, Gate, ScriptedServer, done, finish
from tests.proxies.programs import Proxy

REQUEST = chat_completion_request("test-model", "Why is the sky blue?")
_DEADLINE_S = 1.0
_CHUNKS = 40
_HELD = Timeout(first_chunk_s=3, idle_s=3)


@dataclass
class Observed:
    """What was seen of a proxy.

    Attributes:
        complete: good answers that came complete.
        failed: broken answers that were an error.
        mended: the names of the broken ones that arrived complete: with all of their text, and a finish reason.
        delays_ms: from the server's sending of a chunk to the caller's having it, in milliseconds; none where the proxy
            holds a chunk until there are more.
    """

    complete: int = 0
    failed: int = 0
    mended: tuple[str, ...] = ()
    delays_ms: tuple[float, ...] = ()


def observe(proxy: Proxy, folder: Path, faults: tuple[Fault, ...] = FAULTS) -> Observed:
    """Send each fault through the proxy, then chunks one by one."""
    seen = Observed()
    with ScriptedServer() as server, proxy.start(_new(folder), f"http://127.0.0.1:{server.port}") as address:
        for fault in faults:
            server.set_scripts(fault)
            _count(seen, fault, _answer(address))
    seen.delays_ms = delays_ms(proxy, folder)
    return seen


def _count(seen: Observed, fault: Fault, answer: ChatCompletion | None) -> None:
    if fault.is_complete:
        seen.complete += answer is not None
    elif answer is None:
        seen.failed += 1
    else:
        assert (answer.text, answer.finish_reason) == (fault.text, "stop"), f"half an answer: {fault.name}"
        seen.mended += (fault.name,)


def _answer(address: str) -> ChatCompletion | None:
    timeout = Timeout(first_chunk_s=_DEADLINE_S, idle_s=_DEADLINE_S)
    with Client(base_url=f"{address}/v1", api_key="none", proxy="", timeout=timeout, max_retries=0) as client:
        try:
            return client.chat_completion_stream(REQUEST).final_completion()
        except ChatCompletionError:
            return None


def delays_ms(proxy: Proxy, folder: Path) -> tuple[float, ...]:
    """How long each of some chunks takes through the proxy; the next one is sent when the last was read."""
    gates = [Gate() for _ in range(_CHUNKS)]
    script = ["It ", *(step for gate in gates for step in (gate, "scatters ")), finish(), done()]
    delays: list[float] = []
    with (
        ScriptedServer(script) as server,
        proxy.start(_new(folder), f"http://127.0.0.1:{server.port}") as address,
        Client(base_url=f"{address}/v1", api_key="none", proxy="", timeout=_HELD, max_retries=0) as client,
    ):
        texts = client.chat_completion_stream(REQUEST).iter_text()
        try:
            assert next(texts)
            for gate in gates:
                assert gate.wait_until_reached()
                sent_at = time.monotonic()
                gate.open()
                assert next(texts)
                delays.append((time.monotonic() - sent_at) * 1000)
        except APITimeoutError:
            return ()
        finally:
            for gate in gates:
                gate.open()
    return tuple(delays)


def _new(folder: Path) -> Path:
    new = folder / str(len(list(folder.iterdir())))
    new.mkdir()
    return new
