"""Classes whose annotations are strings, some of which mean nothing in another module."""

from __future__ import annotations

import dataclasses

from injector import ProviderOf


class Url:
    pass


@dataclasses.dataclass
class Config:
    url: Url


class Client:
    def __init__(self, url: Url) -> None:
        self.url = url


class Right:
    def __init__(self, left: Left) -> None:
        self.left = left


class Left:
    def __init__(self, right: ProviderOf[Right]) -> None:
        self.right = right
