"""Deprecation warnings, as the stability policy in the docs describes them."""

import warnings


def warn_deprecated(name: str, *, removed_in: str, hint: str) -> None:
    """Warn the caller of a deprecated function, once for each place that calls it.

    Call it first in that function itself: the warning points at what called the function.

    Args:
        name: what is deprecated, as users write it: "Client.old_name".
        removed_in: the version in which it is removed.
        hint: what to use instead.
    """
    message = f"{name} is deprecated and will be removed in firsttoken {removed_in}\nhint: {hint}"
    warnings.warn(message, DeprecationWarning, stacklevel=3)
