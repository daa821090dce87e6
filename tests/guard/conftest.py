"""httpx is imported before any test: openai, which looks for it among the loaded modules, is not to find half of it."""

from contextlib import suppress

with suppress(ImportError):
    import httpx  # noqa: F401  # pyright: ignore[reportUnusedImport]
