"""Realtime prices in a FastAPI application, plugged in by its routes or mounted as a whole."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated, assert_type

from fastapi import Depends, FastAPI
from injector import Binder, Module, singleton

from gatewright import Emitter, Event, Gatewright, gateway, on


class Price(Event, event="price"):
    value: float


class Prices:
    def __init__(self) -> None:
        self.value = 1.0


class Market(Module):
    def configure(self, binder: Binder) -> None:
        binder.bind(Prices, scope=singleton)


@gateway("/prices", emits=[Price])
class PriceGateway:
    def __init__(self, prices: Prices) -> None:
        self.prices = prices

    @on("now")
    async def now(self) -> float:
        return self.prices.value


def mounted() -> FastAPI:
    """Under a prefix, inside a lifespan that does other things as well."""
    realtime = Gatewright(gateways=[PriceGateway], modules=[Market()])

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        async with realtime.lifespan(app):
            app.state.prices = assert_type(realtime.get(Prices), Prices)
            yield

    app = FastAPI(lifespan=lifespan)
    app.mount("/realtime", realtime)

    @app.get("/mounted-price")
    async def price() -> float:
        return (await realtime.aget(Prices)).value

    return app


def routed() -> FastAPI:
    """Its routes beside those of the application, which gets what handlers get."""
    realtime = Gatewright(gateways=[PriceGateway], modules=[Market()])
    app = FastAPI(lifespan=realtime.lifespan, routes=[*realtime.routes])
    given = Depends(realtime.provide(Prices))

    @app.post("/price/{value}")
    async def change(value: float, prices: Annotated[Prices, given]) -> int:
        prices.value = value
        emitter = assert_type(realtime.emitter, Emitter)
        return await emitter.of("/prices").emit(Price(value))

    return app
