"""How fast a script is played."""

import random
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Pace:
    """How fast a script is played, in seconds; the same seed gives the same times.

    The head is sent with the first chunk, unless the script has a `head()` of its own. A request that asks for no
    stream waits as long for its one answer as the stream of the same script takes.

    Attributes:
        first_chunk_s: before the first chunk (or other event).
        gap_s: before each further one.
        jitter_s: up to so much more or less before each, evenly spread; never less than no time.
        seed: of that chance. Each answer of a server has its own times, which depend on the seed and on its number.
    """

    first_chunk_s: float = 0.0
    gap_s: float = 0.0
    jitter_s: float = 0.0
    seed: int = 0

    def delays_s(self, answer: int = 1) -> Iterator[float]:
        """The waits before the events of an answer, without end.

        Args:
            answer: which answer of the server it is, from 1.
        """
        chance = random.Random(f"{self.seed}/{answer}")  # noqa: S311 - times are no secrets
        delay_s = self.first_chunk_s
        while True:
            yield max(0.0, delay_s + chance.uniform(-self.jitter_s, self.jitter_s))
            delay_s = self.gap_s
