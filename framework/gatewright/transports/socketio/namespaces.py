"""From the namespace that a client names to the gateways that are declared for it."""

from collections.abc import Iterable, Mapping
from urllib.parse import unquote

from starlette.routing import compile_path

from gatewright.emitter import fill

__all__ = ["NamespaceTable"]


class NamespaceTable:
    """The declared paths of an application, the narrowest first."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._patterns = [(path, compile_path(path)[0]) for path in paths]

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
