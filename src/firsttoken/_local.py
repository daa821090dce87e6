"""The process of a `firsttoken.local.LocalServer`, from both sides: its start, log and end, and what runs in it.

A pipe ties it to the parent: nothing is ever written to its standard input, whose end means that the parent has ended.
So it never outlives this process, and a forked child of this process does not keep it alive. (Linux's
`prctl(PR_SET_PDEATHSIG)` would not do: it fires when the *thread* that started the process ends.) Its standard
output takes one line, the server's address; from then on it is the log, as standard error is.
"""

import importlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
import weakref
from collections.abc import Mapping
from typing import IO, Any, Final, NoReturn, cast

from firsttoken.local import LocalServerError

PARENT_PIPE: Final = 0
_REPORT: Final = 1
_LOG: Final = 2
_ERRORS_ONLY: Final = 1
_LOG_TAIL_BYTES: Final = 4096
_WINDOWS_WAIT_S: Final = 0.25

_FLAGS: Final = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0) | getattr(subprocess, "CREATE_NO_WINDOW", 0)

# GNU OpenMP's threads wait for each other by spinning. On processors that others use too, that is slow: two servers of
# two threads each on two processors took 28 s for 60 tokens, and with a short spin 1 s; alone, both take 0.45 s.
OMP_ENV: Final = {"GOMP_SPINCOUNT": "1000"}

_ENV_NAMES: Final = (
    *("PATH", "HOME", "TMPDIR", "TEMP", "TMP", "TZ", "LANG", "LANGUAGE", "USER", "LD_LIBRARY_PATH", "LD_PRELOAD"),
    *("SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "PATHEXT", "USERPROFILE", "APPDATA", "LOCALAPPDATA", "PROGRAMDATA"),
)
_ENV_PREFIXES: Final = (
    *("LC_", "PYTHON", "COVERAGE_", "DYLD_", "XDG_", "NUMBER_OF_PROCESSORS", "PROCESSOR_"),
    *("OMP_", "GOMP_", "KMP_", "GGML_", "CUDA_", "NVIDIA_", "HIP_", "HSA_", "ROCR_", "VK_", "ONEAPI_", "SYCL_", "ZE_"),
)
"""What Python, OpenMP and llama.cpp's back ends read. Keys, tokens and proxies have no business in that process."""

# With the parent's own sys.path the child finds what the parent finds, however that was arranged.
_BOOTSTRAP: Final = """\
import json, sys
settings = json.loads(sys.argv[1])
sys.path[:] = settings.pop("sys_path")
from firsttoken._local import serve
serve(**settings)
"""


def child_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What of an environment the server's process gets."""
    kept = {
        name: value
        for name, value in environment.items()
        if name.upper() in _ENV_NAMES or name.upper().startswith(_ENV_PREFIXES)
    }
    return OMP_ENV | kept


class ServerProcess:
    """One process that runs `serve` with these settings.

    Raises:
        LocalServerError: the system did not start a process.
    """

    def __init__(self, settings: dict[str, object]) -> None:
        import json

        self._log = _open_log()
        try:
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter, our own arguments
                [sys.executable, "-P", "-c", _BOOTSTRAP, json.dumps({"sys_path": [*map(str, sys.path)], **settings})],
                bufsize=0,
                stdin=subprocess.PIPE,  # PARENT_PIPE: its end tells the child that this process has ended
                stdout=subprocess.PIPE,  # one line, the address
                stderr=self._log,
                env=child_environment(os.environ),
                start_new_session=True,  # Ctrl-C in the terminal is for this process to handle
                creationflags=_FLAGS,
            )
        except BaseException as error:
            self._log.close()
            if isinstance(error, OSError):
                raise LocalServerError(f"can't start a process: {error}") from error
            raise
        self.pid = self._process.pid
        _live.add(self)

    def __del__(self) -> None:
        log = getattr(self, "_log", None)
        if log is not None and not log.closed:
            warnings.warn(f"unclosed local server, pid {self.pid}", ResourceWarning, source=self, stacklevel=2)
            self.end()

    def wait_for_address(self, timeout_s: float) -> str:
        """The address that the server reports.

        Raises:
            LocalServerError: the process ended first, or reported nothing for `timeout_s` seconds.
        """
        expired = threading.Event()

        def expire() -> None:
            expired.set()
            self._process.kill()

        # Reading with a deadline differs between systems; ending the process ends the read on all of them.
        deadline = threading.Timer(timeout_s, expire)
        deadline.daemon = True
        deadline.start()
        try:
            with cast("IO[bytes]", self._process.stdout) as report:
                address = report.read().decode().strip()
        finally:
            deadline.cancel()
            deadline.join()  # it holds the process's pipes as long as it lives
        if address and not expired.is_set():
            return address
        status = self._process.wait()
        reason = f"no answer within {timeout_s:g} s" if expired.is_set() else f"its process ended with status {status}"
        raise LocalServerError(reason, self._log_tail())

    def wait(self) -> int:
        """The process's exit status, once it has ended."""
        if sys.platform == "win32":  # where Ctrl-C does not end a wait
            while self._process.poll() is None:
                time.sleep(_WINDOWS_WAIT_S)
        return self._process.wait()

    def end(self) -> None:
        """End the process at once. May be called again, from any thread."""
        # The server has nothing to save, so there is nothing to wait for.
        self._process.kill()
        self._process.wait()
        self._close_files()

    def detach_after_fork(self) -> None:
        """In a forked child: close the pipe, which would keep the server running past the parent's end."""
        self._process.returncode = (
            0  # `subprocess` takes it for ended, so that `end` does nothing to the parent's process
        )
        self._close_files()

    def _log_tail(self) -> str:
        """The end of the log of a process that has ended: the position in the file is the process's too."""
        size = self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, size - _LOG_TAIL_BYTES))
        return self._log.read().decode(errors="replace").strip()

    def _close_files(self) -> None:
        for file in filter(None, (self._process.stdin, self._process.stdout, self._log)):
            file.close()


def _open_log() -> IO[bytes]:
    """A file: a pipe would have to be read all the time, or the server stalls."""
    try:
        return tempfile.TemporaryFile()
    except OSError as error:
        raise LocalServerError(f"can't create a file for its log: {error}") from error


_live: "weakref.WeakSet[ServerProcess]" = weakref.WeakSet()


def _detach_all() -> None:
    for process in _live:
        process.detach_after_fork()


if sys.platform != "win32":  # pragma: no branch
    os.register_at_fork(after_in_child=_detach_all)


def serve(
    *,
    model_path: str,
    model_name: str,
    context_tokens: int,
    parallel: int,
    threads: int,
    host: str,
    port: int,
    api_prefix: str = "",
    chat_template: str | None = None,
) -> NoReturn:
    """Serve until the parent is gone. Exits with status 1, the reasons in the log, where the server can't start."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    report = os.dup(_REPORT)
    os.dup2(_LOG, _REPORT)
    params = _params(model_path, model_name, threads)
    params.n_ctx = context_tokens * parallel
    params.n_parallel = parallel
    params.hostnames = [host]
    params.port = port
    params.api_prefix = api_prefix
    if chat_template is not None:
        params.chat_template = chat_template
    server = _load(params)
    try:
        os.write(report, f"{server.listening_address}{api_prefix}\n".encode())
        os.close(report)
        os.read(PARENT_PIPE, 1)
    except BrokenPipeError:
        pass  # the parent ended while the model was loading
    finally:
        # Python's own end deadlocks now and then while llama.cpp's threads run, and waits for answers nobody reads.
        os._exit(0)


def _params(model_path: str, model_name: str, threads: int) -> Any:
    params: Any = importlib.import_module("xllamacpp").CommonParams()
    params.model.path = model_path
    params.model_alias = {model_name}
    # Reading a prompt gains from every processor. Writing hardly does (113 tokens/s on one of two processors, 130 on
    # both), and slows down when another program is busy: its threads wait for each other for every token.
    params.cpuparams.n_threads = max(1, threads // 2)
    params.cpuparams_batch.n_threads = threads
    params.verbosity = _ERRORS_ONLY
    params.endpoint_slots = True
    params.endpoint_metrics = True
    params.use_jinja = True
    params.ui = False
    params.ctx_shift = False  # a prompt that is too long is refused, not cut
    params.fit_params = False  # or the context would be another one than was asked for, after a second load
    params.cache_ram_mib = 0  # or up to 8 GiB of old prompts are kept; each slot keeps its last one anyway
    params.cache_idle_slots = False
    params.cors_origins = "localhost"  # or any page that is open in the browser could read the answers
    return params


def _load(params: Any) -> Any:
    _end_with_parent_by_signal(on=True)
    try:
        server = importlib.import_module("xllamacpp").Server(params)
    except RuntimeError:
        sys.exit(1)  # it says "please check the input params"; the log says what happened
    _end_with_parent_by_signal(on=False)
    return server


def _end_with_parent_by_signal(*, on: bool) -> None:
    """Have the kernel end this process with the parent's: a model loads with the GIL held, so no thread can."""
    if sys.platform == "linux":  # pragma: no branch
        import fcntl
        import select

        flags = fcntl.fcntl(PARENT_PIPE, fcntl.F_GETFL)
        fcntl.fcntl(PARENT_PIPE, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(PARENT_PIPE, fcntl.F_SETFL, flags | os.O_ASYNC if on else flags & ~os.O_ASYNC)
        if on and select.select([PARENT_PIPE], [], [], 0)[0]:  # the parent ended before: no signal will come
            os._exit(0)
