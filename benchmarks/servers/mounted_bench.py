"""gatewright plugged in a Starlette application: the same gateway, over plain ASGI messages.

Called by uvicorn directly, gatewright finds uvicorn's protocol object and writes to its transport.
Behind Starlette (or any middleware) `send` comes wrapped, and every frame is one ASGI message.
"""

from __future__ import annotations

from gatewright_bench import app as realtime
from starlette.applications import Starlette

app = Starlette(routes=realtime.routes, lifespan=realtime.lifespan)
