"""The asyncio client and its driver: protocols, futures and timers around the call machine; the twin of `_sync`."""
