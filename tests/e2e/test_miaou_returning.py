"""Miaou over bad networks and dying servers: nothing is lost, and the banner tells the truth."""

import re

import pytest
from playwright.async_api import WebSocketRoute, expect

from tests.e2e.conftest import WAIT, SampleApp, Tunnel, Visit
from tests.e2e.test_miaou import enter, messages, say

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

expect.set_options(timeout=WAIT)


async def test_the_server_dies_and_returns(sample_app: SampleApp, visit: Visit) -> None:
    miaou = f"{sample_app.url}/miaou/"
    async with visit(miaou) as ana, visit(miaou) as ben:
        await enter(ana, "Ana")
        await enter(ben, "Ben")
        await say(ben, "before")
        await expect(messages(ana)).to_have_text(["before"])

        sample_app.kill()
        await expect(ana.locator("#banner")).to_contain_text("Offline.")
        await expect(ana.locator("#banner-count")).to_have_text(
            # Between two attempts it may be connecting.
            re.compile(r"Retrying in \d+ s")
        )
        await say(ana, "into the void")
        await say(ana, "and again")
        await expect(ana.locator(".sending .text")).to_have_text(["into the void", "and again"])
        await expect(ana.locator(".sending .stamp").first).to_have_text(
            "waiting for the connection"
        )
        await expect(ana.locator("#banner")).to_contain_text("2 messages wait.")

        # The session outlives the process: nobody is asked who they are.
        sample_app.start()
        await ben.evaluate("dispatchEvent(new Event('online'))")
        await expect(ben.locator("#banner")).to_have_text("You are back.")
        await ana.evaluate("dispatchEvent(new Event('online'))")
        await expect(ana.locator("#banner")).to_have_text("You are back.")
        for page in (ana, ben):
            await expect(messages(page)).to_have_text(["before", "into the void", "and again"])
            await expect(page.locator("#here .name")).to_have_text(["Ana", "Ben"])
        await expect(ana.locator(".sending")).to_have_count(0)
        await expect(ana.locator("#banner")).to_be_hidden()


async def test_the_cable_is_pulled_and_plugged_back(sample_app: SampleApp, visit: Visit) -> None:
    tunnel = Tunnel(sample_app.url)
    async with (
        tunnel.dig() as url,
        visit(f"{url}/miaou/") as ana,
        visit(f"{sample_app.url}/miaou/") as ben,
    ):
        await enter(ana, "Ana")
        await enter(ben, "Ben")
        await say(ana, "one")
        await expect(messages(ben)).to_have_text(["one"])
        tunnel.block()
        await say(ana, "two")
        await say(ben, "three")
        # Nothing tells the page that the cable is out: the server's silence does.
        await expect(ana.locator("#banner")).to_be_visible(timeout=30_000)
        # And hers tells the server.
        await expect(ben.locator("#here .name")).to_have_text(["Ben"], timeout=30_000)
        await say(ana, "four")
        await say(ben, "five")
        await expect(ana.locator("#banner")).to_contain_text("2 messages wait.")
        await expect(messages(ana)).to_have_text(["one", "two", "four"])
        tunnel.clear()
        await ana.evaluate("dispatchEvent(new Event('online'))")
        await expect(ana.locator("#banner")).to_contain_text("You are back.", timeout=30_000)
        for page in (ana, ben):
            # As the server has heard them, for everyone the same.
            await expect(messages(page)).to_have_text(["one", "three", "five", "two", "four"])
            await expect(page.locator("#here .name")).to_have_text(["Ana", "Ben"])
        await expect(ana.locator(".sending")).to_have_count(0)


async def test_unsent_messages_outlive_a_reload(sample_app: SampleApp, visit: Visit) -> None:
    passable = True

    def pass_on(socket: WebSocketRoute) -> None:
        if passable:
            socket.connect_to_server()

    async with visit(sample_app.url) as ana:
        await ana.route_web_socket(re.compile("/miaou$"), pass_on)
        await ana.goto(f"{sample_app.url}/miaou/")
        await enter(ana, "Ana")
        passable = False
        sample_app.kill()
        await expect(ana.locator("#banner")).to_be_visible()
        await say(ana, "keep me")
        await expect(ana.locator(".message.sending")).to_have_count(1)
        sample_app.start()
        await ana.reload()
        passable = True
        await ana.reload()
        # It was hours ago, for all the page knows: one is asked whether it is still to be said.
        await expect(ana.locator(".message.failed .text")).to_have_text(["keep me"])
        await expect(ana.locator("#rooms .badge")).to_have_text("not sent")
        await ana.get_by_role("button", name="Send again").click()
        await expect(ana.locator(".failed")).to_have_count(0)
        await ana.reload()
        await expect(messages(ana)).to_have_text(["keep me"])
        await expect(ana.locator(".failed")).to_have_count(0)


async def test_it_comes_back_without_being_asked(sample_app: SampleApp, visit: Visit) -> None:
    async with visit(f"{sample_app.url}/miaou/") as ana:
        await enter(ana, "Ana")
        sample_app.kill()
        await expect(ana.locator("#banner")).to_contain_text("Offline.")
        sample_app.start()
        # Longer than the longest delay between two attempts.
        await expect(ana.locator("#banner")).to_be_hidden(timeout=30_000)
        await say(ana, "back")
        await expect(ana.locator(".message:not(.sending) .text")).to_have_text(["back"])
