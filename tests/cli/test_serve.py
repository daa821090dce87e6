"""`firsttoken serve`: its base URL on stdout, and its ends."""

import os
import re
import signal
import socket
import urllib.request
from pathlib import Path

import pytest

from tests.support.command import Terminal, run, start
from tests.support.processes import children, has_exited

pytestmark = pytest.mark.model
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_told_to_end(sign: signal.Signals) -> None:
    with start("serve") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        url = process.stdout.readline().decode()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/v1\n", url)
        said = [process.stderr.readline().decode() for _ in range(2)]
        with opener.open(f"{url.strip()}/models") as response:
            assert b"SmolLM2-135M-Instruct" in response.read()
        (server,) = children(process.pid)
        process.send_signal(sign)
        stdout, stderr = process.communicate(timeout=30)
    assert (stdout, stderr, process.returncode) == (b"", b"", 0)
    assert said == [
        "firsttoken: SmolLM2-135M-Instruct is served until Ctrl-C; for clients:\n",
        f"export OPENAI_BASE_URL={url}",
    ]
    assert has_exited(server)


def test_ctrl_c_in_a_terminal_ends_it_and_leaves_no_process() -> None:
    with Terminal("serve") as terminal:
        terminal.expect(r"export OPENAI_BASE_URL=http://127\.0\.0\.1:\d+/v1\n")
        (server,) = children(terminal.pid)
        terminal.type("\x03")
        assert terminal.wait() == 0
        assert has_exited(server)
    assert "starting the local model ..." in terminal.seen
    assert "Traceback" not in terminal.seen


def test_a_server_that_ends_by_itself_is_said() -> None:
    with start("serve") as process:
        assert process.stdout is not None
        process.stdout.readline()
        (server,) = children(process.pid)
        os.kill(server, signal.SIGKILL)
        _, stderr = process.communicate(timeout=30)
    assert process.returncode == 7
    assert stderr.decode().endswith("firsttoken: the server ended by itself, with status -9\n")


def test_a_taken_port_is_a_matter_of_configuration() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run("serve", "--port", str(taken.getsockname()[1]))
    assert (done.stdout, done.returncode) == ("", 3)
    assert done.stderr.startswith("firsttoken: the local server did not start: its process ended with status 1\n")
    assert done.stderr.endswith("hint: another program may hold that port; port 0 takes one that is free\n")


def test_a_file_that_is_no_model_is_a_matter_of_configuration(tmp_path: Path) -> None:
    (tmp_path / "no.gguf").write_text("hello")
    done = run("serve", "--model-path", str(tmp_path / "no.gguf"))
    assert (done.stdout, done.returncode) == ("", 3)
    assert "invalid magic characters: 'hell', expected 'GGUF'" in done.stderr


def test_a_missing_file_is_a_matter_of_usage(tmp_path: Path) -> None:
    done = run("serve", "--model-path", str(tmp_path / "none.gguf"))
    assert (done.stdout, done.returncode) == ("", 2)
    assert "none.gguf' does not exist." in done.stderr


def test_a_reader_that_left_before_the_url_ends_it() -> None:
    with start("serve") as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        stderr = process.stderr.read().decode()
        assert process.wait(30) == 141
    assert stderr == ""
