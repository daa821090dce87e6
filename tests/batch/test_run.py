"""`firsttoken.batch.run` and `arun` against a server that fails on purpose."""

import asyncio
import json
import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from firsttoken import AsyncClient, Client, Limiter, Timeout, chat_completion_request
from firsttoken.batch import InputError, Result, arun, run
from firsttoken.batch._runner import MAX_FAULTS
from firsttoken.errors import (
    AuthenticationError,
    BadRequestError,
    ChatCompletionError,
    ConfigurationError,
    RateLimitError,
)
from firsttoken.testing import (
    FAULTS,
    Gate,
    Request,
    ScriptedServer,
    ScriptLike,
    error,
    reply,
    role,
    text,
)
from tests.batch.files import answers, prompt_of, read_lines, times_sent, write_rows

SHORT = Timeout(connect_s=5, first_chunk_s=0.5, idle_s=0.5)


def echo(request: Request) -> ScriptLike:
    return f"re: {prompt_of(request)}"


async def collect(*args: object, **options: object) -> list[Result]:
    async with arun(*args, **options) as results:  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        return [result async for result in results]


# Files.


def test_each_row_gets_its_answer(chat_server: ScriptedServer, tmp_path: Path) -> None:
    chat_server.set_scripts(echo)
    out = tmp_path / "out.jsonl"
    summary = run(write_rows(tmp_path / "in.jsonl", 50), out, model="m")
    assert answers(out) == {f"r{n}": f"re: prompt {n}" for n in range(50)}
    assert (summary.rows, summary.complete, summary.failed, summary.stopped) == (50, 50, 0, False)
    assert summary.completion_tokens == 150
    assert all(request.is_streamed for request in chat_server.journal.requests)


def test_what_is_finished_is_not_sent_again(chat_server: ScriptedServer, tmp_path: Path) -> None:
    rows, out = write_rows(tmp_path / "in.jsonl", 20), tmp_path / "out.jsonl"
    first = run(rows, out, model="m", limit=12)
    assert (first.rows, first.complete) == (12, 12)
    out.write_bytes(out.read_bytes()[:-10])
    second = run(rows, out, model="m")
    assert (second.rows, second.finished_before, second.complete) == (20, 11, 9)
    assert len(answers(out)) == 20
    assert sum(times_sent(chat_server).values()) == 21
    assert run(rows, out, model="m").complete == 0


def test_rows_without_ids_are_told_apart_by_their_content(chat_server: ScriptedServer, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    summary = run(["Why?", "How?", "Why?"], out, model="m")
    assert (summary.rows, summary.duplicates, summary.complete) == (3, 1, 2)
    assert run(["How?", "Why?", "What?"], out, model="m").complete == 1
    assert times_sent(chat_server) == {"Why?": 1, "How?": 1, "What?": 1}


def test_one_id_for_two_rows_is_refused_before_anything_is_sent(chat_server: ScriptedServer, tmp_path: Path) -> None:
    rows = [{"id": "a", "prompt": "Why?"}, {"id": "b", "prompt": "Why?"}, {"id": "a", "prompt": "How?"}]
    with pytest.raises(InputError, match="row 3: the id 'a' is also that of another row"):
        run(rows, tmp_path / "out.jsonl", model="m")
    assert chat_server.journal.requests == []
    with pytest.raises(InputError, match="row 3: the id 'a' is also that of another row"):
        run(iter(rows), tmp_path / "out.jsonl", model="m")


def test_an_output_of_other_prompts_is_not_mixed_with_these(chat_server: ScriptedServer, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    run([{"id": "a", "prompt": "Why?"}], out, model="m")
    with pytest.raises(InputError, match="the output has the id 'a' with different content"):
        run([{"id": "a", "prompt": "Why?"}], out, model="another")
    assert len(chat_server.journal.requests) == 1


def test_no_row_that_can_be_sent_is_a_mistake_in_the_input(chat_server: ScriptedServer, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no row of the input can be sent: expected the field 'messages'"):
        run([{"text": "Why?"}] * 2, tmp_path / "out.jsonl", model="m")
    assert chat_server.journal.requests == []


def test_a_bad_row_is_an_error_row(chat_server: ScriptedServer, tmp_path: Path) -> None:
    rows = tmp_path / "in.jsonl"
    rows.write_text('{"prompt": "Why?"}\nnonsense\n{"id": "x", "messages": []}\n')
    out = tmp_path / "out.jsonl"
    summary = run(rows, out, model="m")
    assert (summary.complete, summary.failed, dict(summary.failures)) == (1, 2, {"ConfigurationError": 2})
    errors = {line["custom_id"]: line["error"]["message"] for line in read_lines(out) if line["error"]}
    assert errors["row-2"].startswith("line 2: invalid JSON")
    assert errors["x"] == "messages must be a list of objects, at least one"


def test_error_rows_are_sent_again_when_asked(chat_server: ScriptedServer, tmp_path: Path) -> None:
    rows, out = write_rows(tmp_path / "in.jsonl", 6), tmp_path / "out.jsonl"
    chat_server.set_scripts("ok", *[error(400, "too long")] * 2, "ok")
    first = run(rows, out, model="m", concurrency=1)
    assert (first.complete, first.failed, dict(first.failures)) == (4, 2, {"BadRequestError 400": 2})
    assert isinstance(first.examples["BadRequestError 400"], BadRequestError)
    assert run(rows, out, model="m").finished_before == 6
    again = run(rows, out, model="m", retry_errors=True)
    assert (again.finished_before, again.complete) == (4, 2)
    assert list(answers(out).values()) == ["ok"] * 6


def test_the_order_of_the_input_when_asked(chat_server: ScriptedServer, tmp_path: Path) -> None:
    gate = Gate()
    chat_server.set_scripts(lambda request: [gate, *reply("late")] if prompt_of(request) == "prompt 0" else "early")
    rows, out = write_rows(tmp_path / "in.jsonl", 9), tmp_path / "out.jsonl"

    def open_gate() -> None:
        if chat_server.journal.wait_until_ended(8):
            gate.open()

    thread = threading.Thread(target=open_gate)
    thread.start()
    run(rows, out, model="m", concurrency=3, ordered=True)
    thread.join()
    assert list(answers(out)) == [f"r{n}" for n in range(9)]


def test_shards_divide_the_rows(chat_server: ScriptedServer, tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "in.jsonl", 40)
    outs = [tmp_path / f"out-{n}.jsonl" for n in (1, 2, 3)]
    for number, out in enumerate(outs, 1):
        run(rows, out, model="m", shard=(number, 3))
    parts = [set(answers(out)) for out in outs]
    assert all(len(part) > 5 for part in parts)
    assert sum(map(len, parts)) == len(set[str]().union(*parts)) == 40


# What goes wrong with a row.


def test_a_truncated_answer_is_sent_again_not_stored(chat_server: ScriptedServer, tmp_path: Path) -> None:
    cut = [role(), text("re: "), text("prom")]
    chat_server.set_scripts(cut, cut, echo)
    out = tmp_path / "out.jsonl"
    summary = run(write_rows(tmp_path / "in.jsonl", 1), out, model="m")
    assert answers(out) == {"r0": "re: prompt 0"}
    assert summary.retries == 2


def test_a_row_that_fails_again_and_again_is_an_error_row_with_its_partial_text(
    chat_server: ScriptedServer, tmp_path: Path
) -> None:
    chat_server.set_scripts([role(), text("re: "), text("prom")])
    out = tmp_path / "out.jsonl"
    run(write_rows(tmp_path / "in.jsonl", 1), out, model="m")
    (line,) = read_lines(out)
    assert line["response"] is None
    assert {name: line["error"][name] for name in ("class", "attempts", "partial")} == {
        "class": "StreamTruncatedError",
        "attempts": MAX_FAULTS,
        "partial": "re: prom",
    }


def test_half_of_the_answers_faulty_and_none_stored_that_is_truncated(
    chat_server: ScriptedServer, tmp_path: Path
) -> None:
    dice = random.Random(7)
    # All but those that end a run or have it wait for a minute, and one that is a fault only where n=2 was asked for.
    ends = ("no-credit", "retry-after-an-hour", "one-choice-cut")
    faults = [fault for fault in FAULTS if fault.name not in ends and fault.script.waits_for_request]
    expected = {fault.name: fault.text for fault in faults if fault.is_complete}
    played: dict[str, set[str]] = {}
    lock, answered = threading.Lock(), threading.Event()

    def answer(request: Request) -> ScriptLike:
        with lock:
            # A wrong key, for one, ends a run as long as nothing was answered.
            fault = dice.choice(faults) if answered.is_set() and dice.random() < 0.5 else None
            whole = fault is None or fault.is_complete
            played.setdefault(prompt_of(request), set()).update(
                [expected[fault.name] if fault else f"re: {prompt_of(request)}"] if whole else []
            )
        return fault or echo(request)

    chat_server.set_scripts(answer)
    out = tmp_path / "out.jsonl"

    async def send() -> None:
        results: list[Result] = []
        async with AsyncClient(timeout=SHORT) as client:
            async for result in arun(rows, model="m", client=client, concurrency=16):
                answered.set()
                results.append(result)
        out.write_text("".join(f"{json.dumps(result.to_dict())}\n" for result in results))

    rows = write_rows(tmp_path / "in.jsonl", 150)
    asyncio.run(send())
    found = answers(out)
    assert len(found) == 150
    for number in range(150):
        answer_text = found[f"r{number}"]
        assert answer_text is None or answer_text in played[f"prompt {number}"]
    assert 75 < sum(answer_text is not None for answer_text in found.values()) < 150


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (error(401, "bad key"), AuthenticationError),
        (error(429, "no credit", code="insufficient_quota"), RateLimitError),
    ],
)
def test_what_all_rows_would_meet_ends_the_run(
    chat_server: ScriptedServer, tmp_path: Path, script: ScriptLike, kind: type[ChatCompletionError]
) -> None:
    chat_server.set_scripts([script])  # type: ignore[list-item]
    out = tmp_path / "out.jsonl"
    summary = run(write_rows(tmp_path / "in.jsonl", 100), out, model="m")
    assert isinstance(summary.reason, kind)
    assert (summary.stopped, summary.complete, summary.failed) == (True, 0, 0)
    assert len(chat_server.journal.requests) <= 4
    chat_server.set_scripts(echo)
    assert run(tmp_path / "in.jsonl", out, model="m").complete == 100


def test_no_credit_in_the_middle_ends_the_run_and_loses_nothing(chat_server: ScriptedServer, tmp_path: Path) -> None:
    chat_server.set_scripts(*["ok"] * 30, error(429, "no credit", code="insufficient_quota"))
    out = tmp_path / "out.jsonl"
    summary = run(write_rows(tmp_path / "in.jsonl", 100), out, model="m", concurrency=4)
    assert summary.stopped
    assert (summary.complete, summary.failed) == (30, 0)


def test_an_error_of_a_row_alone_does_not_end_the_run(chat_server: ScriptedServer, tmp_path: Path) -> None:
    chat_server.set_scripts("ok", error(401, "not for you"), "ok")
    summary = run(write_rows(tmp_path / "in.jsonl", 9), tmp_path / "out.jsonl", model="m", concurrency=1)
    assert (summary.complete, dict(summary.failures)) == (8, {"AuthenticationError 401": 1})


# The iterator.


def test_results_come_in_the_order_of_completion(chat_server: ScriptedServer) -> None:
    gate = Gate()
    chat_server.set_scripts(lambda request: [gate, *reply("late")] if prompt_of(request) == "a" else "early")

    async def send() -> list[str]:
        seen: list[str] = []
        async with arun(["a", "b", "c"], model="m", concurrency=2) as results:
            async for result in results:
                seen.append(str(result.value))
                if len(seen) == 2:
                    gate.open()
        return seen

    assert asyncio.run(send()) == ["b", "c", "a"]


def test_requests_and_objects_are_rows(chat_server: ScriptedServer) -> None:
    chat_server.set_scripts(echo)
    request = chat_completion_request("own", "Why?")
    rows = [request, {"id": "x", "prompt": "How?"}, "What?"]
    results = asyncio.run(collect(rows, model=None, defaults={"model": "m"}))
    assert {result.text for result in results} == {"re: Why?", "re: How?", "re: What?"}
    assert {id(result.value) for result in results} == set(map(id, rows))
    assert {request.json["model"] for request in chat_server.journal.requests} == {"own", "m"}


def test_what_the_rows_raise_is_raised(chat_server: ScriptedServer) -> None:
    def rows() -> Iterator[str]:
        yield "a"
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        asyncio.run(collect(rows(), model="m"))


def test_rows_are_read_as_they_are_sent(chat_server: ScriptedServer) -> None:
    read = 0

    def rows() -> Iterator[str]:
        nonlocal read
        for number in range(100_000):
            read = number
            yield f"prompt {number}"

    async def send() -> None:
        async with arun(rows(), model="m", concurrency=4) as results:
            for _ in range(20):
                await anext(results)

    asyncio.run(send())
    assert read < 200


def test_leaving_it_ends_the_requests_in_flight(chat_server: ScriptedServer) -> None:
    chat_server.set_scripts("ok", [role(), text("So"), Gate()])

    async def send() -> None:
        async with arun([f"{n}" for n in range(9)], model="m", concurrency=3) as results:
            await anext(results)
            await asyncio.to_thread(chat_server.journal.wait_until_requests, 4)

    asyncio.run(send())
    assert chat_server.journal.wait_for_disconnect(3)


def test_stopping_finishes_what_is_in_flight(chat_server: ScriptedServer) -> None:
    gate = Gate()
    chat_server.set_scripts([gate, *reply("So.")])

    async def send() -> int:
        async with arun([f"{n}" for n in range(9)], model="m", concurrency=3) as results:
            first = asyncio.ensure_future(anext(results))
            await asyncio.to_thread(chat_server.journal.wait_until_requests, 3)
            assert results.in_flight == 3
            results.stop()
            gate.open(3)
            assert (await first).text == "So."
            return 1 + len([result async for result in results])

    assert asyncio.run(send()) == 3
    assert len(chat_server.journal.requests) == 3


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: run([], "out", model="m", shard=(0, 2)), r"shard must be \(i, n\) with 1 <= i <= n, not \(0, 2\)"),
        (lambda: run([], "out", model="m", concurrency=0), "concurrency must be a number above 0"),
        (lambda: run(iter([]), "out", model="m", ordered=True), "ordered=True needs an input that can be read twice"),
        (lambda: arun([], client=Client("k", "http://x")), "client must be an AsyncClient, not Client"),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ],
)
def test_arguments_that_can_not_be_used(
    call: Callable[[], object], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=message):
        call()
    assert list(tmp_path.iterdir()) == []


def test_the_limiter_of_the_client_is_that_of_the_batch(chat_server: ScriptedServer, tmp_path: Path) -> None:
    limiter = Limiter(concurrency=2)
    client = AsyncClient(limiter=limiter)
    results = arun(["a", "b", "c"], model="m", client=client)
    assert results.limiter is limiter
    summary = run(["a", "b", "c"], tmp_path / "out.jsonl", model="m", client=client)
    assert summary.complete == 3
    assert (limiter.running, limiter.waiting) == (0, 0)
    assert client._config.limiter is limiter


def test_run_in_an_event_loop_is_refused(tmp_path: Path) -> None:
    async def send() -> None:
        run([], tmp_path / "out.jsonl")

    with pytest.raises(ConfigurationError, match="from a running event loop"):
        asyncio.run(send())


def test_the_input_is_not_the_output(tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "in.jsonl", 1)
    with pytest.raises(InputError, match="can't be both the input and the output"):
        run(rows, tmp_path / "in.jsonl", model="m")
