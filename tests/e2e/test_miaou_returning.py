"""Miaou over bad networks and dying servers: nothing is lost, and the banner tells the truth."""

import re

import pytest
from playwright.async_api import WebSocketRoute, expect

from tests.e2e.conftest import WAIT, SampleApp, Tunnel, Visit
from tests.e2e.test_miaou import PHONE, enter, messages, open_room, say, title

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120), pytest.mark.long(55)]

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


async def test_whoever_has_written_much_loses_nothing(sample_app: SampleApp, visit: Visit) -> None:
    miaou = f"{sample_app.url}/miaou/"
    async with visit(miaou, **PHONE) as ana, visit(miaou) as ben:
        await enter(ana, "Ana")
        await ana.locator("#rooms a", has_text="The sofa").tap()
        await enter(ben, "Ben")
        sample_app.kill()
        await expect(ana.locator("#banner")).to_contain_text("Offline.")
        # More than the server takes at once.
        written = [f"line {n}" for n in range(14)]
        for text in written:
            await say(ana, text)
        await expect(ana.locator("#banner")).to_contain_text("14 messages wait.")
        action = ana.locator("#banner-action")
        if await action.is_visible():
            # On one line, also beside so much text.
            box = await action.bounding_box()
            assert box is not None
            assert box["height"] < 36
        sample_app.start()
        await ana.evaluate("dispatchEvent(new Event('online'))")
        await ben.evaluate("dispatchEvent(new Event('online'))")
        await expect(ana.locator(".sending")).to_have_count(0)
        await say(ana, "and now live")
        for page in (ana, ben):
            await expect(messages(page)).to_have_text([*written, "and now live"])
        await expect(ana.locator(".failed")).to_have_count(0)


async def test_what_needs_a_connection_says_so(sample_app: SampleApp, visit: Visit) -> None:
    miaou = f"{sample_app.url}/miaou/"
    async with visit(miaou) as ana, visit(miaou) as ben:
        await enter(ana, "Ana")
        await enter(ben, "Ben")
        await open_room(ben, "Balcony")
        await expect(title(ben)).to_have_text("Balcony")
        await say(ben, "sun!")
        await expect(ana.locator("#rooms a")).to_have_count(2)
        sample_app.kill()
        await expect(ana.locator("#banner")).to_contain_text("Offline.")
        await say(ana, "keep me")

        await open_room(ana, "Cellar")
        await expect(ana.locator("#room-error")).to_have_text(
            "You are offline. Open it when you are back."
        )
        await ana.keyboard.press("Escape")
        await ana.get_by_role("button", name="Leave room").click()
        await expect(ana.locator(".toast").last).to_contain_text("Leave the room when you are back")
        await ana.get_by_role("button", name="Change name").click()
        await expect(ana.locator(".toast").last).to_contain_text(
            "Change your name when you are back"
        )
        await ana.locator("#rooms a", has_text="Balcony").click()
        await expect(ana.locator("#empty")).to_have_text(
            "You are offline. What was said here comes when you are back."
        )
        sample_app.start()
        await ana.evaluate("dispatchEvent(new Event('online'))")
        await expect(messages(ana)).to_have_text(["sun!"])
        await expect(ana.locator("#rooms .name")).to_have_text(["Balcony", "The sofa"])
        await ana.locator("#rooms a", has_text="The sofa").click()
        await expect(messages(ana)).to_have_text(["keep me"])


async def test_a_new_session_misses_nothing_either(sample_app: SampleApp, visit: Visit) -> None:
    miaou = f"{sample_app.url}/miaou/"
    async with visit(miaou) as ana, visit(miaou) as ben:
        await enter(ana, "Ana")
        await enter(ben, "Ben")
        await say(ana, "one")
        await expect(messages(ben)).to_have_text(["one"])
        sample_app.kill()
        await ana.context.set_offline(True)
        await expect(ana.locator("#banner")).to_contain_text("Offline.")
        await say(ana, "three")
        sample_app.forget_sessions()
        sample_app.start()
        await ben.evaluate("dispatchEvent(new Event('online'))")
        await say(ben, "two")
        await expect(ben.locator(".message:not(.sending) .text")).to_have_text(["one", "two"])
        await ana.context.set_offline(False)
        for page in (ana, ben):
            # Her own message is there before she has asked for what she missed.
            await expect(messages(page)).to_have_text(["one", "two", "three"])
            await expect(page.locator("#here .name")).to_have_text(["Ana", "Ben"])


async def test_two_tabs_of_one_person_are_away(sample_app: SampleApp, visit: Visit) -> None:
    miaou = f"{sample_app.url}/miaou/"
    async with visit(miaou) as ana, visit(miaou) as ben:
        await enter(ana, "Ana")
        await enter(ben, "Ben")
        second = await ana.context.new_page()
        await second.goto(miaou)
        await expect(second.locator("#me")).to_contain_text("Ana")
        await ana.context.set_offline(True)
        for page in (ana, second):
            await expect(page.locator("#banner")).to_contain_text("Offline.")
        await say(ben, "are you there?")
        await expect(messages(ben)).to_have_text(["are you there?"])
        # Who is back soon has not been away.
        await expect(ben.locator("#here .name")).to_have_text(["Ana", "Ben"])
        await ana.context.set_offline(False)
        for page in (ana, second, ben):
            # One tab hears that the other one is gone. It has left no room for that.
            await expect(messages(page)).to_have_text(["are you there?"])
            await expect(page.locator("#here .name")).to_have_text(["Ana", "Ben"])


async def test_whoever_does_not_return_is_not_here(sample_app: SampleApp, visit: Visit) -> None:
    miaou = f"{sample_app.url}/miaou/"
    async with visit(miaou) as ana:
        async with visit(miaou) as ben:
            await enter(ana, "Ana")
            await enter(ben, "Ben")
            await expect(ana.locator("#here .name")).to_have_text(["Ana", "Ben"])
            # Killed, it cannot tell anybody who is lost.
            sample_app.kill()
        sample_app.start()
        await ana.evaluate("dispatchEvent(new Event('online'))")
        await expect(ana.locator("#banner")).to_have_text("You are back.")
        await expect(ana.locator("#here .name")).to_have_text(["Ana"])


async def test_a_nickname_given_away_meanwhile(sample_app: SampleApp, visit: Visit) -> None:
    miaou = f"{sample_app.url}/miaou/"
    async with visit(miaou) as ana:
        await enter(ana, "Ana")
        sample_app.kill()
        await ana.context.set_offline(True)
        await expect(ana.locator("#banner")).to_contain_text("Offline.")
        await say(ana, "keep me")
        sample_app.forget_sessions()
        sample_app.start()
        async with visit(miaou) as other:
            await enter(other, "Ana")
            await ana.context.set_offline(False)
            await expect(ana.locator("#register-error")).to_contain_text("is here already")
            # There is a connection; what is missing is a name.
            await expect(ana.locator("#banner")).to_be_hidden()
            await enter(ana, "Anna")
            await expect(ana.locator(".message.failed .text")).to_have_text(["keep me"])
            await ana.get_by_role("button", name="Send again").click()
            await expect(messages(other)).to_have_text(["keep me"])
