"""A chat in the browser: `python examples/web_chat/app.py`, and open the address that it prints.

Asks the server of OPENAI_BASE_URL (or OpenAI, where there is an OPENAI_API_KEY) with the model of OPENAI_MODEL; without
either, a small model on this machine. The page in `page/` needs no build step; the one in `react/`, on the same back
end, is served once it is built (see README.md). Needs fastapi and uvicorn.
"""

import os
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import uvicorn
from conversation import to_chat_messages
from fastapi import FastAPI
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel

from firsttoken import AsyncClient, chat_completion_request, system_message, tool_message
from firsttoken.errors import ResponseFormatError, StreamTruncatedError
from firsttoken.types import Message, ToolCall
from firsttoken.web import RelayResponse, ui_message_event, ui_message_response, ui_message_stream

HERE = Path(__file__).parent
MAX_TURNS = 5
LOCAL_MAX_TOKENS = 300  # of an answer: a small model does not always stop by itself
SYSTEM = system_message("You are a helpful assistant. Answer in Markdown.")


def roll_dice(sides: int = 6, count: int = 1) -> str:
    """Roll dice, and give what each of them shows."""
    return ", ".join(str(random.randint(1, max(2, sides))) for _ in range(min(max(1, count), 100)))  # noqa: S311


def time_in(zone: str) -> str:
    """Give the time in a time zone.

    Args:
        zone: its IANA name, such as Europe/Paris.
    """
    try:
        return datetime.now(ZoneInfo(zone)).strftime("%H:%M on %A")
    except (ZoneInfoNotFoundError, ValueError):
        return f"unknown time zone: {zone}"


TOOLS: dict[str, Callable[..., str]] = {"roll_dice": roll_dice, "time_in": time_in}


class Chat(BaseModel):
    """What both pages send: the AI SDK's messages."""

    messages: list[dict[str, object]]


def create_app(client: AsyncClient, model: str, max_tokens: int | None = None) -> FastAPI:
    """Make the application; the browser's messages go to `model`."""
    app = FastAPI(title="web_chat")

    @app.post("/api/chat", response_model=None)
    async def chat(body: Chat) -> RelayResponse:
        return ui_message_response(answer(client, model, [SYSTEM, *to_chat_messages(body.messages)], max_tokens))

    @app.get("/")
    async def page() -> FileResponse:
        return FileResponse(HERE / "page" / "index.html")

    app.mount("/page", StaticFiles(directory=HERE / "page"))
    built = HERE / "react" / "dist"
    if built.is_dir():
        app.mount("/react", StaticFiles(directory=built, html=True))
    return app


async def answer(
    client: AsyncClient, model: str, messages: list[Message], max_tokens: int | None
) -> AsyncIterator[bytes]:
    """One message for the browser: the model's text, the tools that it calls, and what it says to their results."""
    for turn in range(MAX_TURNS):
        tools = list(TOOLS.values())
        request = chat_completion_request(model, messages, tools=tools, max_tokens=max_tokens)
        stream = client.chat_completion_stream(request)
        is_last = turn == MAX_TURNS - 1
        async for part in ui_message_stream(stream, send_start=turn == 0, end_after_tool_calls=is_last):
            yield part
        try:
            calls = stream.completion.tool_calls
        except StreamTruncatedError:
            return  # the browser knows already
        if not calls:
            return
        messages.append(stream.completion.choices[0].message)
        for call in calls:
            result = result_of(call)
            messages.append(tool_message(result, call.id))
            yield ui_message_event({"type": "tool-output-available", "toolCallId": call.id, "output": result})


def result_of(call: ToolCall) -> str:
    """What a call returns; what is wrong with it, where something is, so that the model can do better."""
    function = TOOLS.get(call.name)
    if function is None:
        return f"there is no tool {call.name}"
    try:
        return call.invoke(function)
    except ResponseFormatError as error:
        return str(error)


def main(arguments: Sequence[str] = ()) -> None:
    """Serve on http://127.0.0.1:8000, or another port: `app.py 8080`."""
    port = int(arguments[0]) if arguments else 8000
    with ExitStack() as stack:
        model = os.environ.get("OPENAI_MODEL", "gpt-5-mini")
        client, max_tokens = AsyncClient, None
        if os.environ.get("OPENAI_BASE_URL") or os.environ.get("OPENAI_API_KEY"):
            made = client()
        else:
            from firsttoken.local import LocalServer

            server = stack.enter_context(LocalServer())
            model, made = server.model, client(base_url=server.base_url, api_key="", proxy="")
            max_tokens = LOCAL_MAX_TOKENS
        print(f"open http://127.0.0.1:{port}/ to chat with {model}")
        uvicorn.run(create_app(made, model, max_tokens), host="127.0.0.1", port=port, log_level="warning")


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
