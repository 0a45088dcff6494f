"""The sample application: a page and its gateway, in one Starlette application."""

from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from gatewright import Gatewright, Rate, Settings
from gatewright.backplane import SQLite
from gatewright.transports.socketio import SocketIO
from sample_app.headers import SecurityHeaders
from sample_app.miaou.gateway import MiaouGateway
from sample_app.miaou.identity import authenticate
from sample_app.miaou.module import MiaouModule

__all__ = ["build", "make_realtime"]

HERE = Path(__file__).parent


def build(database: Path) -> Starlette:
    """Make the application; `database` is the SQLite file, made when it is missing."""
    realtime = make_realtime(database)
    return Starlette(
        lifespan=realtime.lifespan,
        routes=[
            *realtime.routes,
            Route("/ready", realtime.readiness),
            Route("/miaou", to_page),
            Mount("/miaou", StaticFiles(directory=HERE / "miaou" / "page", html=True)),
            Mount("/", StaticFiles(directory=HERE / "static", html=True)),
        ],
        middleware=[Middleware(SecurityHeaders)],
    )


def to_page(request: Request) -> RedirectResponse:
    """The WebSocket's address, typed by a person: the page is one slash further."""
    return RedirectResponse(f"{request.url.path}/")


def make_realtime(database: Path) -> Gatewright:
    """The gateways without the pages, as the tests use them."""
    return Gatewright(
        gateways=[MiaouGateway],
        modules=[MiaouModule(database)],
        authenticate=authenticate,
        # Who is cut off by a restart goes on afterwards as if nothing had happened.
        backplane=SQLite(database.with_suffix(".sessions.db")),
        settings=Settings(
            # Nobody types faster; what is over it is answered `too_many`, and the page shows it.
            event_rates={"say": Rate(2, 10), "create": Rate(0.2, 5)},
            # Phones vanish without a word, and people want to see who is here.
            ping_interval=5,
            ping_timeout=3,
        ),
        # For clients that are not our page. Each event then ends with an additional argument.
        socketio=SocketIO(recovery=True, ping_interval=5, ping_timeout=5),
    )
