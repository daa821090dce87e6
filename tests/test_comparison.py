"""The comparison: its pages are what its results are, and firsttoken's own rows are without a silent half or a hang."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from comparison import page
from comparison.catalogue import CLIENTS, DRIVERS
from comparison.run import Worker, observe
from firsttoken.testing import FAULTS

DATA: dict[str, Any] = json.loads(page.DATA.read_text(encoding="utf-8"))


def test_the_pages_are_those_of_the_results() -> None:
    assert page.PAGE.read_text(encoding="utf-8") == page.page(DATA)
    for path, table in page.tables(DATA).items():
        text = path.read_text(encoding="utf-8")
        assert page.with_table(text, table) == text
        assert table in text


def test_ours_take_no_half_for_the_complete_and_never_hang() -> None:
    broken = {name: fault["is_broken"] for name, fault in DATA["faults"].items()}
    ours = [client for client in DATA["clients"] if client["is_ours"]]
    assert len(ours) > 10
    for client in ours:
        counts = page.counted(client, broken)
        missed = {
            verdict: found[verdict] for found in counts.values() for verdict in ("silent", "hang") if verdict in found
        }
        assert missed == {}, client["name"]


@pytest.mark.parametrize("path", ["README.md", "docs/index.md"])
def test_the_first_figures_that_a_visitor_reads_are_those_of_the_results(path: str) -> None:
    broken = {name: fault["is_broken"] for name, fault in DATA["faults"].items()}
    (client,) = [client for client in DATA["clients"] if client["name"] == "openai"]
    counts = page.counted(client, broken)["broken"]
    text = " ".join((page.PAGE.parents[2] / path).read_text(encoding="utf-8").split())
    assert f"Of [{sum(broken.values())} broken streams](" in text
    assert f"takes {counts['silent']} for complete answers and hangs on {counts['hang']};" in text
    assert f"`openai` {client['versions']['openai'].rpartition('.')[0]} takes" in text


def test_every_client_has_a_driver_and_results() -> None:
    assert {path.name for path in DRIVERS.iterdir() if path.is_file()} == {client.driver for client in CLIENTS}
    assert {client["name"] for client in DATA["clients"]} <= {client.name for client in CLIENTS}


@pytest.mark.parametrize("name", ["reset", "stall", "lf"])
def test_a_worker_says_what_a_client_gives(name: str) -> None:
    """The way of the measurement itself, with the environment of these tests as the client's."""
    client = next(client for client in CLIENTS if client.name == "firsttoken, iterator")
    fault = next(fault for fault in FAULTS if fault.name == name)
    worker = Worker(client, Path(sys.prefix))
    try:
        result = observe(worker, client, fault)
    finally:
        worker.close()
    assert (result.verdict, result.requests) == ("complete" if fault.is_complete else "error", 1)
