"""Fixtures that these tests share."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from firsttoken.local import LocalServer
from tests.support.clients import clean_env, make_socket_client
from tests.support.litellm import LiteLLM, environment, running
from tests.support.nginx import NGINX_CONFIGS, NginxConfig

TEMPLATE = Path(__file__).parents[1] / "support" / "tools.jinja"

__all__ = ["clean_env", "litellm", "make_socket_client", "nginx_config"]


@pytest.fixture(params=NGINX_CONFIGS)
def nginx_config(request: pytest.FixtureRequest) -> NginxConfig:
    """One of the ways to set nginx up."""
    return NGINX_CONFIGS[request.param]


@pytest.fixture(scope="session")
def litellm(
    local_server: LocalServer, tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Iterator[LiteLLM]:
    """LiteLLM, for all tests of a run, with the models "local", "tools" and "scripted"."""
    capture: Any = pytestconfig.pluginmanager.getplugin("capturemanager")

    def tell(text: str) -> None:
        with capture.global_and_fixture_disabled():
            print(f"\n{text}", file=sys.stderr, flush=True)  # the standard output of a worker of xdist is not shown

    python = environment(tell)
    folder = tmp_path_factory.mktemp("litellm")
    with (
        LocalServer(context_tokens=2048, parallel=1, chat_template=TEMPLATE.read_text()) as tools,
        running(python, folder, local=local_server.base_url, tools=tools.base_url) as proxy,
    ):
        yield proxy
