"""What runs in the local server's process, run here by hand."""

import signal
import sys
from pathlib import Path

import pytest

from tests.support.local_model import bundled_model
from tests.support.processes import start_python

HOLD_THE_PIPE = """
import os, time
from firsttoken._local import _end_with_parent_by_signal
_end_with_parent_by_signal(on=True)
if {release}:
    _end_with_parent_by_signal(on=False)
print("armed", flush=True)
os.read(0, 1) if {release} else time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="pipes send signals on Linux only")
@pytest.mark.parametrize(("release", "status"), [(False, -signal.SIGIO), (True, 0)])
def test_the_end_of_the_pipe_ends_a_process_that_runs_no_python_code(release: bool, status: int) -> None:
    with start_python(HOLD_THE_PIPE.format(release=release)) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "armed\n"
        process.stdin.close()
        assert process.wait(10) == status


SERVE = """
import sys
from firsttoken._local import serve
serve(model_path=sys.argv[1], model_name="tiny", context_tokens=256, parallel=1, threads=1, host="127.0.0.1", port=0)
"""


@pytest.mark.model
def test_the_child_reports_its_address_and_ends_with_its_input() -> None:
    with start_python(SERVE, str(bundled_model())) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline().startswith("http://127.0.0.1:")
        process.stdin.close()
        assert process.wait(10) == 0


@pytest.mark.model
def test_the_child_ends_before_it_loads_where_the_parent_has_ended() -> None:
    with start_python(SERVE, str(bundled_model())) as process:
        stdout, stderr = process.communicate("", timeout=30)
    assert (stdout, stderr, process.returncode) == ("", "", 0)


@pytest.mark.model
def test_the_child_ends_where_nobody_reads_its_address() -> None:
    """As where the parent ends while the model loads: Python's own end hung in every second process."""
    processes = [start_python(SERVE, str(bundled_model())) for _ in range(4)]
    try:
        for process in processes:
            assert process.stdout is not None
            process.stdout.close()
        assert [process.wait(60) for process in processes] == [0] * 4
    finally:
        for process in processes:
            process.kill()
            process.stdout = None
            process.communicate()


@pytest.mark.model
def test_the_child_exits_with_1_where_the_model_does_not_load(tmp_path: Path) -> None:
    with start_python(SERVE, str(tmp_path / "none.gguf")) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        stdout, stderr = process.stdout.read(), process.stderr.read()  # `communicate` closes its input
        assert (stdout, process.wait(30)) == ("", 1)
    assert "No such file or directory" in stderr
    assert "Traceback" not in stderr
