"""The namespaces of applications whose gateways are not at hand: whatever could be one."""

import re
from collections.abc import Iterator, Mapping
from urllib.parse import quote

from gatewright.errors import EmitError
from gatewright.node import Template

__all__ = ["Anywhere"]

_PARAMETER = re.compile(r"{([^{}]*)}")
_UNRESERVED = "/%!$&'()*+,;=:@"
"""What stands in a path without being quoted (RFC 3986), besides letters, digits and `_.-~`."""


class Anywhere(Mapping[str, Template]):
    """Every path, with any event; raises `EmitError` for what no gateway can have."""

    def __getitem__(self, namespace: str) -> Template:
        literal = _PARAMETER.sub("", namespace)
        parameters = tuple(_PARAMETER.findall(namespace))
        if not namespace.startswith("/") or set("{}?#") & set(literal):
            raise EmitError(
                "expected a namespace, a path such as '/chat' or '/lab/{bench}', "
                f"got {namespace!r}"
            )
        quoted = quote(literal, safe=_UNRESERVED)
        if quoted != literal:
            raise EmitError(
                f"expected a namespace as in a URL, such as {quoted!r}, got {namespace!r}; "
                "values of parameters are quoted by of('/lab/{bench}', bench=…)"
            )
        return Template(namespace, parameters, None)

    def get(self, namespace: str, default: object = None, /) -> Template:
        return self[namespace]

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0
