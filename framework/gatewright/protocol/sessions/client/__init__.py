"""A client's side of `gw.v1`, as a state machine that does no input or output and has no clock."""

from gatewright.protocol.sessions.client.asked import Question
from gatewright.protocol.sessions.client.backoff import Backoff
from gatewright.protocol.sessions.client.calls import OpenCall
from gatewright.protocol.sessions.client.codec import CLIENT_CODECS, ClientCodec
from gatewright.protocol.sessions.client.events import (
    Asked,
    CallEnded,
    CallFailed,
    ClientEvent,
    Closed,
    Delivered,
    Drop,
    ItemArrived,
    Lost,
    Missed,
    Opened,
    RefreshDue,
    RefreshEnded,
)
from gatewright.protocol.sessions.client.frames import (
    ClientFrame,
    ServerEnvelope,
    ServerFrame,
    SessionAnswer,
    SessionFailure,
)
from gatewright.protocol.sessions.client.machine import ClientSession, Status

__all__ = [
    "CLIENT_CODECS",
    "Asked",
    "Backoff",
    "CallEnded",
    "CallFailed",
    "ClientCodec",
    "ClientEvent",
    "ClientFrame",
    "ClientSession",
    "Closed",
    "Delivered",
    "Drop",
    "ItemArrived",
    "Lost",
    "Missed",
    "OpenCall",
    "Opened",
    "Question",
    "RefreshDue",
    "RefreshEnded",
    "ServerEnvelope",
    "ServerFrame",
    "SessionAnswer",
    "SessionFailure",
    "Status",
]
