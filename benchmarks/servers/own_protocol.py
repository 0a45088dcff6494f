"""uvicorn with gatewright's WebSocket protocol class: `own_protocol.py MODULE:APP`.

A script, because uvicorn's command line only offers its own classes for `--ws`.
"""

from __future__ import annotations

import os
import sys

import uvicorn

from gatewright.server import WebSocketProtocol

if __name__ == "__main__":
    uvicorn.run(
        sys.argv[1],
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        ws=WebSocketProtocol,
        log_level="warning",
    )
