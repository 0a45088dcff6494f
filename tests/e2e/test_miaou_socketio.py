"""Miaou's page and a Socket.IO client in one room."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, Route, expect

from tests.e2e.conftest import WAIT, SampleApp, Tunnel, Visit
from tests.e2e.test_miaou import enter, messages, say
from tests.interop.node import JS, install

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

expect.set_options(timeout=WAIT)

GUEST = Path(__file__).with_name("socketio.html")
CLIENT = JS / "node_modules" / "socket.io-client" / "dist" / "socket.io.min.js"


async def arrive(page: Page, nickname: str) -> None:
    """Show a page of ours in the place of the server's, with the real client."""
    await asyncio.to_thread(install)

    async def client(route: Route) -> None:
        await route.fulfill(path=CLIENT, content_type="text/javascript")

    await page.route("**/socket.io.min.js", client)
    # A page that a route made up would be no local one: Chromium forbids it local WebSockets.
    await page.evaluate("name => history.replaceState(null, '', `?nickname=${name}`)", nickname)
    await page.set_content(GUEST.read_text(encoding="utf-8"))
    await expect(page.locator("#state")).to_have_text("registered")
    await page.wait_for_function("miaou.io.engine.transport.name === 'websocket'")


def lines(page: Page) -> Any:
    return page.locator("#messages li")


def here(page: Page) -> Any:
    return page.locator("#here .name")


async def test_both_doors_lead_to_the_sofa(sample_app: SampleApp, visit: Visit) -> None:
    async with (
        visit(f"{sample_app.url}/miaou/") as ana,
        visit(sample_app.url, bypass_csp=True) as ben,
    ):
        await enter(ana, "Ana")
        await arrive(ben, "Ben")
        await expect(here(ana)).to_have_text(["Ana", "Ben"])
        await expect(ben.locator("#here")).to_have_text("Ana, Ben")

        await ben.get_by_label("Message").press_sequentially("hel")
        await expect(ana.locator("#typing")).to_have_text("Ben is typing…")
        await ben.get_by_label("Message").press_sequentially("lo, Ana")
        await ben.keyboard.press("Enter")
        await expect(messages(ana)).to_have_text(["hello, Ana"])
        await expect(ana.locator("#typing")).to_have_text("")

        await ana.get_by_label("Message", exact=True).press_sequentially("hello y")
        await expect(ben.locator("#typing")).to_have_text("Ana is typing…")
        await say(ana, "hello yourself")
        await expect(lines(ben)).to_have_text(["Ben: hello, Ana", "Ana: hello yourself"])
        await expect(messages(ana)).to_have_text(["hello, Ana", "hello yourself"])

        await ben.close()
        # Without a goodbye: it might have returned.
        await expect(here(ana)).to_have_text(["Ana"], timeout=30_000)


async def test_a_guest_who_is_cut_off_misses_nothing(sample_app: SampleApp, visit: Visit) -> None:
    tunnel = Tunnel(sample_app.url)
    async with (
        visit(f"{sample_app.url}/miaou/") as ana,
        tunnel.dig() as through,
        visit(through, bypass_csp=True) as ben,
    ):
        await enter(ana, "Ana")
        await arrive(ben, "Ben")
        await say(ana, "before")
        await expect(lines(ben)).to_have_text(["Ana: before"])

        # Until it is cleared nobody comes through: what is said meanwhile has to be kept.
        tunnel.block()
        tunnel.cut()
        await expect(ben.locator("#state")).to_have_text("transport close")
        await say(ana, "one")
        await say(ana, "two")
        await expect(messages(ana)).to_have_text(["before", "one", "two"])
        # Who is back soon has not been away.
        await expect(here(ana)).to_have_text(["Ana", "Ben"])
        tunnel.clear()

        await expect(ben.locator("#state")).to_have_text("recovered")
        await expect(lines(ben)).to_have_text(["Ana: before", "Ana: one", "Ana: two"])
        await expect(ben.locator("#here")).to_have_text("Ana, Ben")
        await expect(here(ana)).to_have_text(["Ana", "Ben"])
        # Still registered, under the same name.
        await ben.get_by_label("Message").fill("I am back")
        await ben.keyboard.press("Enter")
        await expect(messages(ana)).to_have_text(["before", "one", "two", "I am back"])
        await expect(lines(ben)).to_have_count(4)


async def test_a_guest_outlives_a_restart(sample_app: SampleApp, visit: Visit) -> None:
    async with (
        visit(f"{sample_app.url}/miaou/") as ana,
        visit(sample_app.url, bypass_csp=True) as ben,
    ):
        await enter(ana, "Ana")
        await arrive(ben, "Ben")
        sample_app.kill()
        await expect(ben.locator("#state")).not_to_have_text("registered")
        sample_app.start()
        await expect(ben.locator("#state")).to_have_text("recovered")
        await ana.evaluate("dispatchEvent(new Event('online'))")
        await expect(here(ana)).to_have_text(["Ana", "Ben"])
        await ben.get_by_label("Message").fill("that was quick")
        await ben.keyboard.press("Enter")
        await expect(messages(ana)).to_have_text(["that was quick"])
