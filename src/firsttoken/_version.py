"""The version, apart so that nothing else must be imported to know it."""

__version__ = "0.1.0.dev0"
