"""The official Socket.IO admin page for gateways: who is connected, in which rooms, what is said.

It is an extra, `gatewright[admin]`, and off unless an application has `admin=Admin(…)`.
"""

from gatewright.inspector.config import Admin
from gatewright.inspector.passwords import hash_password

__all__ = ["Admin", "hash_password"]
