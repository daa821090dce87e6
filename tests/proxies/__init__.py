"""Reverse proxies that others wrote, between a client and a server: what survives them, and how late it is."""
