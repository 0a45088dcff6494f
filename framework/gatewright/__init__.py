"""Realtime gateways: decorated classes, dependency injection, typed events, over WebSockets."""

from gatewright.app import Gatewright
from gatewright.calls import Answers
from gatewright.connection import Connection
from gatewright.context import Context
from gatewright.declare.decorators import (
    authorize_room,
    catch,
    gateway,
    on,
    on_connect,
    on_disconnect,
    on_end,
    on_request,
    on_resume,
    on_start,
    on_stop,
)
from gatewright.declare.events import Event
from gatewright.declare.markers import From, Principal, State
from gatewright.declare.specs import CallNext, Guard, Interceptor
from gatewright.di import app_scoped, connection_scoped, event_scoped, resource
from gatewright.emitter import Emitter
from gatewright.errors import CallTimeout, ErrorCode, EventError, RequestTimeout
from gatewright.nodes import NodeAnswers, Nodes
from gatewright.people import Presence
from gatewright.settings import Rate, Settings
from gatewright.types import DisconnectReason, Gap, Handshake, Identity

__all__ = [
    "Answers",
    "CallNext",
    "CallTimeout",
    "Connection",
    "Context",
    "DisconnectReason",
    "Emitter",
    "ErrorCode",
    "Event",
    "EventError",
    "From",
    "Gap",
    "Gatewright",
    "Guard",
    "Handshake",
    "Identity",
    "Interceptor",
    "NodeAnswers",
    "Nodes",
    "Presence",
    "Principal",
    "Rate",
    "RequestTimeout",
    "Settings",
    "State",
    "app_scoped",
    "authorize_room",
    "catch",
    "connection_scoped",
    "event_scoped",
    "gateway",
    "on",
    "on_connect",
    "on_disconnect",
    "on_end",
    "on_request",
    "on_resume",
    "on_start",
    "on_stop",
    "resource",
]
