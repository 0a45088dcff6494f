"""gatewright's Socket.IO door: the same handlers, in the namespace where Socket.IO clients begin.

The peers listen there too, so every server reads and writes the same bytes.
"""

from __future__ import annotations

from gatewright_bench import Bench, Message

from gatewright import Gatewright, Settings, gateway


@gateway("/", emits=[Message])
class SocketIOBench(Bench):
    pass


app = Gatewright(gateways=[SocketIOBench], settings=Settings(rate=None))
