"""From bindings to nodes: what each type needs, on which level, and which resources first.

Walked once per type, when the application is built; afterwards a type is resolved by calling its
node, without signatures, annotations or injector's lock.
"""

import inspect
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, TypeVar, cast, get_origin

from injector import (
    AssistedBuilder,
    Binder,
    Binding,
    CallableProvider,
    ClassProvider,
    Injector,
    InstanceProvider,
    MapBindProvider,
    MultiBinder,
    ProviderOf,
)

from gatewright.di.bindings import AliasProvider, ResourceProvider, kept, parts
from gatewright.di.naming import chain, describe
from gatewright.di.node import Call, Node, collect, listing, mapping
from gatewright.di.parameters import Parameter, constructor_parameters, function_parameters
from gatewright.di.scopes import Depth, depth_of
from gatewright.errors import StartupError

__all__ = ["Graph", "out_of_reach"]

Path = tuple[object, ...]


class Graph:
    """The nodes of one container. `seeds` are the types that every level is given."""

    def __init__(self, table: Mapping[object, Binding], seeds: Mapping[object, Depth]) -> None:
        self._table = table
        self._seeds = seeds
        self._nodes: dict[object, Node] = {}
        self._calls: dict[tuple[type, frozenset[str]], tuple[Call, Node]] = {}

    def node(self, key: object, path: Path = ()) -> Node:
        """The node of a type; `path` is who asked, outermost first. Raises `StartupError`."""
        found = self._nodes.get(key)
        if found is not None:
            return found
        if key in path:
            circle = path[path.index(key) :]
            raise StartupError(
                chain((*path, key)),
                expected="constructors that come to an end",
                got=f"a cycle: {chain((*circle, key))}",
                fix="Let one of them take injector's ProviderOf[…] and call its get() later.",
            )
        found = self._nodes[key] = self._make(key, (*path, key))
        return found

    def call(self, cls: type, given: Collection[str]) -> tuple[Call, Node]:
        """How to build a class that need not be bound; `given` parameters come from the caller."""
        key = (cls, frozenset(given))
        if key not in self._calls:
            parameters = constructor_parameters(cls, cls, describe(cls))
            unknown = sorted(set(given) - {p.name for p in parameters})
            if unknown:
                raise StartupError(
                    describe(cls),
                    expected=f"a constructor parameter named '{unknown[0]}'",
                    got=", ".join(map(str, parameters)) or "no parameters",
                    fix="Name the parameters to pass in as the constructor does.",
                )
            rest = [p for p in parameters if p.name not in given]
            call = self._call(cls, rest, (cls,))
            self._calls[key] = call, self._node(cls, None, call, call.nodes, (cls,))
        return self._calls[key]

    def _make(self, key: Any, path: Path) -> Node:
        seeded = self._seeds.get(key)
        if seeded is not None:
            return Node(key, seeded, seeded, (), (key,), _seed(key, seeded))
        if key is Injector:
            return Node(key, None, Depth.APP, (), (key,), lambda level: level.injector)
        if key is Binder:
            return Node(key, None, Depth.APP, (), (key,), lambda level: level.root.injector.binder)
        if _is_special(key):
            return self._special(key, path)
        binding = self._table.get(key)
        if binding is None:
            raise self._unbound(key, path, None)
        return self._bound(key, binding, path)

    def _bound(self, key: object, binding: Binding, path: Path) -> Node:
        source: Any = binding  # injector's providers are generic, its bindings do not say of what
        provider: object = source.provider
        scope = depth_of(binding.scope, chain(path))
        match provider:
            case InstanceProvider():
                instance = kept(source.provider)
                return Node(key, None, Depth.APP, (), (key,), lambda _: instance)
            case ResourceProvider():
                call = self._function(provider.function, path)
                return self._node(key, scope, call, call.nodes, path, opens=True)
            case ClassProvider() | AliasProvider():
                alias = (
                    provider.alias if isinstance(provider, AliasProvider) else kept(source.provider)
                )
                cls: Any = get_origin(alias) or alias
                call = self._call(cls, constructor_parameters(cls, alias, chain(path)), path)
                return self._node(key, scope, call, call.nodes, path)
            case CallableProvider():
                function = kept(source.provider)
                _refuse_async(function, path)
                call = self._function(function, path)
                return self._node(key, scope, call, call.nodes, path)
            case MultiBinder():
                found = [
                    (each, self._bound(part.interface, part, (*path, made)))
                    for each, made, part in parts(source.provider)
                ]
                make = mapping if isinstance(provider, MapBindProvider) else listing
                return self._node(key, scope, make(found), [node for _, node in found], path)
            case _:
                # A Provider of the user's own: what it asks the injector for is its affair.
                return self._node(
                    key, scope, lambda level: source.provider.get(level.injector), (), path
                )

    def _special(self, key: Any, path: Path) -> Node:
        """`ProviderOf[T]` and `AssistedBuilder[T]` resolve T later, on the level that asked."""
        (target,) = key.__args__
        level = Depth.APP
        if issubclass(get_origin(key) or key, ProviderOf):
            if not self._knows(target):
                raise self._unbound(target, (*path, target), None)
            binding = self._table.get(target)
            scope = depth_of(binding.scope, chain(path)) if binding is not None else None
            level = self._seeds.get(target, scope or Depth.APP)
        return Node(
            key, None, level, (), (key, target), lambda at: get_origin(key)(at.injector, target)
        )

    def _node(
        self,
        key: object,
        scope: Depth | None,
        make: Callable[[Any], object],
        needs: Iterable[Node],
        path: Path,
        *,
        opens: bool = False,
    ) -> Node:
        level = scope or Depth.APP
        narrow: Path = path[-1:]
        for need in needs:
            if scope is not None and need.level > scope:
                raise _captive((*path, *need.narrow), path[-1], scope, need)
            if need.level > level:
                level, narrow = need.level, (path[-1], *need.narrow)
        return Node(key, scope, level, collect(needs), narrow, make, opens=opens)

    def _function(self, function: Callable[..., Any], path: Path) -> Call:
        return self._call(function, function_parameters(function, chain(path)), path)

    def _call(
        self, target: Callable[..., Any], parameters: Iterable[Parameter], path: Path
    ) -> Call:
        positional: list[Node] = []
        named: list[tuple[str, Node]] = []
        positions_end = False
        for parameter in parameters:
            key = next((k for k in parameter.keys if self._knows(k)), None)
            if key is None:
                if not parameter.has_default or parameter.marked:
                    raise self._unresolved(parameter, target, path)
                positions_end = True
            elif parameter.marked and parameter.optional:
                raise self._unresolved(parameter, target, path)
            elif not parameter.positional_only:
                named.append((parameter.name, self.node(key, path)))
            elif not positions_end:
                positional.append(self.node(key, path))
        return Call(target, tuple(positional), tuple(named))

    def _knows(self, key: object) -> bool:
        if isinstance(key, TypeVar):
            return False
        special = key is Injector or key is Binder or _is_special(key)
        return special or key in self._seeds or key in self._table

    def _unresolved(self, parameter: Parameter, target: object, path: Path) -> StartupError:
        owner = f"parameter {parameter} of {describe(target)}"
        if parameter.refused:
            return StartupError(
                chain(path),
                expected=f"a default for the {owner}",
                got="NoInject without one",
                fix="Give it a default, or let it be injected.",
            )
        if not parameter.keys:
            return StartupError(
                chain(path),
                expected=f"an annotation on the {owner}",
                got="none",
                fix="Annotate it with the type to inject, or give it a default.",
            )
        if parameter.optional:
            return StartupError(
                chain(path),
                expected=f"one type for the {owner}",
                got="an Optional",
                fix="A type is bound or it is not: drop `| None`"
                + (" and Inject." if parameter.marked else ", or give the parameter a default."),
            )
        return self._unbound(parameter.annotation, (*path, parameter.annotation), owner)

    def _unbound(self, key: object, path: Path, owner: str | None) -> StartupError:
        name = describe(key)
        hint = f"Bind it in a module: binder.bind({name})"
        if isinstance(key, TypeVar):
            hint = "Bind a specialized class, such as Repo[User]"
        elif get_origin(key) in (list, dict):
            hint = f"Bind its items in a module: binder.multibind({name}, to=…)"
        return StartupError(
            chain(path),
            expected=f"a binding for {name}" + (f", the {owner}" if owner else ""),
            got="none in the modules",
            fix=hint + (", or give the parameter a default." if owner else "."),
        )


def _captive(path: Path, key: object, scope: Depth, need: Node) -> StartupError:
    """Something that lives longer would hold on to something that lives shorter."""
    return StartupError(
        chain(path),
        expected=f"only what lives as long as {describe(key)} ({scope} level)",
        got=f"{describe(need.narrow[-1])} ({need.level} level)",
        fix=f"Scope {describe(key)} to the {need.level} as well, or pass "
        f"{describe(need.narrow[-1])} to its methods.",
    )


def out_of_reach(node: Node, depth: Depth) -> StartupError:
    """Something was asked for on a level that lives longer than what it needs."""
    first = node.narrow[:2][-1]
    return StartupError(
        chain(node.narrow),
        expected=f"only what lives as long as the {depth} level",
        got=f"{describe(node.narrow[-1])} ({node.level} level)",
        fix=f"Take it as a parameter of a handler, Inject[{describe(first)}], or widen its scope.",
    )


def _is_special(key: object) -> bool:
    origin = get_origin(key)
    return isinstance(origin, type) and issubclass(origin, (AssistedBuilder, ProviderOf))


def _seed(key: object, depth: Depth) -> Callable[[Any], object]:
    def missing(_: Any) -> object:
        raise LookupError(f"expected the {depth} level to be given {describe(key)}, got nothing")

    return missing


def _refuse_async(function: Callable[..., Any], path: Path) -> None:
    plain = inspect.unwrap(cast(Any, getattr(function, "__func__", function)))
    for test, got in (
        (inspect.isasyncgenfunction, "an async generator"),
        (inspect.isgeneratorfunction, "a generator"),
        (inspect.iscoroutinefunction, "an async function"),
    ):
        if test(plain):
            raise StartupError(
                chain(path),
                expected=f"the provider {describe(plain)} to return the value",
                got=got,
                fix="Mark an async generator that yields the value with @resource; "
                "it may await before and clean up after.",
            )
