"""Each rule of recovery that one node has to keep, and ways to break it.

R2, R10 and R15 are about several nodes; what one node has of R1 and R10 is its file. R13 and R14
are the calls of the server, and Socket.IO.
"""

from tests.recovery.mutations.in_calls import IN_CALLS
from tests.recovery.mutations.in_sequences import IN_SEQUENCES
from tests.recovery.mutations.in_sessions import IN_SESSIONS
from tests.recovery.mutations.in_socketio import IN_SOCKETIO
from tests.recovery.mutations.mutant import Mutant

__all__ = ["MUTANTS"]

MUTANTS: tuple[Mutant, ...] = (*IN_SEQUENCES, *IN_SESSIONS, *IN_CALLS, *IN_SOCKETIO)
