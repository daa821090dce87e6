"""A question asked by a program of its own, which has its settings from the environment, as a user's has."""

import json
import subprocess
import sys
from dataclasses import dataclass

from tests.support import command

_SYNC = """
from firsttoken import Client

def read(request):
    with Client(max_retries=1) as client:
        for chunk in client.chat_completion_stream(request):
            texts.append(chunk.text)
"""

_ASYNC = """
import asyncio
from firsttoken import AsyncClient

async def read_by_turns(request):
    async with AsyncClient(max_retries=1) as client:
        async for chunk in client.chat_completion_stream(request):
            texts.append(chunk.text)

def read(request):
    asyncio.run(read_by_turns(request))
"""

_ASK = """
import json
from firsttoken import Timeout, chat_completion_request
from firsttoken.errors import ChatCompletionError

texts = []
kind, message, retryable = "", "", False
try:
    read(chat_completion_request("test-model", "Why is the sky blue?"))
except ChatCompletionError as error:
    message = "\\n".join([str(error), *getattr(error, "__notes__", ())])
    kind, retryable = type(error).__name__, error.retryable
print(json.dumps([texts, kind, message, retryable]))
"""

STYLES = {"sync": _SYNC, "async": _ASYNC}


@dataclass(frozen=True)
class Outcome:
    """What the program read, and the failure behind it ("": none)."""

    texts: list[str]
    kind: str
    message: str
    retryable: bool


def ask(style: str, base_url: str, **variables: str) -> Outcome:
    """Ask in one of `STYLES`, with these environment variables; the program's warnings are errors."""
    env = command.environment(OPENAI_BASE_URL=base_url, OPENAI_API_KEY="sk-of-the-tests", **variables)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", STYLES[style] + _ASK],
        capture_output=True,
        text=True,
        check=False,
        timeout=command.TIMEOUT_S,
        env=env,
        stdin=subprocess.DEVNULL,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return Outcome(*json.loads(done.stdout))
