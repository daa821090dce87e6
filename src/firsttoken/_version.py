"""The version, how to install this, and what a later version removes: apart, so that nothing else must be imported."""

__version__ = "0.1.0"


def install_hint(extra: str) -> str:
    """How to install an extra, for the hint of an error: from a clone, until there is a release."""
    return f"in a clone of firsttoken: pip install '.[{extra}]'"


def warn_deprecated(name: str, *, removed_in: str, hint: str) -> None:
    """Warn the caller of a deprecated function, once for each place that calls it.

    Call it first in that function itself: the warning points at what called the function.

    Args:
        name: what is deprecated, as users write it: "Client.old_name".
        removed_in: the version in which it is removed.
        hint: what to use instead.
    """
    import warnings

    message = f"{name} is deprecated and will be removed in firsttoken {removed_in}\nhint: {hint}"
    warnings.warn(message, DeprecationWarning, stacklevel=3)
