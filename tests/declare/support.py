"""What these tests share: the message of a declaration that is refused."""

from typing import Any

import pytest

from gatewright import Gatewright
from gatewright.errors import StartupError

__all__ = ["accepted", "handled", "payloads", "refused"]


def refused(*gateways: Any, **options: Any) -> str:
    """The message with which an application of these gateways is refused at once."""
    with pytest.raises(StartupError) as caught:
        Gatewright(gateways=list(gateways), **options)
    return str(caught.value)


def accepted(*gateways: Any, **options: Any) -> Gatewright:
    """An application of these gateways, for declarations that are right."""
    return Gatewright(gateways=list(gateways), **options)


def handled(app: Gatewright) -> dict[str, dict[str, str]]:
    """Which method handles which event, by namespace."""
    return {
        path: {
            event: handler.where
            for each in namespace.gateways
            for event, handler in each.gateway.handlers.items()
        }
        for path, namespace in app._blueprint.namespaces.items()
    }


def payloads(app: Gatewright, *, kinds: bool = False) -> dict[str, list[Any]]:
    """The names, or the types, of each event's payload parameters."""
    return {
        event: [p.kind if kinds else p.name for p in handler.payload]
        for namespace in app._blueprint.namespaces.values()
        for each in namespace.gateways
        for event, handler in each.gateway.handlers.items()
    }
