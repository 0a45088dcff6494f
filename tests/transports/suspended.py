"""A server for those who suspend it: `tests.transports.suspended:app`."""

from gatewright import Gatewright, Settings, gateway, on
from gatewright.transports.socketio import SocketIO

INTERVAL, TIMEOUT = 0.1, 0.5


@gateway("/chat")
class Chat:
    @on("join")
    async def join(self) -> str:
        return "welcome"


app = Gatewright(
    gateways=[Chat],
    socketio=SocketIO(ping_interval=INTERVAL, ping_timeout=TIMEOUT),
    settings=Settings(ping_interval=INTERVAL, ping_timeout=TIMEOUT),
)
