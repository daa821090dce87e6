"""What a step is; the steps themselves are in the modules beside this one."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import FunctionType
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from firsttoken.testing._server.response import ResponseWriter

JSON = Mapping[str, object]


@runtime_checkable
class Step(Protocol):
    """One thing that a script does to the answer under way."""

    def play(self, response: "ResponseWriter", /) -> None:
        """Do it."""
        ...


StepLike = Step | str | bytes | JSON
"""A step; a `str` is `text`, a dict is `chunk`, bytes are `body_bytes`."""


def reject_uncalled(value: object) -> None:
    """Refuse one of our functions or classes itself, where what it gives is meant.

    Raises:
        TypeError: it is one.
    """
    if not isinstance(value, (type, FunctionType)):
        return
    is_ours = f"{value.__module__}.".startswith("firsttoken.testing.")
    if is_ours or (isinstance(value, type) and issubclass(value, Step)):
        kind = "class" if isinstance(value, type) else "function"
        raise TypeError(f"{value.__name__} is a {kind}; hint: call it: {value.__name__}()")


def require_bytes(name: str, data: object) -> None:
    """Refuse what is not bytes.

    Raises:
        TypeError: it is none.
    """
    if not isinstance(data, bytes):
        raise TypeError(f"{name}() takes bytes, not {type(data).__name__}; hint: as in {name}(b'...')")


@dataclass(frozen=True, slots=True)
class Steps:
    """Several steps as one."""

    steps: tuple[Step, ...]

    def play(self, response: "ResponseWriter") -> None:
        """Play them in order."""
        for step in self.steps:
            step.play(response)
