"""Debian's Chromium, driven by playwright."""

import shutil
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import pytest

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)


@contextmanager
def chromium() -> Generator[Any]:
    """A browser, with its back/forward cache on; the test is skipped where there is none.

    While it runs this thread is inside of an event loop: `asyncio.run` has to wait.
    """
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (uv sync --group web)")
    path = shutil.which("chromium") or pytest.skip("there is no chromium here (Debian: apt-get install chromium)")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(
            executable_path=path, args=list(FLAGS), ignore_default_args=["--disable-back-forward-cache"]
        )
        yield browser
        browser.close()
