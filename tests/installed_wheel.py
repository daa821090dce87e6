"""What somebody gets who installs the wheel and nothing else: `just package` runs this in an empty environment.

It is a script, not a test of pytest's: there are no test tools, no extras and no repository where it runs.
"""

import asyncio
import importlib
import pkgutil
import subprocess
import sys
import sysconfig
from importlib.metadata import version
from pathlib import Path

import firsttoken
from firsttoken import AsyncClient, Client, batch, bench, chat_completion_request
from firsttoken.bench.config import Config, Level
from firsttoken.errors import StreamTruncatedError
from firsttoken.guard import AsyncGuardTransport, GuardTransport, partial_of
from firsttoken.testing import ScriptedServer, close

WITH_EXTRAS = ("otel",)
"""Public modules that need an extra as they are imported; the others say what they need when it is used."""

REQUEST = chat_completion_request("m", "hi")


def check_package() -> None:
    package = Path(firsttoken.__file__).parent
    assert package.is_relative_to(sysconfig.get_path("purelib")), package
    assert (package / "py.typed").is_file()
    assert version("firsttoken") == firsttoken.__version__
    found = {module.name for module in pkgutil.iter_modules(firsttoken.__path__) if not module.name.startswith("_")}
    assert found > {"batch", "bench", "errors", "guard", "testing", "web"}, found
    for module in [firsttoken, *(importlib.import_module(f"firsttoken.{name}") for name in found - {*WITH_EXTRAS})]:
        for name in module.__all__:
            getattr(module, name)
    for name in WITH_EXTRAS:
        assert f"[{name}]" in why_not_importable(f"firsttoken.{name}")


def why_not_importable(module: str) -> str:
    """What the import of a module says; "" where it succeeds."""
    try:
        importlib.import_module(module)
    except ImportError as error:
        return str(error)
    return ""


def check_clients(server: ScriptedServer) -> None:
    with Client(base_url=server.base_url, api_key=server.api_key) as client:
        assert client.chat_completion(REQUEST).text == "Hello!"
        assert "".join(chunk.text for chunk in client.chat_completion_stream(REQUEST)) == "Hello!"
        assert client.chat_completion_stream(REQUEST, lambda _: None).text == "Hello!"
        server.set_scripts(["Hel", close()])
        partial = None
        try:
            client.chat_completion_stream(REQUEST).final_completion()
        except StreamTruncatedError as error:
            partial = error.partial
        assert partial is not None
        assert partial.text == "Hel"


def check_guard() -> None:
    """It is made and closed without any client's library."""
    GuardTransport().close()
    asyncio.run(AsyncGuardTransport().aclose())
    assert partial_of(ValueError()) is None


def check_bench(server: ScriptedServer) -> None:
    config = Config(model="m", base_url=server.base_url, levels=[Level(concurrency=2)], requests=4, proxy="")
    (level,) = bench.run(config)["levels"]
    assert (level["completed"], level["failed"]) == (4, {})


async def check_batch(server: ScriptedServer) -> None:
    async with AsyncClient(base_url=server.base_url, api_key=server.api_key) as client:
        results = [result async for result in batch.arun(["hi", "ho"], model="m", client=client)]
        assert [result.text for result in results] == ["Hello!", "Hello!"]


async def check_async_client(server: ScriptedServer) -> None:
    async with AsyncClient(base_url=server.base_url, api_key=server.api_key) as client:
        assert (await client.chat_completion(REQUEST)).text == "Hello!"
        async with client.chat_completion_stream(REQUEST) as stream:
            assert [text async for text in stream.iter_text()] == ["Hello!"]


def check_command() -> None:
    """The command says which extra it needs."""
    done = subprocess.run(
        [sys.executable, "-I", "-W", "error", "-m", "firsttoken", "ask", "hi"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (3, "")
    assert "[cli]" in done.stderr


if __name__ == "__main__":
    check_package()
    with ScriptedServer() as server:
        check_clients(server)
    with ScriptedServer() as server:
        asyncio.run(check_async_client(server))
        asyncio.run(check_batch(server))
        check_bench(server)
    check_guard()
    check_command()
    sys.stdout.write(f"firsttoken {firsttoken.__version__} works on Python {sys.version.split()[0]}\n")
