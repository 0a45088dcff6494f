"""The backplane on NATS JetStream."""

from gatewright.backplane.nats.log import NatsLog

__all__ = ["NatsLog"]
