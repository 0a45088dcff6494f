"""The backplane of nodes that share NATS; it needs the extra `gatewright[nats]`."""

from gatewright.backplane.nats.backplane import Nats

__all__ = ["Nats"]
