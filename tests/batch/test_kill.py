"""`kill -9` anywhere: run again until it is done, the output has each row once, and little was sent twice."""

import random
from pathlib import Path

import pytest

from firsttoken.testing import Request, ScriptedServer, ScriptLike
from tests.batch.files import answers, prompt_of, times_sent, write_rows
from tests.support import command

ROWS = 2000
CONCURRENCY = 16
KILLS = 20


def echo(request: Request) -> ScriptLike:
    return f"re: {prompt_of(request)}"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_at_twenty_points(chat_server: ScriptedServer, tmp_path: Path) -> None:
    chat_server.set_scripts(echo)
    rows, out = write_rows(tmp_path / "in.jsonl", ROWS), tmp_path / "out.jsonl"
    arguments = ("batch", str(rows), "-o", str(out), "--base-url", chat_server.base_url, "-m", "m")
    dice = random.Random(20)
    in_flight = 0
    for point in sorted(dice.sample(range(1, ROWS), KILLS)):
        with command.start(*arguments, "--concurrency", str(CONCURRENCY)) as process:
            assert chat_server.journal.wait_until_requests(point + in_flight, 60)
            process.kill()
            process.communicate()
        lost = len(chat_server.journal.requests) - out.read_bytes().count(b"\n")
        assert lost - in_flight <= CONCURRENCY, "requests were sent whose answers were not in flight"
        in_flight = lost
    assert command.run(*arguments).returncode == 0
    assert answers(out) == {f"r{n}": f"re: prompt {n}" for n in range(ROWS)}
    sent = times_sent(chat_server)
    assert sum(sent.values()) - ROWS == in_flight <= KILLS * CONCURRENCY
    print(f"\n{KILLS} kills: {in_flight} of {sum(sent.values())} requests were sent twice")
