"""What runs in the process of a `firsttoken.local.LocalServer`: llama.cpp's server, tied to the parent by a pipe.

Standard input is the pipe from the parent: nothing is ever written to it, and its end means that the parent has ended.
Standard output takes one line, the server's address; from then on it is the log, as standard error is. (Linux's
`prctl(PR_SET_PDEATHSIG)` is no substitute: it fires when the *thread* that started the process ends.)
"""

import importlib
import os
import signal
import sys
from typing import Any, Final, NoReturn

__all__ = ["serve"]

PARENT_PIPE: Final = 0
_REPORT: Final = 1
_LOG: Final = 2
_ERRORS_ONLY: Final = 1


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
