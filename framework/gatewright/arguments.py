"""From parameters to values: what the reader found out, made into one call per message."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Any, TypeAlias, cast

import msgspec

from gatewright.context import Context
from gatewright.declare.payloads import payload_type
from gatewright.declare.specs import Parameter, Source
from gatewright.di import Container, Depth
from gatewright.errors import ErrorCode, EventError
from gatewright.identities import is_optional
from gatewright.protocol.codecs import Codec, decode_errors, describe

__all__ = ["Arguments", "Payload", "convert_path"]

Getter: TypeAlias = Callable[[Context], Any]


class Arguments:
    """Collects a call's arguments. `level` is the narrowest level that they are injected from."""

    __slots__ = ("_getters", "_names", "direct", "level", "waits")

    def __init__(
        self,
        parameters: Sequence[Parameter],
        container: Container,
        constants: Mapping[Source, Any],
        injected: Mapping[Any, Any],
    ) -> None:
        """`injected` holds the app-level instances; the container is not asked for them again."""
        self.level: Depth = Depth.APP
        self.waits: bool = False
        self._getters: list[Getter] = []
        self._names: list[str | None] = []
        several = sum(p.source is Source.PAYLOAD for p in parameters) > 1
        for parameter in parameters:
            self._names.append(parameter.name if parameter.keyword else None)
            self._getters.append(
                self._getter(parameter, container, constants, injected, several=several)
            )
        self.direct: bool = not self.waits and not any(self._names)
        """Whether `values` alone is the whole call: nothing to await, nothing by name."""

    def _getter(
        self,
        parameter: Parameter,
        container: Container,
        constants: Mapping[Source, Any],
        injected: Mapping[Any, Any],
        *,
        several: bool,
    ) -> Getter:
        source, name = parameter.source, parameter.name
        if source in constants:
            value = constants[source]
            return lambda _: value
        if source is Source.PAYLOAD:
            if several:
                return lambda context: getattr(context.payload, name)
            return lambda context: context.payload
        if source is Source.PATH:
            key = (name, parameter.kind)
            return lambda context: context.place.converted[key]
        if source is Source.FROM:
            assert parameter.extractor is not None
            if inspect.iscoroutinefunction(parameter.extractor):
                self.waits = True
            return parameter.extractor
        if source is Source.INJECT:
            kind = parameter.kind
            level = container.recipe(kind).level
            if level is Depth.APP:
                instance = injected[kind]
                return lambda _: instance
            self.level = max(self.level, level)
            self.waits = True
            return lambda context: cast(Any, context.level).aget(kind)
        if source is Source.PRINCIPAL and not is_optional(parameter.kind):
            return _required_principal
        return _SIMPLE[source]

    def values(self, context: Context) -> list[Any]:
        return [getter(context) for getter in self._getters]

    async def call(self, function: Callable[..., Any], context: Context) -> Any:
        """Call with whatever arguments it needs; awaits those that have to be waited for."""
        if self.direct:
            return function(*[getter(context) for getter in self._getters])
        positional: list[Any] = []
        named: dict[str, Any] = {}
        for name, getter in zip(self._names, self._getters, strict=True):
            value = getter(context)
            if self.waits and inspect.isawaitable(value):
                value = await value
            if name is None:
                positional.append(value)
            else:
                named[name] = value
        return function(*positional, **named)


def _required_principal(context: Context) -> Any:
    if context.identity is None:
        raise EventError(ErrorCode.UNAUTHENTICATED, "this needs an identity")
    return context.identity.principal


_SIMPLE: dict[Source, Getter] = {
    Source.EMITTER: lambda context: context.place.emitter,
    Source.PRESENCE: lambda context: context.place.presence,
    Source.CONNECTION: lambda context: context.connection,
    Source.CONTEXT: lambda context: context,
    Source.HANDSHAKE: lambda context: context.handshake,
    Source.PRINCIPAL: lambda context: (
        context.identity.principal if context.identity is not None else None
    ),
    Source.STATE: lambda context: context.connection.state,
    Source.REASON: lambda context: context.reason,
    Source.GAP: lambda context: context.gap,
    Source.ROOM: lambda context: context.room,
}


class Payload:
    """Decodes an event's raw data straight into what its handler takes."""

    __slots__ = ("_decoders", "_default", "_several", "_used")

    def __init__(self, name: str, parameters: Sequence[Parameter], codecs: Sequence[Codec]) -> None:
        self._used = bool(parameters)
        self._several = len(parameters) > 1
        self._default = parameters[0].default if len(parameters) == 1 else ...
        kind = payload_type(name, parameters) if parameters else None
        self._decoders = {
            codec.name: codec.decoder(kind, several=self._several) for codec in codecs
        }

    def decode(self, context: Context, codec: Codec) -> None:
        """Set `context.payload`; raises `ValidationError`, or `bad_frame` for what is no data."""
        if not self._used:
            return
        data = context.data
        if not data:
            # No data at all: the default, an empty list of arguments, or null.
            if self._default is not ...:
                # A default belongs to one call, not to the function for all of them.
                context.payload = deepcopy(self._default)
                return
            data = codec.empty if self._several else codec.null
        elif self._several:
            data = codec.array(data)
        try:
            context.payload = self._decoders[codec.name](data)
        except msgspec.ValidationError:
            raise
        except decode_errors as error:
            raise EventError(ErrorCode.BAD_FRAME, describe(error)) from None


def convert_path(text: str, kind: Any) -> Any:
    """A path parameter as its annotation wants it; raises `ValueError`.

    What does not read back as the same text is refused, so that one namespace has one address:
    `/lab/7` is, `/lab/07` is not.
    """
    value = msgspec.convert(text, kind, strict=False)
    if str(getattr(value, "value", value)) != text:
        raise ValueError(f"expected {value!s}, got {text!r}")
    return value
