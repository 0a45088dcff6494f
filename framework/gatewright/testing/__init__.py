"""A client for tests: in-process, through the real door, dispatcher and injection.

```python
async with TestClient(app, overrides=[Fakes()]) as client, client.connect("/chat") as ana:
    assert await ana.call("say", Say("lobby", "hi"), reply=int) == 1
    said = await ana.expect(Said)
```
"""

from gatewright.testing.client import TestClient
from gatewright.testing.connection import Refused, TestConnection, Unexpected

__all__ = ["Refused", "TestClient", "TestConnection", "Unexpected"]
