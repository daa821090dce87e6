"""Which server a question goes to."""

import pytest

from firsttoken import user_message
from firsttoken._cli.target import Target, resolve_target


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


@pytest.mark.parametrize("model", [None, "gpt-9"])
def test_a_key_alone_means_openai(monkeypatch: pytest.MonkeyPatch, model: str | None) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-nobody")
    with resolve_target(None, model) as target:
        assert target == Target(None, model or "gpt-5-mini", None, "max_completion_tokens")


def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-nobody")
    monkeypatch.setenv("OPENAI_BASE_URL", "")
    with resolve_target(None, None) as target:
        assert target.base_url is None


@pytest.mark.parametrize(
    ("url", "model", "field"),
    [
        ("https://api.openai.com/v1", "gpt-5-mini", "max_completion_tokens"),
        ("https://eu.api.openai.com/v1", "gpt-5-mini", "max_completion_tokens"),
        ("https://us.openai.azure.com/openai/v1", "gpt-5-mini", "max_completion_tokens"),
        ("http://127.0.0.1:8080/v1", "default", "max_tokens"),
    ],
)
def test_a_base_url_decides_over_the_environments(
    monkeypatch: pytest.MonkeyPatch, url: str, model: str, field: str
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://elsewhere.example/v1")
    with resolve_target(url, None) as target:
        assert target == Target(url, model, None, field)
    with resolve_target(None, None) as target:
        assert target.base_url == "http://elsewhere.example/v1"


@pytest.mark.model
def test_with_neither_it_is_the_local_model(capsys: pytest.CaptureFixture[str]) -> None:
    with resolve_target(None, None) as target:
        assert target.base_url is not None
        assert target.base_url.startswith("http://127.0.0.1:")
        assert target[1:4] == ("SmolLM2-135M-Instruct", "", "max_tokens")
        assert target.request([user_message("Why?")]).max_tokens == 1024
        assert target.request([user_message("Why?")], max_tokens=7).max_tokens == 7
    assert capsys.readouterr().err == (
        "firsttoken: no OPENAI_API_KEY and no base URL: the local model SmolLM2-135M-Instruct answers\n"
    )
