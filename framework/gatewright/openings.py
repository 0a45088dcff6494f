"""What is asked before a connection exists: who it is, and whether it may."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any, TypeGuard

from msgspec import Struct, structs

from gatewright.arguments import Arguments
from gatewright.catching import stray
from gatewright.connection import Connection
from gatewright.context import Context, Place
from gatewright.di import Container, Level
from gatewright.errors import BackplaneError, ErrorCode, EventError
from gatewright.namespaces import NamespacePlan
from gatewright.node import Node
from gatewright.plans import open_level
from gatewright.types import Handshake, Identity

__all__ = ["Opening", "Openings"]

logger: logging.Logger = logging.getLogger("gatewright")


class Opening(Struct):
    """A connection that has passed its guards and waits for its socket.

    Its node follows its namespace from here on, until it is closed.
    """

    place: Place
    level: Level
    node: Node | None = None
    """Who follows the namespace; None once it is closed."""

    async def aclose(self, error: BaseException | None = None) -> None:
        """Close what it has opened; raises what that raises."""
        try:
            await self.level.aclose(error)
        finally:
            await self._unfollow()

    async def abandon(self, error: BaseException) -> None:
        """The same, where what fails at that must not hide why it ended."""
        try:
            await self.aclose(error)
        except Exception:
            logger.exception("the resources of an opening failed to close")

    async def _unfollow(self) -> None:
        node, self.node = self.node, None
        if node is not None:
            namespace = self.place.handshake.namespace
            try:
                await asyncio.shield(node.unfollow(namespace))
            except Exception:
                logger.exception("%s: cannot be unfollowed", namespace)


class Openings:
    """Asks `authenticate` and the guards, at opening and again."""

    def __init__(self, container: Container, node: Node) -> None:
        self._container = container
        self._node = node
        self._authenticate: tuple[Callable[..., Any], Arguments] | None = None

    def ask(self, authenticate: Callable[..., Any], arguments: Arguments) -> None:
        """Ask the application who its connections are."""
        self._authenticate = authenticate, arguments

    async def open(
        self,
        namespace: NamespacePlan,
        handshake: Handshake,
        converted: Mapping[tuple[str, Any], Any],
    ) -> Opening:
        """Raises `EventError` for a refusal; `BackplaneError` where nobody can be let in."""
        place = Place(handshake, converted)
        context = Context(place)
        seeds: dict[type, Any] = {Handshake: handshake}
        level = self._container.connection(seeds)
        asked = self._authenticate is not None and not namespace.blueprint.apart
        if not asked and not namespace.guards:
            return await self._follow(place, level)
        limit = asyncio.timeout(self._node.settings.open_timeout)
        try:
            async with limit:
                if asked:
                    place.identity = await self._identify(context, level)
                async with open_level(context, level, namespace.guards.level):
                    await namespace.guards.check(context)
        except BaseException as error:
            await Opening(place, level).abandon(error)
            if isinstance(error, TimeoutError) and limit.expired():
                raise EventError(ErrorCode.TIMEOUT, "opening took too long") from None
            failed = stray(error) if isinstance(error, asyncio.CancelledError) else error
            if isinstance(failed, Exception):
                raise await namespace.refusal(failed, context) from error
            raise
        return await self._follow(place, level)

    async def _follow(self, place: Place, level: Level) -> Opening:
        namespace = place.handshake.namespace
        try:
            async with asyncio.timeout(self._node.settings.open_timeout):
                await self._node.follow(namespace)
        except BaseException as error:
            await Opening(place, level).abandon(error)
            if isinstance(error, TimeoutError):
                raise BackplaneError(f"{namespace} could not be followed in time") from None
            raise
        return Opening(place, level, self._node)

    async def _identify(self, context: Context, level: Level) -> Identity[Any] | None:
        if self._authenticate is None:
            return None
        function, arguments = self._authenticate
        async with open_level(context, level, arguments.level):
            identity: object = await (await arguments.call(function, context))
        if not _is_identity(identity):
            raise TypeError(
                f"authenticate: expected an Identity or None, got {type(identity).__name__}"
            )
        if identity is not None and identity.expires is not None and not identity.expires.tzinfo:
            raise TypeError(
                f"authenticate: expected expires with a time zone, got {identity.expires!r}; "
                "write datetime.now(UTC) + timedelta(…)"
            )
        return identity

    def refresh(self, opening: Opening) -> Any:
        """What `connection.authenticate` asks."""

        async def refresh(
            connection: Connection, auth: object, /, *, same_user: bool = False
        ) -> Identity[Any] | None:
            handshake = structs.replace(connection.handshake, auth=auth)
            context = Context(Place(handshake, opening.place.converted))
            identity = await self._identify(context, opening.level)
            if same_user and connection.user != (None if identity is None else identity.user):
                raise EventError(ErrorCode.FORBIDDEN, "expected credentials of the same user")
            connection.handshake = opening.place.handshake = handshake
            return identity

        return refresh

    @staticmethod
    def admit(namespace: NamespacePlan, opening: Opening) -> Any:
        """What `connection.join` asks."""

        async def admit(_: Connection, room: str) -> None:
            for hook in namespace.admit:
                context = Context(opening.place)
                context.room = room
                if not await hook.run(context, opening.level):
                    raise EventError(ErrorCode.FORBIDDEN, f"not allowed to join {room[:64]!r}")

        return admit


def _is_identity(value: object) -> TypeGuard[Identity[Any] | None]:
    return value is None or isinstance(value, Identity)
