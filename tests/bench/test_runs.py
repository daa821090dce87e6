"""firsttoken.bench against real servers: what it measures is what was sent."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from firsttoken.bench import Config, merge, run
from firsttoken.bench.config import Level
from firsttoken.testing import ScriptedServer, close, done, finish, pause, role
from tests.bench.paced_server import steps
from tests.support import command

GAP_S = 0.02


def config(server: ScriptedServer | str, **settings: Any) -> Config:
    base_url = server if isinstance(server, str) else server.base_url
    settings = {"levels": [Level(concurrency=1)], "requests": 10, "warmup": 1, "proxy": ""} | settings
    return Config(model="m", base_url=base_url, data="synthetic:in=4,out=10", **settings)


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-tests")


@contextmanager
def paced_server(gap_s: float = GAP_S) -> Generator[tuple[str, "subprocess.Popen[str]"]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.paced_server", str(gap_s)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip(), process
    finally:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.communicate()


def test_known_gaps_are_measured() -> None:
    with paced_server() as (base_url, _):
        (level,) = run(config(base_url, requests=30))["levels"]
    assert (level["requests"], level["completed"], level["failed"]) == (30, 30, {})
    assert level["ttft_s"]["count"] == 30
    assert 250 <= level["inter_chunk_s"]["count"] <= 270  # two chunks may come in one read
    # The role chunk is not a token; the usage is the server's. What exceeds the truth is the machine's: the loop's lag.
    late_s = 0.001 + level["loop_lag_s"]["p90"]
    for metric, truth_s in (("ttft_s", GAP_S), ("inter_chunk_s", GAP_S), ("tpot_s", GAP_S)):
        assert truth_s - 0.001 <= level[metric]["p50"] <= truth_s + late_s, metric
    assert level["e2e_s"]["p50"] == pytest.approx(10 * GAP_S, abs=10 * late_s)
    assert level["output_tokens"] == 300
    assert level["distinct_prompts"] == 30


def test_cut_streams_are_failures_and_in_no_mean() -> None:
    cut: list[Any] = [role(), pause(0.5), "half", close()]
    whole: list[Any] = [role(), "all", finish(), done()]
    with ScriptedServer(*[*[whole] * 19, cut] * 4, whole) as server:
        (level,) = run(config(server, requests=80, warmup=0))["levels"]
    assert level["failed"] == {"truncated": 4}
    assert (level["verdict"], level["reason"]) in (
        ("server-errors", "5.0% of the requests failed, mostly truncated"),
        ("client-limited", level["reason"]),  # on a machine that is busy with other things
    )
    assert level["completed"] == 76
    assert level["e2e_s"]["max"] < 0.5
    assert level["output_tokens_per_s"] is None


def test_a_stall_shows_from_the_intended_start() -> None:
    with paced_server(0.001) as (base_url, server):
        timers = [
            threading.Timer(s, server.send_signal, [sign]) for s, sign in ((1.5, signal.SIGSTOP), (3.5, signal.SIGCONT))
        ]
        settings = {"levels": [Level(rate=20)], "requests": None, "duration_s": 6.0, "warmup": 1}
        started = threading.Event()

        def on_progress(*_: object) -> None:
            if not started.is_set():
                started.set()
                for timer in timers:
                    timer.start()

        (level,) = run(config(base_url, **settings), on_progress=on_progress)["levels"]
        for timer in timers:
            timer.join()
    assert level["requests"] == 120
    assert level["e2e_intended_s"]["p99"] > 1.5
    assert level["e2e_intended_s"]["p50"] < 0.5


def test_the_rate_is_the_one_that_was_asked_for() -> None:
    settings = {"levels": [Level(rate=100)] * 3, "requests": None, "duration_s": 2.0, "arrival": "poisson"}
    with ScriptedServer([role(), "x", finish(), done()]) as server:
        levels = run(config(server, **settings))["levels"]
    assert [level["requests"] for level in levels] == [200, 200, 200]
    # The best of three: where other tests have the cores, no client can keep its times.
    assert max(level["achieved_rate"] for level in levels) == pytest.approx(100, rel=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("arrival", ["constant", "poisson"])
def test_200_requests_a_second_for_half_a_minute(arrival: str) -> None:
    with ScriptedServer([role(), "x", finish(), done()]) as server:
        settings = {"levels": [Level(rate=200)], "requests": None, "duration_s": 30.0, "arrival": arrival}
        (level,) = run(config(server, **settings))["levels"]
    assert level["requests"] == 6000
    assert level["achieved_rate"] == pytest.approx(200, rel=0.01)
    assert level["failed"] == {}


def test_several_workers_send_what_one_would() -> None:
    with ScriptedServer([role(), "x", finish(), done()]) as server:
        report = run(config(server, workers=2, levels=[Level(concurrency=3)], requests=31, warmup=0))
        prompts = {json.dumps(entry.request.json["messages"]) for entry in server.journal.entries}
    (level,) = report["levels"]
    assert (level["requests"], level["completed"], len(prompts)) == (31, 31, 31)
    merged = merge([report, report])["levels"][0]
    assert (merged["requests"], merged["concurrency"], merged["ttft_s"]["count"]) == (62, 6, 62)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="pins processes to a core")
def test_a_client_without_its_core_is_the_limit() -> None:
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    burners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
    try:
        with ScriptedServer([role(), "x", finish(), done()]) as server:
            settings = {"levels": [Level(concurrency=8)], "requests": None, "duration_s": 2.0}
            (level,) = run(config(server, **settings))["levels"]
    finally:
        os.sched_setaffinity(0, cores)
        for burner in burners:
            burner.kill()
            burner.wait()
    assert level["verdict"] == "client-limited"
    assert "waited for a core" in level["reason"] or "was late by" in level["reason"]


def bench(*arguments: str, base_url: str) -> "subprocess.CompletedProcess[str]":
    return command.run("bench", "-m", "m", "--base-url", base_url, *arguments)


def test_the_command_writes_a_row_a_level_and_its_files(tmp_path: Path) -> None:
    files = [str(tmp_path / name) for name in ("a.json", "a.html", "m.json", "m.html")]
    with ScriptedServer(steps(0.001)) as server:  # pyright: ignore[reportArgumentType]
        done = bench(
            "-c", "1,2", "-n", "5", "--slo", "ttft=10", "-o", files[0], "--html", files[1], base_url=server.base_url
        )
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.split() for line in done.stdout.splitlines() if line.startswith(" " * 3)]
    assert [line[:3] for line in lines if line[0].startswith("c=")] == [["c=1", "5", "0"], ["c=2", "5", "0"]]
    report = json.loads(Path(files[0]).read_text())
    assert report["version"] == 1
    assert [level["concurrency"] for level in report["levels"]] == [1, 2]
    assert report["levels"][0]["goodput_per_s"] == report["levels"][0]["requests_per_s"]
    assert Path(files[1]).read_text().startswith("<!doctype html>")
    done = command.run("bench", "merge", files[0], files[0], "-o", files[2], "--html", files[3])
    assert (done.returncode, done.stderr) == (0, "")
    assert [level["requests"] for level in json.loads(Path(files[2]).read_text())["levels"]] == [10, 10]


def test_all_requests_failing_is_a_status_of_its_own() -> None:
    with ScriptedServer([role(), "x", close()]) as server:
        done = bench("-n", "3", base_url=server.base_url)
    assert done.returncode == 5
    assert "failed: 3 truncated" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-c", "1", "--rate", "1"], "-c and --rate are mutually exclusive"),
        (["--slo", "x=1"], "--slo: unknown metric 'x'"),
        (["--data", "missing.txt"], "can't read the prompts in missing.txt"),
    ],
)
def test_invalid_options(arguments: list[str], words: str) -> None:
    done = bench(*arguments, base_url="http://127.0.0.1:1/v1")
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr


def test_ctrl_c_keeps_what_was_measured(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    with ScriptedServer(steps(0.001)) as server:  # pyright: ignore[reportArgumentType]
        process = subprocess.Popen(
            [sys.executable, "-m", "firsttoken", "bench", "-m", "m", "--base-url", server.base_url, "-o", str(file)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "NO_PROXY": "*"},
        )
        assert server.journal.wait_until_ended(20, timeout_s=60)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "c=1" in out
    report = json.loads(file.read_text())
    assert report["interrupted"] is True
    assert report["levels"][0]["completed"] >= 10
