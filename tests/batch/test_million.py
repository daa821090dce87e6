"""A million rows in bounded memory, and how fast, beside other ways to do it."""

import json
import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.command import environment

ROWS = int(os.environ.get("FIRSTTOKEN_BATCH_ROWS", "1000000"))
FEW = 10_000
CONCURRENCY = 64
MAX_MIB = 150


@contextmanager
def fast_server() -> Generator[str]:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.batch.fast_server"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
        process.stdin.close()


def write_rows(path: Path, count: int) -> Path:
    with path.open("w") as file:
        for number in range(count):
            prompt = f"Give me a short answer to question number {number}."
            file.write(f"{json.dumps({'custom_id': f'row-{number}', 'prompt': prompt})}\n")
    return path


def send(way: str, rows: Path, count: int, base_url: str) -> dict[str, float]:
    out = rows.with_name("out.jsonl")
    out.unlink(missing_ok=True)
    arguments = [way, str(rows), str(out), base_url, str(CONCURRENCY)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.batch.rivals", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=environment(NO_PROXY="*"),
    )
    assert done.returncode == 0, done.stderr
    with out.open("rb") as file:
        assert sum(1 for _ in file) == count
    report: dict[str, float] = json.loads(done.stdout)
    print(
        f"{way:10} {count:>9,} rows: {count / report['duration_s']:6,.0f} rows/s, "
        f"{report['cpu_s'] / count * 1e6:5,.0f} µs of CPU each, {report['peak_mib']:.0f} MiB at most"
    )
    return report


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_a_million_rows_in_bounded_memory_and_faster_than_others(tmp_path: Path) -> None:
    for module in ("openai", "aiohttp"):
        pytest.importorskip(module)
    print()
    few = write_rows(tmp_path / "few.jsonl", FEW)
    with fast_server() as base_url:
        rounds = [[send(way, few, FEW, base_url) for way in ("firsttoken", "openai", "loop")] for _ in range(2)]
        cpu_s = [min(one["cpu_s"] for one in reports) for reports in zip(*rounds, strict=True)]
        assert cpu_s[0] < cpu_s[1] / 3, "the official client"
        assert cpu_s[0] < cpu_s[2], "a loop over aiohttp"
        all_of_them = send("firsttoken", write_rows(tmp_path / "all.jsonl", ROWS), ROWS, base_url)
    assert all_of_them["peak_mib"] < MAX_MIB
