"""Recordings: what `record` hears of both clients, and the file that keeps it."""

import gzip
import json
import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest

from firsttoken import Client, Timeout, chat_completion_request
from firsttoken.errors import BadRequestError, ChatCompletionError, RateLimitError
from firsttoken.testing import (
    Gate,
    Read,
    RecordedExchange,
    Recording,
    RecordingError,
    ScriptedServer,
    close,
    done,
    error,
    finish,
    record,
    refuse,
    reply,
    reset,
    respond,
    stall,
    wire_bytes,
)
from firsttoken.testing._recording import RecordedEndReason
from firsttoken.types import CallInfo, CallObserver, ChatCompletion, Observer
from tests.support.clients import REQUEST, MakeClient, drain, make_socket_client
from tests.support.core import run
from tests.support.errors import message_of

__all__ = ["make_socket_client"]


KEY = "sk-Qw7Zx9Kp2Lm4"


def real(client: Any) -> Client:
    """The client itself, where tests have the async one in the sync one's clothes."""
    return getattr(client, "_client", client)


def accumulate(exchange: RecordedExchange) -> str:
    outcome = run((read.data for read in exchange.body_reads()), eof=False)
    assert outcome.complete
    return outcome.completion.text


@pytest.fixture
def recording(tmp_path: Path, make_client: MakeClient) -> Recording:
    """Of two gated chunks and a retry before them."""
    gate = Gate()
    refusal = error(429, "slow down", headers={"retry-after-ms": "1", "set-cookie": "id=1234"})
    with ScriptedServer(refusal, ["Hel", gate, "lo", finish(), done()]) as server:
        client = make_client(server.base_url, max_retries=1)
        with record(real(client), tmp_path / "it.jsonl") as recording:
            stream = client.chat_completion_stream(REQUEST)
            assert next(stream).text == "Hel"
            gate.open()
            assert stream.final_completion().text == "Hello"
    return recording


def test_each_attempt_is_an_exchange_with_its_reads(recording: Recording) -> None:
    refused, answered = recording.exchanges
    assert (refused.call, refused.attempt, refused.status, refused.end_reason) == (1, 1, 429, "complete")
    assert refused.error == "the server answered 429 Too Many Requests: slow down"
    assert (answered.call, answered.attempt, answered.status, answered.end_reason) == (1, 2, 200, "complete")
    assert answered.error is None
    assert recording.answers() == [answered]
    assert answered.origin.startswith("http://127.0.0.1:")
    assert answered.request_head.startswith(b"POST /v1/chat/completions HTTP/1.1\r\n")
    assert json.loads(answered.request_body)["model"] == REQUEST.model


def test_a_read_has_its_time_its_bytes_and_its_share_of_the_head(recording: Recording) -> None:
    reads = recording.exchanges[1].reads
    before, behind = ([part in read.data for read in reads].index(True) for part in (b'"Hel"', b'"lo"'))
    assert before < behind  # the gate was between them
    assert sorted(read.ns for read in reads) == [read.ns for read in reads]
    head = recording.exchanges[1].head
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert head.endswith(b"\r\n\r\n")
    assert reads[0].data.startswith(head)
    assert [read.head_size for read in reads[1:]] == [0] * (len(reads) - 1)
    ended_ns = recording.exchanges[1].ended_ns
    assert ended_ns is not None
    assert reads[-1].ns <= ended_ns


def test_the_file_says_what_the_recording_does(recording: Recording, tmp_path: Path) -> None:
    loaded = Recording.load(tmp_path / "it.jsonl")
    assert loaded == recording
    loaded.save(tmp_path / "again.jsonl")
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "it.jsonl").read_bytes()


def test_nothing_of_the_key_is_in_the_file(tmp_path: Path, make_client: MakeClient) -> None:
    echo = [f"you sent {KEY[:9]}", f"and {KEY}", finish(), done()]
    headers = {"x-echo": f"it was {KEY}"}
    with ScriptedServer(error(401, f"no such key: {KEY}", headers=headers), echo) as server:
        client = make_client(
            f"{server.base_url}?key=short&api-version=2", api_key=KEY, default_headers={"api-key": "tiny"}
        )
        with record(real(client), str(tmp_path / "it.jsonl"), redact="Rayleigh"):
            drain(client.chat_completion_stream(REQUEST))
            texts, failure = drain(client.chat_completion_stream(REQUEST))
    assert (texts[0], failure) == (f"you sent {KEY[:9]}", None)
    said = (tmp_path / "it.jsonl").read_text()
    assert [part for at in range(len(KEY) - 3) if (part := KEY[at : at + 4]) in said] == []
    assert "tiny" not in said
    assert "key=*****&api-version=2" in said
    assert "Bearer " + "*" * len(KEY) in said
    assert "no such key: [redacted]" in said


@pytest.mark.skipif(os.name != "posix", reason="elsewhere a file has no such permissions")
def test_a_recording_is_for_its_owner_alone(tmp_path: Path) -> None:
    there, linked = tmp_path / "there.jsonl", tmp_path / "linked.jsonl"
    there.write_text("of before")
    there.chmod(0o644)
    linked.symlink_to(tmp_path / "target")
    with ScriptedServer("Hello") as server, Client(base_url=server.base_url) as client:
        for path in (there, tmp_path / "new.jsonl"):
            with record(client, path) as recording:
                client.chat_completion(REQUEST)
            assert path.stat().st_mode & 0o777 == 0o600
        with pytest.raises(RecordingError, match=r"^can't write .*linked\.jsonl: it is a symbolic link$"):
            record(client, linked).__enter__()
    with pytest.raises(RecordingError, match=r"^can't write .*linked\.jsonl: it is a symbolic link$"):
        recording.save(linked)
    recording.save(tmp_path / "saved.jsonl")
    assert (tmp_path / "saved.jsonl").stat().st_mode & 0o777 == 0o600
    assert not (tmp_path / "target").exists()


def test_half_a_surrogate_pair_in_an_error_is_recorded(tmp_path: Path) -> None:
    refusal = error(400, "half an emoji: \ud83d")
    with (
        ScriptedServer(refusal) as server,
        Client(base_url=server.base_url) as client,
        record(client, tmp_path / "it.jsonl"),
        pytest.raises(BadRequestError, match="half an emoji: \ud83d"),
    ):
        client.chat_completion(REQUEST)
    (exchange,) = Recording.load(tmp_path / "it.jsonl").exchanges
    assert str(exchange.error).endswith("half an emoji: ?")


def test_words_of_ones_own_are_masked(tmp_path: Path) -> None:
    with (
        ScriptedServer("It is Rayleigh's.") as server,
        Client(base_url=server.base_url) as client,
        record(client, tmp_path / "it.jsonl", redact=["Rayleigh", "sky"]),
    ):
        assert client.chat_completion(REQUEST).text == "It is Rayleigh's."
    said = (tmp_path / "it.jsonl").read_text()
    assert "It is ********'s." in said
    assert "Why is the *** blue?" in said


ENDINGS: list[tuple[RecordedEndReason, list[Any], str | None]] = [
    ("server closed", ["Hel", close()], "the connection was closed before the end of the response"),
    ("server reset", ["Hel", reset()], "lost the connection to"),
    ("client timeout", ["Hel", stall()], "after 0.05 s (idle_s)"),
]


@pytest.mark.parametrize(("ending", "script", "words"), ENDINGS, ids=[ending for ending, *_ in ENDINGS])
def test_how_it_ended_is_kept(make_client: MakeClient, ending: str, script: list[Any], words: str) -> None:
    with ScriptedServer(script) as server:
        client = make_client(server.base_url, timeout=Timeout(idle_s=0.05))
        with record(real(client)) as recording:
            texts, _ = drain(client.chat_completion_stream(REQUEST))
    (exchange,) = recording.exchanges
    assert (texts, exchange.end_reason) == (["Hel"], ending)
    assert words in str(exchange.error)
    assert exchange.ended_ns is not None
    assert exchange.reads[-1].ns <= exchange.ended_ns


def test_a_caller_who_leaves_is_an_end_too(make_client: MakeClient) -> None:
    with ScriptedServer(["Hel", stall()]) as server:
        client = make_client(server.base_url)
        with record(real(client)) as recording, client.chat_completion_stream(REQUEST) as stream:
            assert next(stream).text == "Hel"
    assert [(exchange.end_reason, exchange.error) for exchange in recording.exchanges] == [("client closed", None)]


def test_what_is_no_http_is_left_by_the_client(make_client: MakeClient) -> None:
    with ScriptedServer([wire_bytes(b"SSH-2.0-x\r\n")]) as server:
        client = make_client(server.base_url)
        with record(real(client)) as recording:
            drain(client.chat_completion_stream(REQUEST))
    (exchange,) = recording.exchanges
    assert (exchange.end_reason, exchange.status, exchange.head) == ("client closed", None, b"SSH-2.0-x\r\n")
    assert str(exchange.error).startswith("invalid HTTP/1.1 response")


def test_a_deadline_while_the_request_is_sent_is_one_of_the_client() -> None:
    request = chat_completion_request("m", "x" * 32 * 1024 * 1024)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        client = Client(base_url=f"http://127.0.0.1:{deaf.getsockname()[1]}/v1", timeout=Timeout(first_chunk_s=0.1))
        with record(client) as recording:
            drain(client.chat_completion_stream(request))
    assert [(exchange.end_reason, exchange.reads) for exchange in recording.exchanges] == [("client timeout", [])]


def test_a_call_that_is_left_before_it_was_sent_is_none() -> None:
    with socket.socket() as listener, ThreadPoolExecutor(1) as pool:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        client = Client(base_url=f"https://127.0.0.1:{port}/v1")
        with record(client) as recording:
            stream = client.chat_completion_stream(REQUEST)
            reading = pool.submit(drain, stream)
            accepted, _ = listener.accept()
            with accepted:
                stream.close()
                assert reading.result(timeout=10) == ([], None)
    assert recording.exchanges == []


def test_where_there_was_no_connection_the_request_was_not_sent(make_client: MakeClient) -> None:
    with ScriptedServer(refuse()) as server:
        client = make_client(server.base_url)
        with record(real(client)) as recording:
            drain(client.chat_completion_stream(REQUEST))
    (exchange,) = recording.exchanges
    assert (exchange.end_reason, exchange.ended_ns, exchange.status, exchange.reads) == ("no connection", 0, None, [])
    assert "Connection refused" in str(exchange.error)


def test_a_client_of_ones_own_is_heard_too() -> None:
    with (
        httpx2.Client(headers={"x-api-key": KEY}) as http_client,
        ScriptedServer(f"You sent {KEY}", ["Hel", close()]) as server,
        Client(base_url=server.base_url, http_client=http_client) as client,
        record(client) as recording,
    ):
        assert drain(client.chat_completion_stream(REQUEST))[1] is None
        assert drain(client.chat_completion_stream(REQUEST))[0] == ["Hel"]
    assert [exchange.end_reason for exchange in recording.exchanges] == ["complete", "server closed"]
    assert accumulate(recording.exchanges[0]) == f"You sent {'*' * len(KEY)}"


def test_a_token_that_a_function_gave_is_no_attempt_of_its_own_and_not_recorded(tmp_path: Path) -> None:
    tokens = iter([f"{KEY}-1", f"{KEY}-2"])
    with (
        ScriptedServer(error(503, f"{KEY}-1", headers={"retry-after-ms": "1"}), f"You sent {KEY}-2") as server,
        Client(base_url=server.base_url, api_key=lambda: next(tokens)) as client,
        record(client, tmp_path / "it.jsonl") as recording,
    ):
        client.chat_completion(REQUEST)
    assert [(exchange.call, exchange.attempt) for exchange in recording.exchanges] == [(1, 1), (1, 2)]
    assert KEY[:8] not in (tmp_path / "it.jsonl").read_text()


def test_a_stream_that_goes_on_is_heard_until_the_recording_ends(tmp_path: Path) -> None:
    gate = Gate()
    script = ["Hel", gate, "lo", finish(), done()]
    with ScriptedServer(script) as server, Client(base_url=server.base_url) as client:
        with record(client, tmp_path / "it.jsonl") as recording:
            stream = client.chat_completion_stream(REQUEST)
            assert next(stream).text == "Hel"
            with pytest.raises(ValueError, match="this client is being recorded already"), record(client):
                pass
            lines = (tmp_path / "it.jsonl").read_text().splitlines()
            assert "Hel" in lines[-1]  # it is written as it comes
        gate.open()
        assert stream.final_completion().text == "Hello"
        assert client.chat_completion_stream(REQUEST).state == "idle"
    (exchange,) = Recording.load(tmp_path / "it.jsonl").exchanges
    assert exchange.end_reason is None
    assert [exchange] == recording.exchanges
    recording.save(tmp_path / "again.jsonl")
    assert Recording.load(tmp_path / "again.jsonl") == recording
    assert exchange.status == 200


def test_calls_at_the_same_time_are_told_apart(tmp_path: Path) -> None:
    gates = [Gate(), Gate()]
    scripts: list[Any] = [[name, gate, finish(), done()] for name, gate in zip("ab", gates, strict=True)]
    with (
        ScriptedServer(*scripts) as server,
        Client(base_url=server.base_url) as client,
        record(client, tmp_path / "it.jsonl"),
    ):
        streams = [client.chat_completion_stream(REQUEST) for _ in scripts]
        assert [next(stream).text for stream in streams] == ["a", "b"]
        threads = [threading.Thread(target=stream.final_completion) for stream in streams]
        for thread, gate in zip(threads, gates, strict=True):
            thread.start()
            gate.open()
        for thread in threads:
            thread.join()
    exchanges = Recording.load(tmp_path / "it.jsonl").exchanges
    assert [(exchange.call, exchange.end_reason) for exchange in exchanges] == [(1, "complete"), (2, "complete")]
    assert [accumulate(exchange) for exchange in exchanges] == ["a", "b"]


def test_a_disk_that_is_full_ends_the_recording_alone() -> None:
    with ScriptedServer("Hello") as server, Client(base_url=server.base_url) as client:
        recorded = record(client, "/dev/full")
        recording = recorded.__enter__()
        assert client.chat_completion(REQUEST).text == "Hello"
        with pytest.raises(RecordingError, match=r"^can't write /dev/full: No space left on device$"):
            recorded.__exit__(None, None, None)
    assert len(recording.exchanges) == 1


def test_what_the_block_raises_goes_before_a_full_disk() -> None:
    with (
        ScriptedServer(error(429, "slow down")) as server,
        Client(base_url=server.base_url, max_retries=0) as client,
        pytest.raises(RateLimitError, match="slow down"),
        record(client, "/dev/full"),
    ):
        client.chat_completion(REQUEST)


def test_a_folder_that_is_not_there_is_said_before_anything_is_asked(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"can't write .*/none/it\.jsonl: No such file"):
        record(Client(base_url="http://127.0.0.1:9/v1"), tmp_path / "none" / "it.jsonl").__enter__()
    with pytest.raises(RecordingError, match=r"can't write .*/none/it\.jsonl: No such file"):
        Recording().save(tmp_path / "none" / "it.jsonl")
    with pytest.raises(RecordingError, match=r"can't read .*/it\.jsonl: No such file"):
        Recording.load(tmp_path / "it.jsonl")


def test_the_client_of_another_library_is_refused_and_the_file_left_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "it.jsonl"
    path.write_text("precious")
    other: Any = httpx2.Client()
    with (
        other,
        pytest.raises(TypeError, match=r"^record\(\) takes a Client or an AsyncClient of firsttoken, not Client$"),
    ):
        record(other, path).__enter__()
    assert path.read_text() == "precious"


def test_the_clients_own_observer_goes_on_being_told() -> None:
    ended: list[str] = []

    class Listening(CallObserver):
        def call_ended(self, outcome: str, completion: ChatCompletion, error: ChatCompletionError | None) -> None:
            ended.append(outcome)

    class Own(Observer):
        def call_started(self, call: CallInfo) -> CallObserver:
            return Listening()

    own = Own()
    with ScriptedServer("Hello") as server, Client(base_url=server.base_url, observer=own) as client:
        with record(client) as recording:
            client.chat_completion_stream(REQUEST).final_completion()
        assert client.observer is own
        client.chat_completion_stream(REQUEST).final_completion()
    assert ended == ["complete", "complete"]
    assert len(recording.exchanges) == 1


# The file.

FIRST = '{"firsttoken_recording":1}'
BEGIN = '{"exchange":1,"call":1,"attempt":1,"origin":"http://h","head":"POST","body":"{}"}'
READ = '{"exchange":1,"ns":5,"head":"HTTP/1.1 200 OK\\r\\n\\r\\n","body":"a"}'
END = '{"exchange":1,"ns":6,"end":"complete"}'


def load(tmp_path: Path, *lines: str) -> Recording:
    (tmp_path / "it.jsonl").write_text("\n".join(lines))
    return Recording.load(tmp_path / "it.jsonl")


def test_bytes_that_are_no_text_are_base64(tmp_path: Path) -> None:
    text = "é\u2028\x9b".encode()
    reads = [Read(1, b"h" + text, 1), Read(2, b"h\xff\xc3", 1), Read(3, b"\xa9", 0)]
    exchange = RecordedExchange(1, 1, "http://h", b"POST", b"{}", reads, "server closed", 7, "it broke")
    Recording([exchange]).save(tmp_path / "it.jsonl")
    lines = (tmp_path / "it.jsonl").read_bytes().decode().splitlines()
    assert lines[2:] == [
        '{"exchange":1,"ns":1,"head":"h","body":"é\\u2028\\u009b"}',
        '{"exchange":1,"ns":2,"head":"h","body_base64":"/8M="}',
        '{"exchange":1,"ns":3,"body_base64":"qQ=="}',
        '{"exchange":1,"ns":7,"end":"server closed","error":"it broke"}',
    ]
    assert Recording.load(tmp_path / "it.jsonl").exchanges == [exchange]


def test_the_file_that_the_docs_show_is_one(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "record-and-replay.md").read_text(encoding="utf-8")
    (tmp_path / "it.jsonl").write_text(page.partition("```json\n")[2].partition("```")[0], encoding="utf-8")
    (exchange,) = Recording.load(tmp_path / "it.jsonl").exchanges
    assert (exchange.status, exchange.end_reason, len(exchange.reads)) == (200, "complete", 2)


def test_names_of_later_versions_are_left_aside(tmp_path: Path) -> None:
    recording = load(tmp_path, FIRST, BEGIN, READ.replace("{", '{"later":[1],'), END, "")
    assert [(exchange.end_reason, exchange.reads[0].data[-1:]) for exchange in recording.exchanges] == [
        ("complete", b"a")
    ]


CUT = "\nhint: was the file cut or edited? Take this line and all after it away, and the rest can be read"
FOREIGN = "1: this is not a recording\nhint: firsttoken ask --record FILE makes one; its first line says what it is"
BROKEN = [
    ([""], FOREIGN),
    (["[1]"], FOREIGN),
    (['{"a":1}'], FOREIGN),
    (["\x00\x01"], FOREIGN),
    (['{"firsttoken_recording":2}'], "1: this is a recording of version 2, and firsttoken "),
    ([FIRST, BEGIN, READ[:-9]], "3: expected a JSON object" + CUT),
    ([FIRST, "", BEGIN], "2: expected a JSON object" + CUT),
    ([FIRST, "[" * 100_000], "2: expected a JSON object" + CUT),
    ([FIRST, READ], "2: exchange 1 goes on, but has not begun" + CUT),
    ([FIRST, BEGIN, BEGIN], "3: exchange 1 begins, but 2 would be next" + CUT),
    ([FIRST, BEGIN, END, READ], "4: exchange 1 goes on, but has ended" + CUT),
    ([FIRST, BEGIN, READ.replace("5", "-5")], '3: "ns" must be an integer, not -5' + CUT),
    ([FIRST, BEGIN, READ.replace("5", "9" * 18)], f'3: "ns" is {"9" * 18}, which is more than a year' + CUT),
    ([FIRST, BEGIN, END.replace("6", "9" * 18)], f'3: "ns" is {"9" * 18}, which is more than a year' + CUT),
    ([FIRST, BEGIN, READ.replace("5", "true")], '3: "ns" must be an integer, not true' + CUT),
    ([FIRST, BEGIN, READ.replace('"a"', '"\\ud800"')], '3: "body" or "body_base64" holds no bytes: '),
    ([FIRST, BEGIN, '{"exchange":1,"ns":1,"body_base64":"!"}'], '3: "body" or "body_base64" holds no bytes: '),
    ([FIRST, BEGIN, '{"exchange":1,"ns":1,"body_base64":"é"}'], '3: "body" or "body_base64" holds no bytes: '),
    ([FIRST, BEGIN, END.replace("complete", "gone")], "3: \"end\" is 'gone', which is none of: complete, server"),
]


@pytest.mark.parametrize(("lines", "words"), BROKEN)
def test_a_file_that_is_wrong_says_where(tmp_path: Path, lines: list[str], words: str) -> None:
    with pytest.raises(RecordingError) as caught:
        load(tmp_path, *lines)
    assert message_of(caught.value).startswith(f"{tmp_path / 'it.jsonl'}:{words}")


# Without a connection.


def test_a_recording_feeds_the_core_read_by_read(recording: Recording) -> None:
    answered = recording.exchanges[1]
    assert accumulate(answered) == "Hello"
    assert [read.ns for read in answered.body_reads()] == [
        read.ns for read in answered.reads if read.data[read.head_size :] not in (b"", b"0\r\n\r\n")
    ]


def test_a_compressed_body_is_read_without_its_coding() -> None:
    with ScriptedServer(reply("Hello there" + "!" * 100_000)) as server, Client(base_url=server.base_url) as client:
        with record(client) as recording:
            client.chat_completion_stream(REQUEST).final_completion()
        plain = [read.data for read in recording.exchanges[0].body_reads()]
        body = gzip.compress(b"".join(plain))
        server.set_scripts(respond(200, body, {"content-type": "text/event-stream", "content-encoding": "gzip"}))
        with record(client) as recording:
            client.chat_completion_stream(REQUEST).final_completion()
    assert [part for part in (b"Hello", b"there") if part in recording.exchanges[0].reads[-1].data] == []
    assert accumulate(recording.exchanges[0]) == "Hello there" + "!" * 100_000
