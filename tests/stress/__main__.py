"""`python -m tests.stress [--share 1.0] [NAME …]`: run the scenarios, and print what they have shown."""

import argparse
import sys
import time

from tests.stress.runner import FULL, SCHEMES, run, server


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.stress")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(FULL)}; default: all")
    parser.add_argument("--share", type=float, default=1.0, help="of the full number of calls; default: %(default)s")
    arguments = parser.parse_args()
    wrong = 0
    with server() as addresses:
        for name in arguments.names or FULL:
            for scheme in SCHEMES:
                began_s = time.monotonic()
                result = run(name, max(1, int(FULL[name] * arguments.share)), scheme, addresses)
                ends = ", ".join(f"{count} {end}" for end, count in sorted(result.ends.items()))
                print(f"{name}, {scheme}: {ends}; {time.monotonic() - began_s:.0f} s", flush=True)
                for problem in result.problems:
                    print(f"  problem: {problem}", flush=True)
                wrong += bool(result.problems)
    print(f"{wrong} scenarios with problems")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
