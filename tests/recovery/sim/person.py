"""Somebody with a client."""

from tests.recovery.sim.client import Client
from tests.recovery.sim.network import Codec, Socket
from tests.recovery.sim.product import ProductClient
from tests.recovery.sim.watch import Watch

__all__ = ["Person"]


class Person:
    """Somebody with a client: its present socket, and those that it has given up."""

    def __init__(self, client: Client | ProductClient, watch: Watch, codec: Codec) -> None:
        self.client = client
        self.watch = watch
        self.codec: Codec = codec
        self.socket: Socket | None = None
        self.strays: list[Socket] = []
        self.heard = 0.0

    @property
    def letter(self) -> Client:
        """Its client, as one that can be made to forget."""
        assert isinstance(self.client, Client)
        return self.client

    @property
    def all_sockets(self) -> list[Socket]:
        """The oldest first."""
        return [*self.strays, *([] if self.socket is None else [self.socket])]

    @property
    def sockets(self) -> list[Socket]:
        """Those that the server has."""
        return [each for each in self.all_sockets if each.server and not each.over]
