"""From a blueprint to plans: instances are created, parameters bound, once per start."""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from gatewright.arguments import Arguments, Payload
from gatewright.around import GuardBlueprint
from gatewright.blueprint import (
    Blueprint,
    GatewayBlueprint,
    NamespaceBlueprint,
)
from gatewright.catching import Catchers
from gatewright.declare.naming import describe
from gatewright.declare.specs import CatchMethod, Parameter, Source
from gatewright.di import Container, Depth
from gatewright.emitter import Emitter
from gatewright.errors import StartupError
from gatewright.guards import Guards
from gatewright.identities import Authenticate
from gatewright.node import Address, Node
from gatewright.people import Presence
from gatewright.plans import EventPlan, HookPlan, RequestPlan

__all__ = ["Compiler", "GatewayPlan", "check_injection"]

SOURCES: Mapping[Any, Source] = {Emitter: Source.EMITTER, Presence: Source.PRESENCE}
"""What is bound to a namespace, as the source of a parameter."""


class GatewayPlan:
    """One running gateway: its instance, and its compiled hooks and answers to requests."""

    def __init__(
        self,
        instance: object,
        hooks: Mapping[str, HookPlan],
        requests: Mapping[str, RequestPlan],
    ) -> None:
        self.instance = instance
        self.hooks = hooks
        self.requests = requests


def check_injection(blueprint: Blueprint, container: Container, opening: Container) -> None:
    """Raise `StartupError` for whatever the container could not provide.

    `opening` is another one, with only what is there while a connection opens.
    """
    for each in _gateways(blueprint):
        container.create_recipe(each.gateway.cls, each.bound, at=Depth.APP)
    for target in _classes(blueprint):
        _check_around(target, container)
    for parameter, where, depth, opens in _injections(blueprint):
        inner = f"{where}, parameter {parameter.name!r}"
        try:
            recipe = container.recipe(parameter.kind)
        except StartupError as error:
            # The container knows who asked whom, but not where the asking began.
            raise StartupError(
                f"{inner}: {error.where}", expected=error.expected, got=error.got, fix=error.fix
            ) from None
        if recipe.level > depth:
            raise StartupError(
                inner,
                expected=f"something of the {depth} level: there is nothing narrower here",
                got=f"Inject[{describe(parameter.kind)}], which needs the {recipe.level} level",
                fix=f"Take it in a handler, or scope it to the {depth}.",
            )
        if opens:
            try:
                opening.recipe(parameter.kind)
            except StartupError as error:
                raise StartupError(
                    f"{inner}: {error.where}",
                    expected="only what is known while a connection opens",
                    got="Connection, which does not exist yet",
                    fix="Take Handshake, or put the guard on the handler.",
                ) from None


class Compiler:
    """Compiles one start of an application; remembers what it created, to create it once."""

    def __init__(
        self, blueprint: Blueprint, container: Container, node: Node, *, debug: bool
    ) -> None:
        self._blueprint = blueprint
        self._container = container
        self._node = node
        self._debug = debug
        self._injected: dict[Any, Any] = {}
        self._instances: dict[type, Any] = {}

    async def prepare(self) -> None:
        """Create everything of the application's level that any plan takes."""
        container = self._container
        for parameter, *_ in _injections(self._blueprint):
            kind = parameter.kind
            if kind not in self._injected and container.recipe(kind).level is Depth.APP:
                self._injected[kind] = await container.aget(kind)
        for target in _classes(self._blueprint):
            if target not in self._instances:
                self._instances[target] = await container.create(target, {})

    async def gateway(
        self, namespace: NamespaceBlueprint, blueprint: GatewayBlueprint
    ) -> tuple[GatewayPlan, dict[str, EventPlan]]:
        """Create one gateway and compile its handlers and hooks."""
        gateway, template = blueprint.gateway, namespace.template
        application = self._blueprint.around(namespace)
        bound: dict[type, Any] = {}
        if not template.parameters:
            address = Address(template.path, template.emits)
            bound = {kind: kind(self._node, address) for kind in (Emitter, Presence)}
        instance: object = await self._container.create(
            gateway.cls, {name: bound[kind] for name, kind in blueprint.bound.items()}
        )
        constants = {SOURCES[kind]: each for kind, each in bound.items()}
        hooks = {
            kind: HookPlan(
                hook.where,
                getattr(instance, hook.method),
                self.arguments(hook.parameters, constants),
            )
            for kind, hook in gateway.hooks.items()
        }
        plans: dict[str, EventPlan] = {}
        for event, handler in gateway.handlers.items():
            spec = handler.spec
            interceptors = (
                *application.interceptors,
                *gateway.spec.interceptors,
                *spec.interceptors,
            )
            guards = (
                *application.guards,
                # Every gateway of a namespace guards all of it.
                *(guard for each in namespace.gateways for guard in each.guards),
                *blueprint.handler_guards[event],
            )
            catchers = Catchers(
                (
                    self._catches(blueprint.handler_errors[event], instance),
                    self._catches(blueprint.errors, instance),
                    self._catches(application.errors, instance),
                ),
                debug=self._debug,
            )
            plans[event] = EventPlan(
                event,
                getattr(instance, handler.method),
                self.arguments(handler.parameters, constants),
                Payload(handler.method, handler.payload, list(self._node.codecs.values())),
                self.guards(guards, constants),
                [self._target(each) for each in interceptors],
                catchers,
                stream=handler.stream,
                idempotent=handler.spec.idempotent,
            )
        codec = self._node.codecs["msgpack"]
        requests = {
            name: RequestPlan(
                request.where,
                getattr(instance, request.method),
                self.arguments(request.parameters, constants),
                Payload(request.method, request.payload, [codec]),
                codec,
                Catchers(
                    (
                        self._catches(blueprint.errors, instance),
                        self._catches(application.errors, instance),
                    ),
                    debug=self._debug,
                ),
            )
            for name, request in gateway.requests.items()
        }
        return GatewayPlan(instance, hooks, requests), plans

    def catchers(self, namespace: NamespaceBlueprint, gateways: Sequence[GatewayPlan]) -> Catchers:
        """The error handlers of a whole namespace, for what fails while a connection opens."""
        own = [
            self._catches(blueprint.errors, plan.instance)
            for blueprint, plan in zip(namespace.gateways, gateways, strict=True)
        ]
        errors = self._catches(self._blueprint.around(namespace).errors, None)
        return Catchers((*own, errors), debug=self._debug)

    def guards(
        self, guards: Sequence[GuardBlueprint], constants: Mapping[Source, Any] | None = None
    ) -> Guards:
        return Guards(
            [
                (self._target(each.target), self.arguments(each.parameters, constants))
                for each in guards
            ],
            self._node.settings.guard_timeout,
        )

    def arguments(
        self, parameters: Sequence[Parameter], constants: Mapping[Source, Any] | None = None
    ) -> Arguments:
        return Arguments(parameters, self._container, constants or {}, self._injected)

    def _target(self, target: Any) -> Callable[..., Any]:
        function: Callable[..., Any] = (
            self._instances[target] if inspect.isclass(target) else target
        )
        return function

    def _catches(
        self, catches: Iterable[CatchMethod], instance: object
    ) -> list[tuple[type[Exception], Any]]:
        return [
            (
                each.exception,
                each.function if each.method is None else getattr(instance, each.method),
            )
            for each in catches
        ]


def _gateways(blueprint: Blueprint) -> Iterable[GatewayBlueprint]:
    for namespace in blueprint.namespaces.values():
        yield from namespace.gateways


def _classes(blueprint: Blueprint) -> Iterable[type]:
    """Guards and interceptors that are classes to inject."""
    targets: list[Any] = [guard.target for guard in blueprint.guards]
    targets += blueprint.interceptors
    for each in _gateways(blueprint):
        targets += [guard.target for guard in each.guards]
        targets += each.gateway.spec.interceptors
        for handler in each.gateway.handlers.values():
            targets += [guard.target for guard in each.handler_guards[handler.event]]
            targets += handler.spec.interceptors
    return (target for target in targets if inspect.isclass(target))


class _Injection(NamedTuple):
    parameter: Parameter
    where: str
    depth: Depth = Depth.EVENT
    """The narrowest level that is there."""
    opens: bool = False
    """Whether it is also asked for before there is a connection."""


def _injections(blueprint: Blueprint) -> Iterable[_Injection]:
    """Every `Inject[T]` parameter."""
    found: list[_Injection] = []
    opening: list[GuardBlueprint | Authenticate] = [*blueprint.guards]
    if blueprint.authenticate is not None:
        opening.append(blueprint.authenticate)
    for each in _gateways(blueprint):
        opening += each.guards
        for handler in each.gateway.handlers.values():
            found += [_Injection(p, handler.where) for p in handler.parameters]
            for guard in each.handler_guards[handler.event]:
                found += [_Injection(p, guard.where) for p in guard.parameters]
        for request in each.gateway.requests.values():
            found += [_Injection(p, request.where, Depth.APP) for p in request.parameters]
        for hook in each.gateway.hooks.values():
            depth = Depth.APP if hook.kind in ("on_start", "on_stop") else Depth.EVENT
            found += [_Injection(p, hook.where, depth) for p in hook.parameters]
    found += [_Injection(p, each.where, opens=True) for each in opening for p in each.parameters]
    return (each for each in found if each.parameter.source is Source.INJECT)


def _check_around(target: type, container: Container) -> None:
    recipe = container.create_recipe(target)
    if recipe.level is not Depth.APP:
        names = [describe(each) for each in recipe.path]
        raise StartupError(
            " -> ".join(names),
            expected="only what lives as long as the application: guards and interceptors are "
            "created once",
            got=f"{names[-1]} ({recipe.level} level)",
            fix=f"Take Inject[{names[1]}] in the __call__ of a guard, or widen its scope.",
        )
