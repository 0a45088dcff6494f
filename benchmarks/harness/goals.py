"""The speed that gatewright promises on stock uvicorn."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from .peers import GATEWRIGHT, SOCKETIO, STARLETTE
from .report import Results

# Identical runs on one host differ by up to 20 %. It is granted only where the promise is
# "no slower than"; a promised multiple has to be reached in full.
NOISE_MARGIN = 0.2


@dataclass(frozen=True)
class Goal:
    workload: str
    peer: str
    ratio: float
    margin: float = 0

    def missed(self, results: Results) -> str | None:
        """One sentence when it is missed or was not measured, else None."""
        ratios = results.ratios(self.workload, GATEWRIGHT, self.peer)
        wanted = f"{self.workload}: {GATEWRIGHT} must reach {self.ratio:g}× {self.peer}"
        if self.margin:
            wanted += f" (within a noise margin of {self.margin:.0%})"
        if not ratios:
            return f"{wanted}, but no round measured both."
        if median(ratios) < self.ratio * (1 - self.margin):
            return f"{wanted}, but the median ratio is {median(ratios):.2f}×."
        return None


GOALS = (
    Goal("w1", SOCKETIO, 4),
    Goal("w1", STARLETTE, 1, NOISE_MARGIN),
    Goal("w2", SOCKETIO, 6),
)


def missed_goals(results: Results) -> list[str]:
    return [sentence for goal in GOALS if (sentence := goal.missed(results))]
