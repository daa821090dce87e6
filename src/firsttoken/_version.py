"""The version, and how to install this: apart, so that nothing else must be imported to know it."""

__version__ = "0.1.0"


def install_hint(extra: str) -> str:
    """How to install an extra, for the hint of an error: from a clone, until there is a release."""
    return f"in a clone of firsttoken: pip install '.[{extra}]'"
