"""The speed that gatewright promises: plain on stock uvicorn, Socket.IO with its own `ws=` class.

That class is what the sample application runs on, and what the documentation recommends.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from statistics import median

from .peers import GATEWRIGHT, GATEWRIGHT_SIO_WS, NODE_SOCKETIO, SOCKETIO, STARLETTE
from .report import Results

# Identical runs on one host differ by up to 20 %. It is granted only where the promise is
# "no slower than"; a promised multiple has to be reached in full.
NOISE_MARGIN = 0.2


@dataclass(frozen=True)
class Goal:
    workload: str
    server: str
    peer: str
    ratio: float
    margin: float = 0
    key: str = "rate"
    """`per_cpu_second` where it is a promise about a core of the nodes, without their Redis."""

    def missed(self, results: Results) -> str | None:
        """One sentence when it is missed or was not measured, else None."""
        ratios = results.ratios(self.workload, self.server, self.peer, self.key)
        wanted = f"{self.workload}: {self.server} must reach {self.ratio:g}× {self.peer}"
        if self.key != "rate":
            wanted += " per CPU second"
        if self.margin:
            wanted += f" (within a noise margin of {self.margin:.0%})"
        if not ratios:
            return f"{wanted}, but no round measured both."
        if median(ratios) < self.ratio * (1 - self.margin):
            return f"{wanted}, but the median ratio is {median(ratios):.2f}×."
        return None


GOALS = (
    Goal("w1", GATEWRIGHT, SOCKETIO, 4),
    Goal("w1", GATEWRIGHT, STARLETTE, 1, NOISE_MARGIN),
    Goal("w2", GATEWRIGHT, SOCKETIO, 6),
    Goal("s1", GATEWRIGHT_SIO_WS, SOCKETIO, 6),
    Goal("s1", GATEWRIGHT_SIO_WS, NODE_SOCKETIO, 1),
    Goal("s2", GATEWRIGHT_SIO_WS, SOCKETIO, 6),
    Goal("s2p", GATEWRIGHT_SIO_WS, SOCKETIO, 10),
    Goal("n1", GATEWRIGHT_SIO_WS, SOCKETIO, 5),
    Goal("n1p", GATEWRIGHT_SIO_WS, SOCKETIO, 5),
    Goal("n1", GATEWRIGHT_SIO_WS, NODE_SOCKETIO, 1, NOISE_MARGIN, key="per_cpu_second"),
    Goal("n1p", GATEWRIGHT_SIO_WS, NODE_SOCKETIO, 1, key="per_cpu_second"),
    Goal("n2", GATEWRIGHT_SIO_WS, NODE_SOCKETIO, 1, NOISE_MARGIN, key="per_cpu_second"),
)


def goals_of(workloads: Collection[str]) -> list[Goal]:
    return [goal for goal in GOALS if goal.workload in workloads]
