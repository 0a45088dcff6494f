"""Levels of injection: application, connection, event, and the resources each of them opens."""

from gatewright.di.container import Container, Recipe
from gatewright.di.levels import Level
from gatewright.di.scopes import (
    Depth,
    app_scoped,
    connection_scoped,
    event_scoped,
    resource,
)

__all__ = [
    "Container",
    "Depth",
    "Level",
    "Recipe",
    "app_scoped",
    "connection_scoped",
    "event_scoped",
    "resource",
]
