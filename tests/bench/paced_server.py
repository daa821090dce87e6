"""A server in a process of its own, for tests that stop it: writes its base URL, then answers until it is ended."""

import sys

from firsttoken.testing import ScriptedServer, done, finish, pause, role, usage


def steps(gap_s: float) -> list[object]:
    """An answer of ten chunks of text, a gap before each."""
    words = [step for number in range(10) for step in (pause(gap_s), f"w{number} ")]
    return [role(), *words, finish(), usage(prompt_tokens=5, completion_tokens=10), done()]


if __name__ == "__main__":
    with ScriptedServer(steps(float(sys.argv[1]))) as server:  # pyright: ignore[reportArgumentType]
        print(server.base_url, flush=True)
        sys.stdin.read()
