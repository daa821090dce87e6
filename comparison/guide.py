"""Runs the code of docs/how-to/guard.md in the frameworks' environments: `python -m comparison.guide [heading…]`.

Each block that is marked `py` is run as it stands, with a complete answer, which it has to print, and with a cut one,
where `partial_of` has to find in what is raised the text that had come.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from comparison.catalogue import CLIENTS, Client
from comparison.page import GUIDE
from comparison.run import FROM_HERE, QUIET, environment
from firsttoken.testing import ScriptedServer, close, done, finish, role

_SECTION = re.compile(r"^##+ (.+?)\n(.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)
_BLOCK = re.compile(r"^```py\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FIRST, _REST = '{"city": "Par', 'is"}'
_RUN = """
import sys, json
try:
    exec(compile(sys.stdin.read(), "guard.md", "exec"), {"__name__": "__main__"})
    found = None
except Exception as error:
    from firsttoken.guard import partial_of
    partial = partial_of(error) or getattr(error, "partial", None)
    found = [type(error).__name__, partial.text if partial else ""]
print(json.dumps(found), file=sys.stderr)
"""
_WITHOUT_PARTIAL = {"agno"}
"""Frameworks that keep neither the error nor its cause."""

INSTRUCTOR = Client("instructor", "", "instructor", ("instructor", "openai"))


def environments() -> dict[str, Client]:
    """By heading, the client whose environment its code runs in."""
    found = {client.name: client for client in (*CLIENTS, INSTRUCTOR)}
    return found | {"LangChain without openai's client": found["langchain-openai"]}


def run(code: str, python: Path, server: ScriptedServer) -> tuple[str, list[str] | None]:
    """What code prints, and the class and the partial text of what it raises."""
    variables = {"OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": server.api_key, "NO_PROXY": "*"}
    finished = subprocess.run(
        [str(python), "-c", _RUN],
        input=code,
        env=os.environ | variables | QUIET | FROM_HERE,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    last = finished.stderr.strip().splitlines()[-1:] or ["null"]
    if finished.returncode:
        return finished.stdout, [f"exit status {finished.returncode}", last[0]]
    found: list[str] | None = json.loads(last[0])
    return finished.stdout, found


def check(heading: str, code: str, client: Client) -> list[str]:
    """What is wrong with the code of a section."""
    python = environment(client) / "bin" / "python"
    wrong: list[str] = []
    with ScriptedServer([role(), _FIRST, _REST, finish(), done()]) as server:
        printed, raised = run(code, python, server)
    if raised is not None or "Paris" not in printed:
        wrong.append(f"{heading}: of a complete answer it prints {printed!r} and raises {raised}")
    with ScriptedServer([role(), _FIRST, close()]) as server:
        printed, raised = run(code, python, server)
    if raised is None or raised[1] not in {_FIRST, "" if heading in _WITHOUT_PARTIAL else _FIRST}:
        wrong.append(f"{heading}: of a cut answer it prints {printed!r} and raises {raised}")
    return wrong


def main() -> int:
    """Check the sections that are named, or all."""
    clients = environments()
    wrong: list[str] = []
    for heading, text in _SECTION.findall(GUIDE.read_text(encoding="utf-8")):
        blocks = _BLOCK.findall(text)
        if not blocks or (sys.argv[1:] and heading not in sys.argv[1:]):
            continue
        found = check(heading, "".join(blocks), clients[heading])
        sys.stderr.write(f"{heading}: {found or 'as it should'}\n")
        wrong += found
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
