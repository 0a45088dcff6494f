from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import httpx2
import pytest
from fastapi import Depends, FastAPI
from injector import Module, provider, singleton
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from gatewright import (
    Connection,
    Emitter,
    Event,
    Gatewright,
    app_scoped,
    event_scoped,
    gateway,
    on,
    resource,
)
from gatewright.backplane import Memory
from gatewright.errors import NotStartedError
from gatewright.testing import Refused, TestClient
from gatewright.transports.websocket import NOT_STARTED
from tests._support.server import serve
from tests.behaviours.support import running
from tests.behaviours.wire import opened

pytestmark = pytest.mark.anyio


class News(Event, event="news"):
    text: str


class Counter:
    def __init__(self) -> None:
        self.count = 0


class Unit:
    """What one event, or one request, works with."""

    def __init__(self, log: list[str]) -> None:
        self.log = log


LOG: list[str] = []


class Wiring(Module):
    @singleton
    @provider
    def counter(self) -> Counter:
        return Counter()

    @event_scoped
    @resource
    async def unit(self) -> AsyncIterator[Unit]:
        LOG.append("begin")
        try:
            yield Unit(LOG)
        except Exception:
            LOG.append("rollback")
            raise
        LOG.append("commit")


@gateway("/news", emits=[News])
class NewsGateway:
    def __init__(self, counter: Counter, emitter: Emitter) -> None:
        self.counter = counter
        self.emitter = emitter

    @on("count")
    async def count(self) -> int:
        self.counter.count += 1
        return self.counter.count

    @on("tell")
    async def tell(self, text: str) -> int:
        return await self.emitter.emit(News(text))

    @on("namespace")
    async def namespace(self, connection: Connection) -> str:
        return connection.namespace


def realtime() -> Gatewright:
    return Gatewright([NewsGateway], modules=[Wiring()])


async def test_routes_and_lifespan_plug_into_starlette() -> None:
    gatewright = realtime()
    log: list[str] = []

    async def tell(request: Request) -> JSONResponse:
        seq = await gatewright.emitter.of("/news").emit(News(request.path_params["text"]))
        return JSONResponse(seq)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncGenerator[None]:
        log.append("own starts")
        async with gatewright.lifespan(app):
            yield
        log.append("own ends")

    app = Starlette(routes=[Route("/tell/{text}", tell), *gatewright.routes], lifespan=lifespan)
    async with serve(app) as url, opened(f"{url.ws}/news") as ana:
        async with httpx2.AsyncClient() as http:
            assert (await http.get(f"{url}/tell/hello")).json() == 1
        assert await ana.receive() == {"event": "news", "data": {"text": "hello"}}
        assert await ana.call("count") == 1
    assert log == ["own starts", "own ends"]
    assert not gatewright.running


async def test_the_lifespan_may_be_passed_as_it_is() -> None:
    gatewright = realtime()
    app = Starlette(routes=gatewright.routes, lifespan=gatewright.lifespan)
    async with serve(app) as url, opened(f"{url.ws}/news") as ana:
        assert await ana.call("count") == 1


async def test_a_mounted_application_is_reached_under_its_prefix() -> None:
    gatewright = realtime()
    app = Starlette(routes=[Mount("/realtime", gatewright)], lifespan=gatewright.lifespan)
    async with serve(app) as url:
        async with opened(f"{url.ws}/realtime/news") as ana:
            assert await ana.call("count") == 1
            # The namespace is the gateway's, wherever it is mounted.
            assert await ana.call("namespace") == "/news"
            await gatewright.emitter.of("/news").emit(News("x"))
            assert (await ana.receive())["event"] == "news"
        async with httpx2.AsyncClient() as http:
            answer = await http.get(f"{url}/realtime/news")
            assert (answer.status_code, answer.headers["upgrade"]) == (426, "websocket")


async def test_an_application_that_was_not_started_refuses_with_exactly_its_sentence(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gatewright = realtime()
    app = Starlette(routes=[Mount("/realtime", gatewright)])
    async with serve(app) as url:
        with pytest.raises(Refused) as refused:
            async with opened(f"{url.ws}/realtime/news"):
                pytest.fail("it must not open")
    assert refused.value.status == 503
    assert refused.value.text == NOT_STARTED
    assert "a mounted application's lifespan never runs" in NOT_STARTED
    assert NOT_STARTED in caplog.text


async def test_fastapi_routes_get_what_handlers_get() -> None:
    gatewright = realtime()
    app = FastAPI(lifespan=gatewright.lifespan)
    app.router.routes.extend(gatewright.routes)
    LOG.clear()

    @app.get("/count")
    async def count(counter: Annotated[Counter, Depends(gatewright.provide(Counter))]) -> int:
        counter.count += 1
        return counter.count

    @app.get("/job/{outcome}")
    async def work(outcome: str, unit: Annotated[Unit, Depends(gatewright.provide(Unit))]) -> str:
        unit.log.append("work")
        if outcome == "raise":
            raise LookupError
        return outcome

    @app.get("/tell/{text}")
    async def tell(
        text: str, emitter: Annotated[Emitter, Depends(gatewright.provide(Emitter))]
    ) -> int:
        return await emitter.of("/news").emit(News(text))

    async with serve(app) as url, opened(f"{url.ws}/news") as ana, httpx2.AsyncClient() as http:
        assert await ana.call("count") == 1
        assert (await http.get(f"{url}/count")).json() == 2
        assert await ana.call("count") == 3
        assert (await http.get(f"{url}/job/fine")).json() == "fine"
        assert LOG == ["begin", "work", "commit"]
        LOG.clear()
        assert (await http.get(f"{url}/job/raise")).status_code == 500
        assert LOG == ["begin", "work", "rollback"]
        assert (await http.get(f"{url}/tell/hello")).json() == 1
        assert (await ana.receive())["data"] == {"text": "hello"}


async def test_get_gives_the_applications_things_while_it_runs() -> None:
    gatewright = realtime()
    with pytest.raises(NotStartedError):
        gatewright.get(Counter)
    with pytest.raises(NotStartedError):
        await anext(gatewright.provide(Counter)())
    async with TestClient(gatewright) as client, client.connect("/news") as ana:
        await ana.call("count")
        assert gatewright.get(Counter).count == 1
        assert await gatewright.aget(Counter) is gatewright.get(Counter)
    with pytest.raises(NotStartedError):
        gatewright.get(Counter)


async def test_one_gateway_class_serves_two_applications() -> None:
    one, two = realtime(), realtime()
    async with (
        TestClient(one) as first,
        TestClient(two) as second,
        first.connect("/news") as ana,
        second.connect("/news") as ben,
    ):
        assert await ana.call("count") == 1
        assert await ana.call("count") == 2
        assert await ben.call("count") == 1
        assert await ana.call("tell", "one") == 1
        assert await ana.expect(News) == News("one")
        await ben.call("namespace")
        assert ben.received() == []
        assert (len(one), len(two)) == (1, 1)


async def test_two_applications_side_by_side_in_one_server() -> None:
    one, two = realtime(), realtime()

    @asynccontextmanager
    async def lifespan(app: object) -> AsyncGenerator[None]:
        async with one.lifespan(app), two.lifespan(app):
            yield

    app = Starlette(routes=[Mount("/one", one), Mount("/two", two)], lifespan=lifespan)
    async with (
        serve(app) as url,
        opened(f"{url.ws}/one/news") as ana,
        opened(f"{url.ws}/two/news") as ben,
    ):
        assert [await ana.call("count"), await ana.call("count")] == [1, 2]
        assert await ben.call("count") == 1


async def test_an_application_runs_again_with_new_things() -> None:
    opened_databases: list[str] = []

    class Database:
        pass

    class Databases(Module):
        @app_scoped
        @resource
        async def database(self) -> AsyncIterator[Database]:
            opened_databases.append("open")
            yield Database()
            opened_databases.append("closed")

    @gateway("/again", emits=[News])
    class Again:
        def __init__(self, database: Database) -> None:
            self.count = 0

        @on("count")
        async def counts(self) -> int:
            self.count += 1
            return self.count

    app = Gatewright([Again], modules=[Databases()], backplane=Memory())
    for _ in range(2):
        async with TestClient(app) as client, client.connect("/again") as ana:
            assert await ana.call("count") == 1
            assert await app.emitter.of("/again").emit(News("x")) == 1
            assert await ana.expect(News) == News("x")
    assert opened_databases == ["open", "closed"] * 2


async def test_an_application_runs_once_at_a_time() -> None:
    gatewright = realtime()
    async with gatewright.lifespan():
        with pytest.raises(NotStartedError, match="running already"):
            async with gatewright.lifespan():
                pytest.fail("it must not start twice")
        assert gatewright.running
        async with TestClient(realtime()) as other, other.connect("/news") as ana:
            assert await ana.call("count") == 1


async def test_applications_do_not_share_a_memory_backplane() -> None:
    memory = Memory()
    one = Gatewright([NewsGateway], modules=[Wiring()], backplane=memory)
    two = Gatewright([NewsGateway], modules=[Wiring()], backplane=memory)
    async with one.lifespan():
        with pytest.raises(NotStartedError, match="give each Gatewright its own"):
            async with two.lifespan():
                pytest.fail("it must not start")
        assert await one.emitter.of("/news").emit(News("still mine")) == 1
    async with two.lifespan():
        assert await two.emitter.of("/news").emit(News("mine now")) == 1


async def test_middleware_of_the_outer_application_is_passed_through() -> None:
    gatewright = realtime()
    seen: list[str] = []

    class Sees:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            async def sends(message: Any) -> None:
                seen.append(message["type"])
                await send(message)

            await self.app(scope, receive, sends)

    app = Starlette(routes=[Mount("/", gatewright)], lifespan=gatewright.lifespan)
    app.add_middleware(Sees)
    async with serve(app) as url, opened(f"{url.ws}/news") as ana:
        assert await ana.call("count") == 1
    assert "websocket.send" in seen


async def test_http_beside_it_is_not_touched() -> None:
    gatewright = realtime()

    async def page(request: Request) -> PlainTextResponse:
        return PlainTextResponse("page")

    app = Starlette(routes=[*gatewright.routes, Route("/news", page)], lifespan=gatewright.lifespan)
    async with serve(app) as url, httpx2.AsyncClient() as http:
        assert (await http.get(f"{url}/news")).text == "page"
        async with opened(f"{url.ws}/news") as ana:
            assert await ana.call("count") == 1


async def test_a_test_client_of_a_gateway_needs_no_server() -> None:
    async with running(NewsGateway, modules=[Wiring()]) as app, app.connect("/news") as ana:
        assert await ana.call("count", reply=int) == 1
