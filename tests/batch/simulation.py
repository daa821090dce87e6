"""Servers of known capacity, simulated with the limiter's accounting in given time: no waiting."""

import heapq
import random
from dataclasses import dataclass, field

from firsttoken._protocol.limits import AttemptResult, LimiterState


@dataclass
class Server:
    """A server with so many slots that never refuses: what finds no slot waits in its queue.

    Attributes:
        slots: how many requests it works on at once.
        prefill_s: until the first token, once a request has a slot.
        token_s: between two tokens, of 100 ± 30.
        refuse_above: it answers 429 at once to what finds more requests than these in flight.
    """

    slots: int
    prefill_s: float = 0.1
    token_s: float = 0.03
    refuse_above: float = float("inf")
    seed: int = 1


@dataclass
class Seen:
    """What happened in a simulation.

    Attributes:
        tokens: of the answers that ended.
        latencies_s: of each, retries included.
        windows: (when, window) at each change.
        refused: how many requests were answered 429.
        ended_at: when the last answer ended.
        tokens_at: (when, tokens so far) at each answer.
    """

    tokens: int = 0
    latencies_s: list[float] = field(default_factory=list[float])
    windows: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    refused: int = 0
    ended_at: float = 0.0
    tokens_at: list[tuple[float, int]] = field(default_factory=list[tuple[float, int]])

    @property
    def settled_tokens_per_s(self) -> float:
        """In the second half of the answers."""
        (began, before), (ended, after) = self.tokens_at[len(self.tokens_at) // 2], self.tokens_at[-1]
        return (after - before) / (ended - began)

    @property
    def settled_p99_s(self) -> float:
        """Of the second half of the answers."""
        settled = sorted(self.latencies_s[len(self.latencies_s) // 2 :])
        return settled[int(len(settled) * 0.99)]


def simulate(server: Server, state: LimiterState, requests: int) -> Seen:
    """Send so many requests, as many at once as the state lets."""
    dice = random.Random(server.seed)
    seen = Seen()
    now, left, in_flight = 0.0, requests, 0
    free_at = [0.0] * server.slots
    events: list[tuple[float, float, float, int, float]] = []
    while left or events:
        while left and state.ready_at(0, now) <= now:
            cost = state.start(0, now)
            left -= 1
            if in_flight >= server.refuse_above:
                heapq.heappush(events, (now + 0.01 + dice.random() * 1e-4, now, -1.0, 0, cost))
                continue
            in_flight += 1
            tokens = max(1, int(dice.gauss(100, 30)))
            began_at = max(now, heapq.heappop(free_at))
            ends_at = began_at + server.prefill_s + server.token_s * tokens
            heapq.heappush(free_at, ends_at)
            heapq.heappush(events, (ends_at, now, began_at + server.prefill_s - now, tokens, cost))
        now, started_at, first_token_s, tokens, cost = heapq.heappop(events)
        if tokens:
            in_flight -= 1
            outcome = AttemptResult("complete", completion_tokens=tokens, time_to_first_token_s=first_token_s)
            seen.tokens += tokens
            seen.latencies_s.append(now - started_at)
            seen.tokens_at.append((now, seen.tokens))
        else:
            outcome = AttemptResult("failed", status=429)
            seen.refused += 1
            left += 1
        state.end(outcome, started_at=started_at, cost=cost, accepted=False, now=now)
        if not seen.windows or seen.windows[-1][1] != state.window:
            seen.windows.append((now, state.window))
    seen.ended_at = now
    return seen
