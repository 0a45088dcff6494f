"""A module whose resources log what is opened and closed."""

from collections.abc import AsyncGenerator, AsyncIterator

from injector import Binder, Module

from gatewright.di import app_scoped, connection_scoped, event_scoped, resource


class Pool:
    pass


class User:
    pass


class Session:
    def __init__(self, pool: Pool) -> None:
        self.pool = pool


class Service:
    def __init__(self, session: Session, user: User) -> None:
        self.session = session
        self.user = user


class Database(Module):
    """Logs what it opens (+) and closes (-), and with which error."""

    def __init__(self) -> None:
        self.log: list[str] = []

    def configure(self, binder: Binder) -> None:
        binder.bind(Service)

    @app_scoped
    @resource
    async def pool(self) -> AsyncIterator[Pool]:
        self.log.append("pool+")
        try:
            yield Pool()
        finally:
            self.log.append("pool-")

    @connection_scoped
    @resource
    async def user(self) -> AsyncGenerator[User, None]:
        self.log.append("user+")
        yield User()
        self.log.append("user-")

    @event_scoped
    @resource
    async def session(self, pool: Pool) -> AsyncIterator[Session]:
        self.log.append("session+")
        try:
            yield Session(pool)
        except BaseException as error:
            self.log.append(f"rollback {type(error).__name__}")
            raise
        self.log.append("session-")
