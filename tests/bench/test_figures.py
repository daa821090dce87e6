"""firsttoken.bench without a server: histograms, arrivals, prompts, verdicts and the page."""

import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firsttoken.bench.config import Config, Level, parse_levels, parse_slo
from firsttoken.bench.level import Histogram, LevelStats, figures
from firsttoken.bench.prompts import Prompts
from firsttoken.bench.report import header, page, row, write_html
from firsttoken.bench.worker import arrivals
from firsttoken.errors import ConfigurationError
from tests.support.browser import chromium

durations = st.lists(st.floats(0, 1e5), max_size=60)


@given(durations, durations)
def test_merged_histograms_are_that_of_all_samples(ours: list[float], theirs: list[float]) -> None:
    merged, all_of_them = Histogram(ours), Histogram([*ours, *theirs])
    merged.merge(Histogram.from_dict(json.loads(json.dumps(Histogram(theirs).to_dict()))))
    for percent in (0, 50, 90, 99, 100):
        assert merged.percentile(percent) == all_of_them.percentile(percent)
    assert (merged.count, merged.max) == (all_of_them.count, all_of_them.max)
    assert math.isclose(merged.total, all_of_them.total)


@given(st.lists(st.floats(1e-6, 1e5), min_size=1, max_size=60), st.integers(1, 100))
def test_a_percentile_is_within_a_thousandth_of_the_sample(values: list[float], percent: int) -> None:
    exact = sorted(values)[math.ceil(len(values) * percent / 100) - 1]
    found = Histogram(values).percentile(percent)
    assert found is not None
    assert math.isclose(found, exact, rel_tol=0.001)


def test_percentiles_want_enough_samples() -> None:
    assert Histogram().summary() == {"p50": None, "p90": None, "p99": None, "mean": None, "max": None, "count": 0}
    summary = Histogram([0.1] * 10).summary()
    assert summary["p50"] == pytest.approx(0.1, rel=0.001)
    assert summary["p90"] == pytest.approx(0.1, rel=0.001)
    assert summary["p99"] is None


@pytest.mark.parametrize(
    "value", [{}, {"buckets": [], "total": 1, "max": 1}, {"buckets": {"1": "x"}, "total": 1, "max": 1}]
)
def test_what_is_not_a_histogram(value: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        Histogram.from_dict(value)


def test_constant_arrivals_have_equal_gaps_and_no_drift() -> None:
    due = arrivals(200, 6000, "constant", 0)
    assert due[-1] == pytest.approx(5999 / 200)
    assert {round(after - before, 9) for before, after in pairwise(due)} == {0.005}


@pytest.mark.parametrize("seed", range(5))
def test_poisson_gaps_are_exponential(seed: int) -> None:
    rate, count = 200.0, 6000
    due = arrivals(rate, count, "poisson", seed)
    assert (len(due), due) == (count, sorted(due))
    assert due[0] >= 0
    assert due[-1] < count / rate
    gaps = sorted(after - before for before, after in pairwise(due))
    # Kolmogorov-Smirnov against 1 - exp(-rate t); 1.95 / sqrt(n) is exceeded once in 1,000 times. The seeds are fixed.
    distance = max(abs(position / len(gaps) - (1 - math.exp(-rate * gap))) for position, gap in enumerate(gaps))
    assert distance < 1.95 / math.sqrt(len(gaps))


def test_synthetic_prompts_have_their_sizes_and_share_their_prefix() -> None:
    prompts = Prompts("synthetic:in=30,out=8,prefix=10", seed=1, salt=True)
    texts = [str(prompts[number].messages[0]["content"]).split() for number in range(50)]
    assert {len(text) for text in texts} == {31}
    assert len({tuple(text[:10]) for text in texts}) == 1
    assert len({text[10] for text in texts}) == 50
    assert {prompts[number].max_tokens for number in range(3)} == {8}
    assert prompts[7] == Prompts("synthetic:in=30,out=8,prefix=10", seed=1, salt=True)[7]
    assert prompts[7] != Prompts("synthetic:in=30,out=8,prefix=10", seed=2, salt=True)[7]


def test_prompts_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "prompts.jsonl"
    rows: list[dict[str, Any]] = [
        {"prompt": "One?", "max_tokens": 3},
        {"messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "Two?"}]},
        {"custom_id": "x", "body": {"messages": [{"role": "user", "content": "Three?"}], "max_completion_tokens": 5}},
    ]
    file.write_text("\n".join([*map(json.dumps, rows), "", "Four?"]))
    prompts = Prompts(str(file), seed=0, salt=False)
    assert [(prompts[number].messages[-1]["content"], prompts[number].max_tokens) for number in range(5)] == [
        ("One?", 3),
        ("Two?", None),
        ("Three?", 5),
        ("Four?", None),
        ("One?", 3),
    ]
    assert [prompts.is_new(number) for number in (3, 4)] == [True, False]
    salted = Prompts(str(file), seed=0, salt=True)
    assert str(salted[0].messages[0]["content"]).endswith(" One?")
    assert salted[0] != salted[4]


def test_prompts_of_sharegpt(tmp_path: Path) -> None:
    file = tmp_path / "sharegpt.json"
    turns = [{"from": "system", "value": "S"}, {"from": "human", "value": "Why?"}, {"from": "gpt", "value": "So."}]
    file.write_text(json.dumps([{"conversations": turns}, {"conversations": []}, 3]))
    assert Prompts(f"sharegpt:{file}", seed=0, salt=False)[0].messages == [{"role": "user", "content": "Why?"}]


@pytest.mark.parametrize(
    ("data", "content", "words"),
    [
        ("missing.jsonl", None, "can't read the prompts in missing.jsonl: [Errno 2]"),
        ("empty.jsonl", "", "no prompts in empty.jsonl"),
        ("bad.jsonl", "{", "bad.jsonl, line 1: invalid JSON"),
        ("other.jsonl", '{"text": 1}', "other.jsonl, line 1: expected messages or prompt"),
        ("sharegpt:bad.json", "{", "bad.json: invalid JSON"),
        ("synthetic:in=x", None, "--data synthetic: invalid 'in=x'"),
    ],
)
def test_data_that_can_not_be_asked(
    data: str, content: str | None, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if content is not None:
        Path(data.removeprefix("sharegpt:")).write_text(content)
    with pytest.raises(ConfigurationError) as caught:
        Prompts(data, seed=0, salt=True)
    assert words in str(caught.value)


def test_levels_and_objectives() -> None:
    assert parse_levels("1,8", None) == [Level(concurrency=1), Level(concurrency=8)]
    assert parse_levels(None, "2.5") == [Level(rate=2.5)]
    assert parse_levels(None, None) == [Level(concurrency=1)]
    assert parse_slo("ttft=0.5, tpot=0.05") == {"ttft": 0.5, "tpot": 0.05}


@pytest.mark.parametrize(
    ("concurrency", "rate", "slo", "words"),
    [
        ("1", "1", "", "-c and --rate are mutually exclusive"),
        ("1,0", None, "", "-c must be positive numbers separated by commas, not '1,0'"),
        ("1.5", None, "", "-c must be positive numbers separated by commas, not '1.5'"),
        (None, "fast", "", "--rate must be positive numbers separated by commas, not 'fast'"),
        (None, None, "tft=1", "--slo: unknown metric 'tft'"),
        (None, None, "ttft=x", "--slo ttft must be positive numbers"),
    ],
)
def test_invalid_options(concurrency: str | None, rate: str | None, slo: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_slo(slo)
        parse_levels(concurrency, rate)
    assert words in str(caught.value)


def counted(requests: int = 100, **changes: Any) -> LevelStats:
    stats = LevelStats()
    stats.window_s = 10.0
    stats.counters |= {
        "requests": requests,
        "completed": requests,
        "with_usage": requests,
        "completed_in_window": requests,
    }
    stats.counters |= {"tokens_in_window": 10 * requests, "output_tokens": 10 * requests}
    for name in ("ttft_s", "e2e_s", "e2e_intended_s", "tpot_s"):
        stats.histograms[name] = Histogram([0.1] * requests)
    for name, value in changes.items():
        if name in stats.counters:
            stats.counters[name] = value
        elif name in stats.histograms:
            stats.histograms[name] = Histogram(value)
        else:
            setattr(stats, name, value)
    return stats


CLOSED, OPEN = Level(concurrency=4), Level(rate=10)


@pytest.mark.parametrize(
    ("level", "stats", "verdict", "reason"),
    [
        (CLOSED, counted(), "ok", ""),
        (CLOSED, counted(cpu_share=0.9), "client-limited", "a worker used 90% of a core; try more --workers"),
        (CLOSED, counted(run_delay_share=0.3), "client-limited", "a worker waited for a core 30% of the time"),
        (CLOSED, counted(loop_lag_s=[0.2] * 100), "client-limited", "the event loop was late by 200 ms or more"),
        (CLOSED, counted(loop_lag_s=[0.001] * 1000), "ok", ""),
        (OPEN, counted(schedule_delay_s=[0.2] * 100), "client-limited", "the schedule was late by 200 ms or more"),
        (CLOSED, counted(failed={"truncated": 5}), "server-errors", "5.0% of the requests failed, mostly truncated"),
        (CLOSED, counted(failed={"truncated": 1}), "ok", ""),
        (OPEN, counted(running_at_half=20, running_at_end=60), "oversaturated", "20 were running at half time, 60 at"),
        (OPEN, counted(running_at_half=20, running_at_end=22), "ok", ""),
    ],
)
def test_verdicts(level: Level, stats: LevelStats, verdict: str, reason: str) -> None:
    found = figures(level, stats)
    assert found["verdict"] == verdict
    assert reason in str(found["reason"])


def test_a_level_that_brings_nothing_more_is_oversaturated() -> None:
    before = figures(CLOSED, counted())
    after = figures(Level(concurrency=8), counted(e2e_s=[0.2] * 100), before)
    assert (after["verdict"], after["reason"]) == (
        "oversaturated",
        "+0% throughput for 2.0 times the latency of the level before",
    )


def test_figures_without_usage_say_so() -> None:
    found = figures(CLOSED, counted(with_usage=99))
    assert found["output_tokens_per_s"] is None
    assert "no usage" in row(found)
    assert found["requests_per_s"] == 10.0


def test_the_row_names_failures_and_the_reason() -> None:
    lines = row(figures(CLOSED, counted(failed={"truncated": 5}))).splitlines()
    assert lines[0].split()[:3] == ["c=4", "100", "5"]
    assert [line.strip() for line in lines[1:]] == [
        "5.0% of the requests failed, mostly truncated",
        "failed: 5 truncated",
    ]
    assert header().split()[:4] == ["load", "requests", "failed", "req/s"]


def test_counts_survive_json_and_merging() -> None:
    stats = counted(failed={"truncated": 5}, timeline={0: [1, 2, 0], 3: [4, 5, 6]})
    again = LevelStats.from_dict(json.loads(json.dumps(stats.to_dict())))
    assert again.to_dict() == stats.to_dict()
    again.merge(stats)
    assert again.counters["requests"] == 200
    assert again.timeline == {0: [2, 4, 0], 3: [8, 10, 12]}
    assert again.failed == {"truncated": 10}


def report(**config: Any) -> dict[str, Any]:
    """A run of three levels: fine, with errors, and one that the client limited."""
    config = {name: getattr(Config(model="<m>"), name) for name in ("base_url", "data", "workers", "seed", "salt")} | {
        "model": "<m>",
        "slo": {},
        **config,
    }
    levels = [figures(CLOSED, counted()), figures(OPEN, counted(failed={"truncated": 5}))]
    levels.append({**levels[0], "verdict": "client-limited", "reason": "a worker waited for a core 17% of the time"})
    return {"version": 1, "firsttoken": "0", "at": 0.0, "config": config, "levels": levels}


def test_the_page_shows_every_level_and_asks_for_nothing() -> None:
    html = page(report(base_url="the-server"))
    assert "&lt;m&gt;" in html
    assert "<m>" not in html
    for word in ("4 at once", "10/s", "server-errors", "mostly truncated", "the-server", 'class="tick client-limited"'):
        assert word in html
    for outside in ("http:", "https:", "src=", "@import", "<script", "url("):
        assert outside not in html


def test_the_page_shows_the_goodput_where_there_are_objectives() -> None:
    assert "good/s" not in page(report())
    assert page(report(slo={"ttft": 0.5})).count('data-name="good/s"') == 3


@pytest.mark.slow
@pytest.mark.xdist_group("browser")
def test_the_page_fits_a_phone_in_a_size_that_can_be_read(tmp_path: Path) -> None:
    """Nothing is wider than the screen, the reasons are complete, and no text is smaller than 10 pixels."""
    write_html(report(), tmp_path / "report.html")
    with chromium() as browser:
        phone = browser.new_page(viewport={"width": 390, "height": 780})
        urls: list[str] = []

        def keep_url(request: Any) -> None:
            urls.append(request.url)

        phone.on("request", keep_url)
        phone.goto((tmp_path / "report.html").as_uri())
        too_wide = "[...document.querySelectorAll('body *')].filter(it => it.getBoundingClientRect().right > 390)"
        assert phone.evaluate(f"{too_wide}.map(it => it.outerHTML)") == []
        heights = phone.evaluate(
            "[...document.querySelectorAll('svg text')].map(it => it.getBoundingClientRect().height)"
        )
        assert min(heights) > 10
        assert urls == [(tmp_path / "report.html").as_uri()]
