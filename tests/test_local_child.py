"""What runs in the local server's process, run here by hand."""

import signal
import sys
from pathlib import Path

import pytest

from tests.support.local_model import bundled_model
from tests.support.processes import start_python

HOLD_THE_LIFELINE = """
import os, time
from firsttoken._local.child import _end_with_parent_by_signal
_end_with_parent_by_signal(on=True)
if {release}:
    _end_with_parent_by_signal(on=False)
print("armed", flush=True)
os.read(0, 1) if {release} else time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="pipes send signals on Linux only")
@pytest.mark.parametrize(("release", "status"), [(False, -signal.SIGIO), (True, 0)])
def test_the_lifeline_ends_a_process_that_runs_no_python_code(release: bool, status: int) -> None:
    with start_python(HOLD_THE_LIFELINE.format(release=release)) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "armed\n"
        process.stdin.close()
        assert process.wait(10) == status


SERVE = """
import sys
from firsttoken._local.child import serve
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
def test_the_child_exits_with_1_where_the_model_does_not_load(tmp_path: Path) -> None:
    with start_python(SERVE, str(tmp_path / "none.gguf")) as process:
        stdout, stderr = process.communicate(timeout=30)
    assert (stdout, process.returncode) == ("", 1)
    assert "No such file or directory" in stderr
    assert "Traceback" not in stderr
