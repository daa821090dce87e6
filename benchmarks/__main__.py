"""The command: `python -m benchmarks [--quick] [--docs] [case …]`."""

import argparse
import sys

from benchmarks import pages
from benchmarks.cases import CASES
from benchmarks.processes import bytecode_kept
from benchmarks.report import Run, Scale, all_hold, as_json, header, line

TRIES_MORE = 2
"""How often `--quick` measures a case again whose budget is broken: so short a measurement a busy machine can spoil."""


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure firsttoken against its budgets.",
        epilog="The exit status is 1 if a budget is broken; with --quick, if it is missed by more than half.",
    )
    parser.add_argument("cases", nargs="*", metavar="case", help=f"which of {', '.join(CASES)}; all by default")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="for CI: fewer chunks, fewer repetitions; fails only if a budget is missed by more than half, thrice",
    )
    parser.add_argument("--docs", action="store_true", help="of a full run: show its figures in the docs")
    arguments = parser.parse_args()
    if arguments.docs and (arguments.quick or arguments.cases):
        parser.error("--docs needs a full run of all cases")
    names: list[str] = arguments.cases or list(CASES)
    unknown = [name for name in names if name not in CASES]
    if unknown:
        parser.error(f"no such case: {', '.join(unknown)}; there are {', '.join(CASES)}")
    scale = Scale(quick=arguments.quick)
    run = Run.here()
    print(run.conditions(), header(), sep="\n", flush=True)
    hold = True
    with bytecode_kept():
        for name in names:
            rows = CASES[name](scale)
            for _ in range(TRIES_MORE if arguments.quick else 0):
                if not all_hold(rows, scale.tolerance):
                    rows = CASES[name](scale)
            hold = all_hold(rows, scale.tolerance) and hold
            for row in rows:
                print(line(name, row), flush=True)
            run.rows += [(name, row) for row in rows]
    if arguments.docs:
        pages.RUN.write_bytes(as_json(run))
        pages.write()
    return 0 if hold else 1


if __name__ == "__main__":
    sys.exit(main())
