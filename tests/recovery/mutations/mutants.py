"""Each rule of recovery, and ways to break it.

R2 and R9 are about several nodes; R13 and R14 are the calls of the server, and Socket.IO. R15, the
sharded channels of a cluster, is a matter of the Redis engine alone.
"""

from tests.recovery.mutations.in_calls import IN_CALLS
from tests.recovery.mutations.in_sequences import IN_SEQUENCES
from tests.recovery.mutations.in_sessions import IN_SESSIONS
from tests.recovery.mutations.in_shared import IN_SHARED
from tests.recovery.mutations.in_socketio import IN_SOCKETIO
from tests.recovery.mutations.mutant import Mutant

__all__ = ["MUTANTS"]

MUTANTS: tuple[Mutant, ...] = (
    *IN_SEQUENCES,
    *IN_SESSIONS,
    *IN_SHARED,
    *IN_CALLS,
    *IN_SOCKETIO,
)
