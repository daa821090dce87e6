"""The asyncio shell: protocols, futures and timers around the core; the twin of `_sync`."""
