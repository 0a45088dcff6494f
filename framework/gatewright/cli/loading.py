"""The application that `module:name` names, or the reason why there is none."""

import asyncio
import importlib
import inspect
import os
import re
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any, Final, cast

from starlette.applications import Starlette
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.config import STARTUP_FAILURE

from gatewright.app import Gatewright
from gatewright.errors import BackplaneError, GatewrightError, StartupError

__all__ = ["APP", "FACTORY", "NotLoadedError", "application", "brief", "load"]

APP: Final = "GATEWRIGHT_APP"
"""The variable of the environment by which workers learn what to serve."""

FACTORY: Final = "GATEWRIGHT_FACTORY"
"""Likewise, whether that has to be called first."""

_REFUSED = re.compile(
    "|".join(
        rf"^{re.escape(f'{kind.__module__}.{kind.__name__}: ')}"
        for kind in (StartupError, BackplaneError)
    ),
    re.MULTILINE,
)


class NotLoadedError(GatewrightError):
    """There is nothing to serve; the message says what was expected, what came and what to do."""


def application() -> ASGIApp:
    """What a worker serves; exits where there is nothing.

    uvicorn starts its workers with the name of a factory, which is this one: so it is known in the
    worker, not before, and in our words, if it cannot be loaded.
    """
    try:
        return load(os.environ[APP], factory=bool(os.environ.get(FACTORY)))
    except GatewrightError as error:
        sys.stderr.write(f"{error}\n")
    except Exception:
        traceback.print_exc()
    # Another worker would fail as well, and the supervisor need not try.
    sys.exit(STARTUP_FAILURE)


def load(target: str, *, factory: bool = False) -> ASGIApp:
    """Import the application `module:name`, or call the factory of that name.

    Raises `NotLoadedError`, `StartupError` where a declaration is wrong, and whatever else the
    module raises.
    """
    module, _, name = target.partition(":")
    is_path = "/" in module or module.startswith(".") or module.endswith(".py")
    if is_path or not module or not name:
        guess = Path(module).stem.strip(".") or "main"
        raise NotLoadedError(
            f"expected an application as module:name, such as {guess}:{name or 'app'}, "
            f"got {target!r}" + (_PATHS if is_path else "")
        )
    found: Any = _imported(module)
    try:
        for part in name.split("."):
            found = getattr(found, part)
    except AttributeError:
        raise NotLoadedError(
            f"expected {name!r} in the module {module!r}, got a module without it; "
            f"{_offers(sys.modules[module])}"
        ) from None
    if factory or _is_factory(found):
        found = _made(found, target)
    if not callable(found) or inspect.isclass(found):
        raise NotLoadedError(
            f"{target}: expected an ASGI application, such as Gatewright(gateways=[…]), "
            f"got {_described(found)}"
        )
    return brief(cast(ASGIApp, found))


_PATHS = "; a module is named as it is imported, and --app-dir says from which folder"


def _imported(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        # One that it imports is missing: its own traceback says where.
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        folder = sys.path[0] or "."
        raise NotLoadedError(
            f"expected a module {module!r} in {Path(folder).resolve()} or installed, got none of "
            f"the name {error.name!r}; --app-dir names another folder"
        ) from None


def _offers(module: ModuleType) -> str:
    kinds = (Gatewright, Starlette)
    names = ", ".join(name for name, each in vars(module).items() if isinstance(each, kinds))
    return f"applications there: {names}" if names else "there is no application in it"


def _is_factory(found: Any) -> bool:
    """Whether it takes nothing; an ASGI application takes three arguments."""
    if not callable(found) or inspect.isclass(found):
        return False
    try:
        signature = inspect.signature(found)
        signature.bind()
    except (TypeError, ValueError):
        return False
    try:
        signature.bind({}, None, None)
    except TypeError:
        return True
    return False


def _made(factory: Any, target: str) -> Any:
    if not _is_factory(factory):
        raise NotLoadedError(
            f"{target}: expected a factory, a function without parameters that returns the "
            f"application, got {_described(factory)}"
        )
    made = factory()
    if asyncio.iscoroutine(made):
        made.close()
        raise NotLoadedError(
            f"{target}: expected a function that returns the application, got an async one; what "
            "has to be awaited belongs in a lifespan"
        )
    return made


def _described(found: object) -> str:
    if inspect.isclass(found):
        return f"the class {found.__name__}"
    if inspect.isfunction(found):
        return f"the function {found.__name__}{inspect.signature(found)}"
    return f"{type(found).__name__} {found!r:.60}"


def brief(app: ASGIApp) -> ASGIApp:
    """Let a refused start say its reason alone, which tells what to do, without a traceback."""

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        async def tell(message: Message) -> None:
            if message["type"] == "lifespan.startup.failed":
                text = message.get("message", "").strip()
                reason = _REFUSED.split(text)[-1]
                # Unless something else went wrong because of that.
                if "Traceback" not in reason:
                    message = {**message, "message": reason}
            await send(message)

        await app(scope, receive, tell if scope["type"] == "lifespan" else send)

    return run
