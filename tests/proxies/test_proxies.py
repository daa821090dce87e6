"""Through every proxy that is installed: a complete answer is complete, and a cut one is an error with what came."""

from pathlib import Path

import pytest

from firsttoken import Client
from firsttoken.errors import ChatCompletionError
from firsttoken.testing import ScriptedServer, close, finish, reply
from tests.proxies import page
from tests.proxies.observed import REQUEST
from tests.proxies.programs import PROXIES, Proxy


@pytest.mark.parametrize("proxy", PROXIES, ids=lambda proxy: proxy.name)
def test_a_cut_answer_is_an_error_behind_every_proxy(proxy: Proxy, tmp_path: Path) -> None:
    with (
        ScriptedServer(reply("It scatters."), ["It scat", close()], ["It scat", finish(), close()]) as server,
        proxy.start(tmp_path, f"http://127.0.0.1:{server.port}") as address,
        Client(base_url=f"{address}/v1", api_key="none", proxy="", max_retries=0) as client,
    ):
        assert client.chat_completion_stream(REQUEST).final_completion().text == "It scatters."
        with pytest.raises(ChatCompletionError) as failed:
            client.chat_completion_stream(REQUEST).final_completion()
        assert failed.value.partial is None or failed.value.partial.text == "It scat"


def test_the_page_has_a_row_for_each_proxy() -> None:
    text = page.PAGE.read_text(encoding="utf-8")
    assert text.startswith(page.introduction())
    rows = [line.split(" | ")[0].removeprefix("| ") for line in text.splitlines() if line.startswith("| ")]
    assert rows[2:] == [proxy.name for proxy in PROXIES]
