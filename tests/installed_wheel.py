"""What somebody gets who installs the wheel and nothing else: `just package` runs this in an empty environment.

It is a script, not a test of pytest's: there are no test tools, no extras and no repository where it runs.
"""

import asyncio
import importlib
import subprocess
import sys
import sysconfig
from importlib.metadata import version
from pathlib import Path

import firsttoken
from firsttoken import AsyncClient, Client, chat_completion_request
from firsttoken.errors import StreamTruncatedError
from firsttoken.testing import ScriptedServer, close

PUBLIC_MODULES = ("errors", "events", "local", "sansio", "testing", "types", "web")
REQUEST = chat_completion_request("m", "hi")


def check_package() -> None:
    package = Path(firsttoken.__file__).parent
    assert package.is_relative_to(sysconfig.get_path("purelib")), package
    assert (package / "py.typed").is_file()
    assert version("firsttoken") == firsttoken.__version__
    for module in [firsttoken, *(importlib.import_module(f"firsttoken.{name}") for name in PUBLIC_MODULES)]:
        for name in module.__all__:
            getattr(module, name)


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
    check_command()
    sys.stdout.write(f"firsttoken {firsttoken.__version__} works on Python {sys.version.split()[0]}\n")
