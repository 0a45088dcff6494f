"""A client for services, scripts and tests, whose session outlives its sockets (`gw.v1`).

```python
async with connect("ws://127.0.0.1:8000/chat", auth={"token": "…"}) as chat:
    heads = await chat.call("say", Say("lobby", "hi"), int)
```

It needs the extra `gatewright[client]`.
"""

from gatewright.client.client import Client, connect
from gatewright.client.errors import ConnectError
from gatewright.client.streams import Stream
from gatewright.protocol.sessions.client import Backoff, Status
from gatewright.types import Gap

__all__ = ["Backoff", "Client", "ConnectError", "Gap", "Status", "Stream", "connect"]
