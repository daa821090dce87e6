"""The command: `python -m fuzz [--seconds 30] [--keep] [harness …]`."""

import argparse
import importlib
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from fuzz.budget import within_budget
from fuzz.kept import keep, kept

HARNESSES = ["sse", "http1", "stream"]
CORPUS_DIR = Path(".fuzz")
"""Findings, and for each harness a corpus of the inputs that reached new code."""

MAX_INPUT_BYTES = 256
"""Long enough for a few events, short enough for thousands of inputs a second."""


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m fuzz", description="Look for bytes that break the protocol layer, with all harnesses at once."
    )
    parser.add_argument(
        "harnesses", nargs="*", metavar="harness", help=f"which of {', '.join(HARNESSES)}; default: all"
    )
    parser.add_argument("--seconds", type=int, default=30, help="how long each runs; default: %(default)s")
    parser.add_argument("--keep", action="store_true", help="add inputs that reach new code to fuzz/corpus afterwards")
    parser.add_argument("--in-process", action="store_true", help="run one harness, and end with it")
    arguments = parser.parse_args()
    names: list[str] = arguments.harnesses or HARNESSES
    unknown = [name for name in names if name not in HARNESSES]
    if unknown:
        parser.error(f"no such harness: {', '.join(unknown)}; there are {', '.join(HARNESSES)}")
    try:
        atheris: Any = importlib.import_module("atheris")
    except ImportError:
        print("fuzz: skipped, there is no atheris for this Python and system; tests/fuzz replays what it has found")
        return 0
    if arguments.in_process:
        _fuzz(atheris, names[0], arguments.seconds)
    with ThreadPoolExecutor(len(names)) as harnesses:
        clean = list(harnesses.map(_finds_nothing, names, [int(arguments.seconds)] * len(names)))
    for name in names if arguments.keep else ():
        print(f"fuzz: {name}: {keep(name, CORPUS_DIR / name)} inputs are kept", flush=True)
    return 0 if all(clean) else 1


def _finds_nothing(name: str, seconds: int) -> bool:
    command = [sys.executable, "-m", "fuzz", "--in-process", "--seconds", str(seconds), name]
    ended = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False
    )
    runs = next((line for line in ended.stdout.splitlines() if line.startswith("Done ")), None)
    if ended.returncode == 0 and runs is not None:
        print(f"fuzz: {name}: {runs.lower()}", flush=True)
        return True
    print(
        ended.stdout,
        f"fuzz: {name} has found something; the input is in {CORPUS_DIR}/, and belongs in tests/fuzz",
        sep="",
    )
    return False


def _fuzz(atheris: Any, name: str, seconds: int) -> None:
    """Run one harness. It ends the process: with status 0 when the time is over, with another at the first finding."""
    with atheris.instrument_imports(include=["firsttoken"]):
        harness: Any = importlib.import_module(f"fuzz.fuzz_{name}")
    with tempfile.TemporaryDirectory(prefix="fuzz-") as directory:
        corpus, seeds, words = CORPUS_DIR / name, Path(directory, "seeds"), Path(directory, "words")
        corpus.mkdir(parents=True, exist_ok=True)
        seeds.mkdir()
        for number, seed in enumerate([*(b"\0\0" + seed for seed in harness.SEEDS), *kept(name)]):
            Path(seeds, str(number)).write_bytes(seed)
        words.write_text("".join(map(_dictionary_line, harness.TOKENS)))
        limits = [f"-max_total_time={seconds}", f"-max_len={MAX_INPUT_BYTES}"]
        files = [f"-dict={words}", f"-artifact_prefix={CORPUS_DIR}/{name}-", str(corpus), str(seeds)]
        atheris.Setup([sys.argv[0], *limits, *files], within_budget(harness.run))
        atheris.Fuzz()


def _dictionary_line(token: bytes) -> str:
    escaped = "".join(f"\\x{byte:02x}" for byte in token)
    return f'"{escaped}"\n'


if __name__ == "__main__":
    sys.exit(main())
