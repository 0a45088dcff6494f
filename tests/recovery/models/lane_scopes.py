"""How much may happen in the lane's model: scopes for every day, and wider ones."""

from tests.recovery.models.checker import Study
from tests.recovery.models.lane import Lane
from tests.recovery.models.lane_state import Rules, Scope

__all__ = ["LANE"]

LANE = Study(
    Lane,
    Rules(),
    small={
        "break": Scope(emits=2, breaks=1, cuts=1, resume_on=(0, 1)),
        "resume": Scope(emits=2, cuts=1),
        "twice": Scope(emits=2, cuts=2, resume_on=(0, 1)),
        "several": Scope(emits=2, cuts=1, targets=(("A",), ("B",), ("A", "B"))),
        "join": Scope(emits=2, cuts=1, joins=1, member_of=("A",)),
        "join and break": Scope(emits=1, joins=1, breaks=1, member_of=("A",)),
        "leave": Scope(emits=2, cuts=1, leaves=1, joins=1),
        "trim": Scope(emits=2, cuts=1, trims=2),
        "flush": Scope(emits=2, cuts=1, flushes=1),
        "silent": Scope(emits=2, cuts=1, silent_drops=1, resume_on=(0, 1)),
        "except": Scope(emits=2, cuts=1, leaves=1, excepting=True, targets=(("A",),)),
        "before": Scope(emits=1, cuts=1, before=True),
    },
    full={
        "break": Scope(emits=3, breaks=1, cuts=1, resume_on=(0, 1)),
        "resume": Scope(emits=3, cuts=1),
        "twice": Scope(emits=3, cuts=2, resume_on=(0, 1)),
        "several": Scope(emits=3, cuts=1, targets=(("A",), ("B",), ("A", "B"))),
        "join": Scope(emits=3, cuts=1, joins=1, member_of=("A",), resume_on=(0, 1)),
        "join and break": Scope(
            emits=2, cuts=1, joins=1, breaks=1, member_of=("A",), resume_on=(0,)
        ),
        "leave": Scope(emits=3, cuts=1, leaves=1, joins=1),
        "leave and break": Scope(emits=2, cuts=1, leaves=1, breaks=1, resume_on=(0, 1)),
        "trim": Scope(emits=3, cuts=1, trims=2),
        "flush": Scope(emits=3, cuts=1, flushes=1, resume_on=(0, 1)),
        "silent": Scope(emits=3, cuts=1, silent_drops=1, resume_on=(0, 1)),
        "except": Scope(emits=3, cuts=1, leaves=1, excepting=True, targets=(("A",),)),
        "before": Scope(emits=3, cuts=2, before=True),
    },
    shown_by={
        "one_lane": "silent",
        "fifo": "leave",
        "freeze": "join and break",
        "tail": "silent",
        "marker": "except",
        "join_from": "join",
        "intervals": "except",
        "exclusion": "except",
        "hold": "before",
        "atomic_read": "resume",
        "floor": "before",
        "epoch": "flush",
        "first_position": "before",
        "trimmed": "trim",
    },
)
