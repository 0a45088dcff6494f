"""Emitting from processes that serve nobody: a worker, a script, a cron job."""

from gatewright.emitting.blocking import BlockingEmitter, BlockingTarget, emitting_sync
from gatewright.emitting.opening import emitting

__all__ = ["BlockingEmitter", "BlockingTarget", "emitting", "emitting_sync"]
