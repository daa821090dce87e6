"""What every test may ask for."""

import gc
import os
import signal
from collections.abc import Generator, Iterator

import pytest

from firsttoken.local import LocalServer

LONG = (
    "tests/soak/",
    "tests/typing/",
    "tests/testing/test_plugin.py",
    "tests/batch/test_local_model.py",
    "tests/stress/",
)


def pytest_configure() -> None:
    # A shell has what a script starts behind a "&" ignore Ctrl-C, and the processes that the tests start inherit it.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Ten thousand tests are no garbage: not to look at them halves each collection, here and in the tests' own."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first, so that no process is left with one of them when the others are done."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONG))


def pytest_sessionfinish() -> None:
    gc.unfreeze()  # Hypothesis, which may be loaded for a summary, asks the collector who refers to an object


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One worker more than there are CPUs: the tests wait for half of their time."""
    return (os.cpu_count() or 1) + 1


@pytest.fixture(scope="session")
def local_server() -> Iterator[LocalServer]:
    """The real model, for all tests of a run: two requests at a time, 2,048 tokens each."""
    with LocalServer(context_tokens=2048, parallel=2) as server:
        yield server
