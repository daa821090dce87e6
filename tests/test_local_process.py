"""The local server's process: how it fails to start, and that it never outlives its parent."""

import os
import signal
import socket
import sys
import tempfile
from pathlib import Path

import pytest

from firsttoken.local import LocalServer, LocalServerError
from tests.support.errors import message_of
from tests.support.local_model import ask, package
from tests.support.processes import Watch, has_exited, run_python, start_python

linux_only = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="another process's end is watched by a pidfd")


# --- how it ends ------------------------------------------------------------------------------------------------------


@pytest.mark.model
def test_leaving_the_block_ends_it_and_closing_again_is_nothing() -> None:
    with pytest.raises(KeyError, match="mine"), LocalServer(context_tokens=256) as server:
        raise KeyError("mine")
    assert has_exited(server.pid)
    server.close()


@pytest.mark.model
def test_ctrl_c_in_the_terminal_is_not_for_it(local_server: LocalServer) -> None:
    assert os.getsid(local_server.pid) != os.getsid(0)
    os.kill(local_server.pid, signal.SIGINT)
    assert ask(local_server, "Say hello.")["choices"]


SERVE_UNTIL_KILLED = """
import sys
from firsttoken.local import LocalServer
server = LocalServer(context_tokens=256, parallel=1)
print(server.pid, flush=True)
sys.stdin.read()
"""


@linux_only
@pytest.mark.model
@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_it_dies_with_its_parent(sign: signal.Signals) -> None:
    with start_python(SERVE_UNTIL_KILLED) as parent:
        assert parent.stdout is not None
        with Watch(int(parent.stdout.readline())) as server:
            parent.send_signal(sign)
            assert server.ends_within(10)


SAY_PID_AND_START = """
import os, subprocess
from firsttoken.local import LocalServer
class Popen(subprocess.Popen):
    def __init__(self, *arguments, **settings):
        super().__init__(*arguments, **settings)
        print(self.pid, flush=True)
subprocess.Popen = Popen
LocalServer(context_tokens=256, parallel=1)
"""


@linux_only
@pytest.mark.model
@pytest.mark.parametrize("delay_s", [0.0, 0.05, 0.1, 0.2, 0.4])
def test_it_dies_with_a_parent_that_is_killed_while_it_starts(delay_s: float) -> None:
    with start_python(SAY_PID_AND_START) as parent:
        assert parent.stdout is not None
        with Watch(int(parent.stdout.readline())) as server:
            server.ends_within(delay_s)
            parent.kill()
            assert server.ends_within(20)


@linux_only
@pytest.mark.model
def test_its_environment_holds_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "AZURE_OPENAI_AD_TOKEN", "HF_TOKEN", "HTTPS_PROXY", "MY_PASSWORD"):
        monkeypatch.setenv(name, "sk-secret-0123456789")
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")
    with LocalServer(context_tokens=256, parallel=1) as server:
        environment = Path(f"/proc/{server.pid}/environ").read_bytes().split(b"\0")
    assert not [variable for variable in environment if b"sk-secret" in variable]
    assert b"OMP_WAIT_POLICY=passive" in environment
    assert b"GOMP_SPINCOUNT=1000" in environment


@linux_only
@pytest.mark.model
def test_it_ends_when_it_is_forgotten() -> None:
    server = LocalServer(context_tokens=256, parallel=1)
    with Watch(server.pid) as watch:
        with pytest.warns(ResourceWarning, match=f"unclosed local server, pid {server.pid}"):
            del server
        assert watch.ends_within(10)


FORK_AND_DIE = """
import os, signal, sys
from firsttoken.local import LocalServer
server = LocalServer(context_tokens=256, parallel=1)
if os.fork() == 0:
    print(server.pid, flush=True)
    sys.stdin.read()
    os._exit(0)
os.wait()
"""


@linux_only
@pytest.mark.model
def test_a_forked_sibling_does_not_keep_it_alive() -> None:
    with start_python(FORK_AND_DIE) as parent:
        assert parent.stdout is not None
        assert parent.stdin is not None
        with Watch(int(parent.stdout.readline())) as server:
            parent.kill()
            assert server.ends_within(10)
        parent.stdin.close()


FORK_AND_CLOSE = """
import os
from firsttoken.local import LocalServer
with LocalServer(context_tokens=256, parallel=1) as server:
    if os.fork() == 0:
        server.close()
        os._exit(0)
    os.wait()
    os.kill(server.pid, 0)
    print("alive")
"""


@pytest.mark.model
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_can_not_close_it() -> None:
    assert run_python(FORK_AND_CLOSE).stdout == "alive\n"


QUIET = """
import urllib.request
from firsttoken.local import LocalServer
with LocalServer(context_tokens=256, parallel=1) as server:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    print(opener.open(server.base_url + "/models").status)
"""


@pytest.mark.model
def test_it_writes_nothing_to_the_terminal() -> None:
    run = run_python(QUIET)
    assert (run.stdout, run.stderr, run.returncode) == ("200\n", "", 0)


# --- how it fails to start --------------------------------------------------------------------------------------------


def test_a_file_that_is_no_model_shows_the_servers_log(tmp_path: Path) -> None:
    (tmp_path / "no.gguf").write_text("hello")
    with pytest.raises(LocalServerError) as caught:
        LocalServer(tmp_path / "no.gguf")
    assert caught.value.reason == "its process ended with status 1"
    assert "invalid magic characters: 'hell', expected 'GGUF'" in caught.value.log
    assert message_of(caught.value).startswith("the local server did not start: its process ended with status 1\n  | ")
    assert message_of(caught.value).endswith(
        "\nhint: the file must be a complete GGUF model, of an architecture that this llama.cpp supports"
    )


def test_a_taken_port_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(LocalServerError) as caught:
            LocalServer(port=port)
    assert f"couldn't bind HTTP server socket, hostname: 127.0.0.1, port: {port}" in caught.value.log
    assert message_of(caught.value).endswith(
        "\nhint: another program may hold that port; port 0 takes one that is free"
    )


def test_a_server_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package(tmp_path, "xllamacpp", "import time; time.sleep(600)")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    with pytest.raises(LocalServerError) as caught:
        LocalServer(start_timeout_s=0.2)
    assert message_of(caught.value) == "the local server did not start: no answer within 0.2 s"


def test_a_broken_installation_shows_its_traceback(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package(tmp_path, "xllamacpp", "raise ImportError('GLIBC_2.99 not found')")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    with pytest.raises(LocalServerError, match=r"ImportError: GLIBC_2\.99 not found"):
        LocalServer()


def test_no_process_at_all_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))
    with pytest.raises(LocalServerError, match=r"can't start a process: .*no-python") as caught:
        LocalServer()
    assert isinstance(caught.value.__cause__, FileNotFoundError)


def test_a_mistake_of_ours_is_not_taken_for_the_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "\0")
    with pytest.raises(ValueError, match="embedded null byte"):
        LocalServer()


def test_no_room_for_its_log_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(LocalServerError, match="can't create a file for its log: "):
        LocalServer()


SIGNAL_THE_PARENT = """
import os, signal, sys, time
print(os.getpid(), file=open(os.path.join(os.path.dirname(__file__), "pid"), "w"), flush=True)
os.kill(os.getppid(), signal.SIGINT)
time.sleep(600)
"""


def test_ctrl_c_while_it_starts_leaves_no_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package(tmp_path, "xllamacpp", SIGNAL_THE_PARENT)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    with pytest.raises(KeyboardInterrupt):
        LocalServer()
    assert has_exited(int((tmp_path / "xllamacpp" / "pid").read_text()))
