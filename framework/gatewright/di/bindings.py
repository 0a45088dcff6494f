"""Modules installed in injector's binder, and read back as one table of bindings.

This is the only file that knows how injector keeps a provider: `ClassProvider._cls`,
`CallableProvider._callable`, `InstanceProvider._instance`, `MultiBinder._multi_bindings`,
`KeyValueProvider` and `Binder._bindings` have no public way to them.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, cast, get_args, get_origin

from injector import (
    AssistedBuilder,
    Binder,
    Binding,
    CallableProvider,
    ClassProvider,
    Injector,
    InstanceProvider,
    KeyValueProvider,
    Module,
    Provider,
    ProviderOf,
)

from gatewright.di.naming import describe
from gatewright.di.parameters import unknown_name
from gatewright.di.scopes import is_resource, yielded
from gatewright.errors import StartupError

__all__ = [
    "AliasProvider",
    "Bind",
    "LevelBinder",
    "ResourceProvider",
    "install",
    "kept",
    "parts",
]

Bind = Module | Callable[[Binder], None] | type[Module]


class _Described(Provider[Any]):
    """Says what to make; the graph makes it."""

    def get(self, injector: Injector) -> Any:
        raise RuntimeError(f"expected the container to make {self!r}, got a call by {injector!r}")


class AliasProvider(_Described):
    """Builds a specialized generic class: `bind(Repo[User])`."""

    def __init__(self, alias: object) -> None:
        self.alias = alias


class ResourceProvider(_Described):
    """Opens what an async generator yields."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function


class LevelBinder(Binder):
    """injector's binder, which also understands `@resource` and specialized generic classes."""

    def bind(self, interface: Any, to: Any = None, scope: Any = None) -> None:
        if is_resource(to) and inspect.ismethod(to):
            # Bound by its module, under the annotation AsyncIterator[T] of the method.
            interface = yielded(to)
        if is_resource(to) and get_origin(interface) in (list, dict):
            raise _several(interface, to)
        super().bind(interface, to, scope)

    def multibind(self, interface: Any, to: Any, scope: Any = None) -> None:
        if is_resource(to):
            if inspect.ismethod(to):
                yielded(to)  # the module's method says list[T], where AsyncIterator[T] belongs
            raise _several(interface, to)
        super().multibind(interface, to, scope)

    def provider_for(self, interface: Any, to: Any = None) -> Provider[Any]:
        if is_resource(to):
            return ResourceProvider(to)
        alias = interface if to is None else to
        if get_origin(alias) is Annotated:
            alias = get_args(alias)[0]
        if to is not None and to is get_origin(interface):
            alias = interface  # bind(Repo[User], to=Repo)
        if _is_generic_class(alias):
            return AliasProvider(alias)
        provider: Provider[Any] = cast(Any, super()).provider_for(interface, to)
        return provider

    def create_binding(self, interface: Any, to: Any = None, scope: Any = None) -> Binding:
        binding = super().create_binding(interface, to, scope)
        if is_resource(to) and binding.scope.__name__ == "NoScope":
            raise StartupError(
                f"@resource {describe(to)}",
                expected="a scope that says when it is closed",
                got="none",
                fix="Write @app_scoped, @connection_scoped or @event_scoped above @resource.",
            )
        return binding


def _several(interface: object, to: object) -> StartupError:
    return StartupError(
        f"@resource {describe(to)}",
        expected="a resource that yields one thing",
        got=describe(interface),
        fix="list and dict are injector's multibindings; yield a class that holds it.",
    )


def _is_generic_class(alias: object) -> bool:
    origin = get_origin(alias)
    return (
        isinstance(origin, type)
        and origin not in (list, dict)
        and not issubclass(origin, (AssistedBuilder, ProviderOf))
    )


def install(
    injector: Injector,
    instances: Mapping[Any, object],
    modules: Iterable[Bind],
    overrides: Iterable[Bind],
) -> dict[object, Binding]:
    """The bindings of all modules; where an override has the same key, its binding alone."""
    binder = LevelBinder(injector, auto_bind=False)
    for interface, instance in instances.items():
        binder.bind(interface, to=InstanceProvider(instance))
    injector.binder = _installed(binder, modules)
    replacing = _installed(LevelBinder(injector, auto_bind=False, parent=binder), overrides)
    # Through the binder, so that AssistedBuilder and ProviderOf find the replaced ones as well.
    binder._bindings.update(replacing._bindings)
    return cast(dict[object, Binding], binder._bindings)


def _installed(binder: LevelBinder, modules: Iterable[Bind]) -> LevelBinder:
    for module in modules:
        try:
            binder.install(module)
        except NameError as error:
            if not isinstance(error.__cause__, NameError):
                raise  # any other mistake in a module's code
            where = describe(module if isinstance(module, type) else type(module))
            raise unknown_name(f"module {where}", error.__cause__) from error
    return binder


def kept(provider: object) -> Any:
    """The class, callable or instance that one of injector's own providers was made with."""
    known: Any = provider
    if isinstance(provider, ClassProvider):
        return known._cls
    if isinstance(provider, CallableProvider):
        return known._callable
    return known._instance


def parts(provider: object) -> list[tuple[object, object, Binding]]:
    """What a multibinding is made of: key in the map (None in a list), what makes it, binding."""
    bindings: list[Binding] = cast(Any, provider)._multi_bindings
    found: list[tuple[object, object, Binding]] = []
    for binding in bindings:
        inner: Any = cast(Any, binding).provider
        key: object = None
        if isinstance(inner, KeyValueProvider):
            key, inner = inner._key, cast(Any, inner)._provider
        # Its own key is a type invented by injector, of which no message should speak.
        known = isinstance(inner, (ClassProvider, CallableProvider))
        made: object = kept(inner) if known else getattr(inner, "alias", cast(Any, type)(inner))
        found.append((key, made, Binding(binding.interface, inner, binding.scope)))
    return found
