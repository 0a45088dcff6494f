"""The declared namespaces: what runs in each, and which one a client names."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal
from urllib.parse import unquote

from starlette.routing import compile_path

from gatewright.blueprint import NamespaceBlueprint
from gatewright.catching import Catchers, stray
from gatewright.compiling import GatewayPlan
from gatewright.context import Context
from gatewright.di import Level
from gatewright.emitter import fill
from gatewright.errors import EventError
from gatewright.guards import Guards
from gatewright.plans import EventPlan, HookPlan

__all__ = ["NamespacePlan", "NamespaceTable", "logged", "specific"]


class NamespacePlan:
    """Everything that runs in one namespace."""

    def __init__(
        self,
        blueprint: NamespaceBlueprint,
        gateways: Sequence[GatewayPlan],
        plans: Mapping[str, EventPlan],
        guards: Guards,
        catchers: Catchers,
    ) -> None:
        self.blueprint = blueprint
        self.gateways = gateways
        self.plans = plans
        self.guards = guards
        self._catchers = catchers
        self.greets: bool = any("on_connect" in each.hooks for each in gateways)
        """Whether there is a connect hook to wait for."""
        self.admit: list[HookPlan] = [
            each.hooks["authorize_room"] for each in gateways if "authorize_room" in each.hooks
        ]

    async def connect(self, context: Context, level: Level) -> None:
        """Run the connect hooks in the order of the gateways; the first failure ends it."""
        if not self.greets:
            context.place.connected = len(self.gateways)
            return
        for index, each in enumerate(self.gateways):
            hook = each.hooks.get("on_connect")
            if hook is not None:
                await hook.run(context, level)
            context.place.connected = index + 1

    async def resume(self, context: Context, level: Level) -> None:
        """Run the resume hooks likewise, of a connection that has connected before."""
        context.place.connected = len(self.gateways)
        for each in self.gateways:
            hook = each.hooks.get("on_resume")
            if hook is not None:
                await hook.run(context, level)

    async def refusal(self, error: Exception, context: Context) -> EventError:
        """The error that a client is told of, as the error handlers see it."""
        return await self._catchers.end(error, context)

    async def finish(
        self, kind: Literal["on_disconnect", "on_end"], context: Context, level: Level
    ) -> None:
        """Run hooks of the end, last gateway first, of those that connected."""
        for each in reversed(self.gateways[: context.place.connected]):
            hook = each.hooks.get(kind)
            if hook is not None:
                await logged(hook, context, level)


class NamespaceTable:
    """The declared paths of an application, the narrowest first."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._patterns = [(path, compile_path(path)[0]) for path in sorted(paths, key=specific)]

    def find(self, namespace: str) -> tuple[str, Mapping[str, str]] | None:
        """The declared path and its parameters; None where nobody serves the namespace.

        A parameter is quoted as in a URL, `/lab/a%20b`, so that one namespace has one name.
        """
        for path, pattern in self._patterns:
            match = pattern.match(namespace)
            if match is not None:
                values = {name: unquote(value) for name, value in match.groupdict().items()}
                return (path, values) if fill(path, values) == namespace else None
        return None


def specific(path: str) -> list[bool]:
    """How paths are sorted: `/lab/main` before `/lab/{bench}`, which would match it too."""
    return ["{" in part for part in path.split("/")]


async def logged(hook: HookPlan, context: Context, level: Level) -> None:
    """Run a hook of the end: what it raises must not keep the next one from running."""
    try:
        await hook.run(context, level)
    except Exception as error:
        hook.log_failure(context, error)
    except asyncio.CancelledError as error:
        if (lost := stray(error)) is None:
            raise
        hook.log_failure(context, lost)
