"""The corpus in the repository: for each harness a file with an input a line, as Python writes bytes.

It grows by `python -m fuzz --keep`: of what the fuzzer finds, inputs are kept that reach what no smaller one does.
"""

import ast
import importlib
import sys
from pathlib import Path
from types import FrameType
from typing import Any

DIR = Path(__file__).parent / "corpus"
_CORE = str(Path(__file__).parents[1] / "src" / "firsttoken")

Arcs = set[tuple[str, int, int]]
"""Steps from a line to the next one of a function."""


def kept(name: str) -> list[bytes]:
    """The inputs of a harness, the smallest first."""
    path = DIR / f"{name}.txt"
    return [ast.literal_eval(line) for line in path.read_text("ascii").splitlines()] if path.exists() else []


def keep(name: str, found: Path) -> int:
    """Add inputs from a folder, and drop those that reach nothing of their own; return how many there are."""
    harness: Any = importlib.import_module(f"fuzz.fuzz_{name}")
    inputs = {
        *kept(name),
        *(path.read_bytes() for path in found.iterdir()),
        *(b"\0\0" + seed for seed in harness.SEEDS),
    }
    reached: Arcs = set()
    chosen: list[bytes] = []
    for data in sorted(inputs, key=lambda data: (len(data), data)):
        arcs = _arcs(harness.run, data)
        if not arcs <= reached:
            reached |= arcs
            chosen.append(data)
    DIR.mkdir(exist_ok=True)
    (DIR / f"{name}.txt").write_text("".join(f"{data!r}\n" for data in chosen), "ascii")
    return len(chosen)


def _arcs(run: Any, data: bytes) -> Arcs:
    arcs: Arcs = set()

    def trace(frame: FrameType, _event: str, _argument: object) -> Any:
        file = frame.f_code.co_filename
        if not file.startswith(_CORE):
            return None
        line = frame.f_lineno

        def step(frame: FrameType, event: str, _argument: object) -> Any:
            nonlocal line
            if event == "line":
                arcs.add((file, line, frame.f_lineno))
                line = frame.f_lineno
            return step

        return step

    sys.settrace(trace)
    try:
        run(data)
    finally:
        sys.settrace(None)
    return arcs


if __name__ == "__main__":
    print(keep(sys.argv[1], Path(sys.argv[2])))
