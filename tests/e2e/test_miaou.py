"""Miaou in a real browser: what people do, and what happens to them."""

import asyncio
from typing import Any

import pytest
from playwright.async_api import Page, Route, expect

from sample_app.miaou.database import open_database
from sample_app.miaou.models import ToRoom
from sample_app.miaou.repositories import Messages, Persons
from tests.e2e.conftest import WAIT, SampleApp, Visit

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120), pytest.mark.long(45)]

expect.set_options(timeout=WAIT)

PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "has_touch": True,
    "is_mobile": True,
}


async def come_in(page: Page, nickname: str) -> None:
    await page.get_by_label("Nickname").fill(nickname)
    await page.get_by_role("button", name="Come in").click()


async def enter(page: Page, nickname: str) -> None:
    await come_in(page, nickname)
    await expect(page.locator("#me")).to_contain_text(nickname)


async def say(page: Page, text: str) -> None:
    await page.get_by_label("Message", exact=True).fill(text)
    await page.get_by_label("Message", exact=True).press("Enter")


async def open_room(page: Page, name: str) -> None:
    await page.get_by_role("button", name="New room").click()
    await page.get_by_label("What is it about?").fill(name)
    await page.keyboard.press("Enter")


def messages(page: Page) -> Any:
    return page.locator("#messages .text")


def title(page: Page) -> Any:
    return page.locator("#title")


async def test_two_people_talk(sample_app: SampleApp, visit: Visit) -> None:
    miaou = f"{sample_app.url}/miaou/"
    async with visit(miaou) as ana, visit(miaou) as ben:
        await enter(ana, "Ana")
        await expect(title(ana)).to_have_text("The sofa")
        await enter(ben, "Ben")
        await expect(ana.locator("#here .name")).to_have_text(["Ana", "Ben"])

        await ben.get_by_label("Message", exact=True).press_sequentially("hel")
        await expect(ana.locator("#typing")).to_have_text("Ben is typing…")
        await say(ben, "hello, Ana")
        await expect(messages(ana)).to_have_text(["hello, Ana"])
        await expect(ana.locator("#typing")).to_have_text("")
        await say(ana, "hello yourself")
        await expect(messages(ben)).to_have_text(["hello, Ana", "hello yourself"])
        await expect(ben.locator(".message.mine .text")).to_have_text(["hello, Ana"])
        await expect(ben.locator(".sending")).to_have_count(0)

        await ben.close()
        await expect(ana.locator("#here .name")).to_have_text(["Ana"])


async def test_a_taken_nickname_is_told_at_the_door(sample_app: SampleApp, visit: Visit) -> None:
    miaou = f"{sample_app.url}/miaou/"
    async with visit(miaou) as ana, visit(miaou) as other:
        await enter(ana, "Ana")
        await come_in(other, "ana")
        await expect(other.get_by_role("alert").first).to_have_text(
            "“ana” is here already. Please choose another nickname."
        )
        await expect(other.locator("#chat")).to_be_hidden()
        await expect(other.get_by_label("Nickname")).to_have_attribute("aria-invalid", "true")
        await enter(other, "Ben")
        await expect(other.locator("#chat")).to_be_visible()


async def test_the_door_opens_when_the_script_is_there(sample_app: SampleApp, visit: Visit) -> None:
    arrived = asyncio.Event()

    async def hold(route: Route) -> None:
        await arrived.wait()
        await route.continue_()

    async with visit(sample_app.url) as ana:
        await ana.route("**/miaou.js", hold)
        await ana.goto(f"{sample_app.url}/miaou/", wait_until="commit")
        door = ana.get_by_role("button", name="Come in")
        await ana.get_by_label("Nickname").fill("Ana")
        await ana.get_by_label("Nickname").press("Enter")
        await expect(door).to_be_disabled()
        arrived.set()
        await door.click()
        await expect(title(ana)).to_have_text("The sofa")


async def test_rooms(sample_app: SampleApp, visit: Visit) -> None:
    miaou = f"{sample_app.url}/miaou/"
    async with visit(miaou) as ana, visit(miaou) as ben:
        await enter(ana, "Ana")
        await enter(ben, "Ben")
        await open_room(ana, "Balcony")
        await expect(title(ana)).to_have_text("Balcony")
        await say(ana, "sun!")

        await open_room(ben, "balcony")
        await expect(ben.locator("#room-error")).to_have_text("There is a room “balcony” already.")
        await ben.keyboard.press("Escape")
        await expect(ben.get_by_role("dialog")).to_be_hidden()
        balcony = ben.locator("#rooms a", has_text="Balcony")
        await expect(balcony).to_contain_text("Join")
        await balcony.click()
        await expect(messages(ben)).to_have_text(["sun!"])
        await expect(ana.locator("#here .name")).to_have_text(["Ana", "Ben"])

        await ben.locator("#rooms a", has_text="The sofa").click()
        await expect(title(ben)).to_have_text("The sofa")
        await say(ana, "one")
        await say(ana, "two")
        await expect(balcony.locator(".badge")).to_have_text("2 unread")
        assert (await ben.title()).startswith("(2) ")
        await balcony.click()
        await expect(messages(ben)).to_have_text(["sun!", "one", "two"])
        await expect(balcony.locator(".badge")).to_have_count(0)

        await ben.get_by_role("button", name="Leave room").click()
        await expect(title(ben)).to_have_text("The sofa")
        await expect(balcony).to_contain_text("Join")
        await expect(ana.locator("#here .name")).to_have_text(["Ana"])


async def test_private_messages(sample_app: SampleApp, visit: Visit) -> None:
    miaou = f"{sample_app.url}/miaou/"
    async with visit(miaou) as ana, visit(miaou) as ben, visit(miaou) as leo:
        await enter(ana, "Ana")
        await enter(ben, "Ben")
        await enter(leo, "Leo")
        await ana.locator("#here a", has_text="Ben").click()
        await expect(title(ana)).to_have_text("Ben")
        await say(ana, "psst")

        talk = ben.locator("#talks a", has_text="Ana")
        await expect(talk.locator(".badge")).to_have_text("1 unread")
        await expect(messages(ben)).to_have_count(0)
        await talk.click()
        await expect(messages(ben)).to_have_text(["psst"])
        await say(ben, "what is it?")
        await expect(messages(ana)).to_have_text(["psst", "what is it?"])

        await ben.reload()
        await expect(title(ben)).to_have_text("Ana")
        await expect(messages(ben)).to_have_text(["psst", "what is it?"])
        await say(ana, "in the room")
        await expect(messages(ben)).to_have_count(3)
        await expect(leo.locator("#talks a")).to_have_count(0)


async def test_history_is_there_after_a_reload_and_goes_back(
    sample_app: SampleApp, visit: Visit
) -> None:
    # By hand one would need a while.
    async with open_database(sample_app.database) as database:
        scribe = await Persons(database).save(b"a secret", "Scribe")
        for n in range(1, 60):
            await Messages(database).add(scribe, ToRoom(1), f"line {n}", n, f"key {n}")
    async with visit(f"{sample_app.url}/miaou/") as ana:
        await enter(ana, "Ana")
        await say(ana, "line 60")
        await expect(ana.locator(".message:not(.sending)")).to_have_count(51)
        await ana.reload()
        await expect(messages(ana)).to_have_text([f"line {n}" for n in range(11, 61)])
        await expect(messages(ana).last).to_be_in_viewport()

        await ana.locator("#scroll").focus()
        await ana.keyboard.press("Home")
        earlier = ana.get_by_role("button", name="Load earlier messages")
        await earlier.click()
        await expect(messages(ana)).to_have_text([f"line {n}" for n in range(1, 61)])
        await expect(earlier).to_be_hidden()
        await expect(messages(ana).nth(10)).to_be_in_viewport()


async def test_who_leaves_every_room_is_in_none(sample_app: SampleApp, visit: Visit) -> None:
    async with visit(f"{sample_app.url}/miaou/") as ana:
        await enter(ana, "Ana")
        await ana.get_by_role("button", name="Leave room").click()
        await expect(ana.locator("#rooms a")).to_contain_text(["Join"])
        await expect(title(ana)).to_be_hidden()
        await ana.locator("#rooms a").click()
        await expect(title(ana)).to_have_text("The sofa")


async def test_markup_stays_text(sample_app: SampleApp, visit: Visit) -> None:
    miaou = f"{sample_app.url}/miaou/"
    nickname = "<img src=x onerror=a()>"
    attack = "<script>window.hit=1</script><img src=x onerror='window.hit=2'>\"'><svg onload=hit=3>"
    async with visit(miaou) as eve, visit(miaou) as ana:
        for page in (eve, ana):
            # A function, as Playwright calls whatever function an expression evaluates to.
            await page.evaluate("() => { window.a = () => { window.hit = 4 } }")
        await enter(eve, nickname)
        await enter(ana, "Ana")
        await expect(ana.locator("#here .name")).to_have_text([nickname, "Ana"])
        await say(eve, attack)
        await expect(messages(ana)).to_have_text([attack])
        await expect(ana.locator(".author")).to_have_text([nickname])
        await open_room(eve, "<b onclick=a()>room")
        await expect(ana.locator("#rooms .name").last).to_have_text("<b onclick=a()>room")
        await ana.locator("#here a").click()
        await expect(title(ana)).to_have_text(nickname)
        for page in (eve, ana):
            assert await page.evaluate("window.hit") is None
            assert (
                await page.locator("#chat img:not([src='cat.svg']), #chat b, #chat script").count()
                == 0
            )


async def test_the_servers_refusal_is_shown(sample_app: SampleApp, visit: Visit) -> None:
    async with visit(f"{sample_app.url}/miaou/") as ana:
        await enter(ana, "Ana")
        # The server's limit is under test, not the field's.
        await ana.locator("#text").evaluate("text => text.removeAttribute('maxlength')")
        await say(ana, "a" * 2001)
        await say(ana, "b" * 2002)
        await say(ana, "short")
        await expect(ana.locator(".message:not(.failed) .text")).to_have_text(["short"])
        await expect(ana.locator(".failure span")).to_have_text(
            [
                f"Not sent: A message has at most 2000 characters; this one has {length}."
                for length in (2001, 2002)
            ]
        )
        # It is told beside them, and nothing else covers them.
        await expect(ana.locator(".toast")).to_have_count(0)
        await ana.get_by_role("button", name="Discard").first.click()
        await expect(ana.locator(".failure")).to_have_count(1)


async def test_a_flood_is_slowed_down_and_stays_in_order(
    sample_app: SampleApp, visit: Visit
) -> None:
    miaou = f"{sample_app.url}/miaou/"
    async with visit(miaou) as ana, visit(miaou) as ben:
        await enter(ana, "Ana")
        await enter(ben, "Ben")
        flood = [f"flood {n}" for n in range(14)]
        for text in flood:
            await say(ana, text)
        for page in (ana, ben):
            await expect(messages(page)).to_have_text(flood)
        await expect(ana.locator(".sending")).to_have_count(0)
        await expect(ana.locator(".failed")).to_have_count(0)


async def test_on_a_phone(sample_app: SampleApp, visit: Visit) -> None:
    miaou = f"{sample_app.url}/miaou/"
    async with visit(miaou, **PHONE) as ana, visit(miaou) as ben:
        await enter(ben, "Ben")
        await enter(ana, "Ana")
        sofa = ana.locator("#rooms a", has_text="The sofa")
        await expect(sofa).to_be_visible()
        await expect(ana.locator("#conversation")).to_be_hidden()
        await say(ben, "are you there?")
        await sofa.tap()
        await expect(messages(ana)).to_have_text(["are you there?"])
        await expect(ana.locator("#list")).to_be_hidden()
        await ana.get_by_role("button", name="2 here").tap()
        await expect(ana.locator("#here .name")).to_have_text(["Ana", "Ben"])
        await ana.keyboard.press("Escape")
        await expect(ana.locator("#people")).to_be_hidden()
        await ana.get_by_label("Message", exact=True).fill("yes " * 80)
        await ana.get_by_role("button", name="Send").tap()
        await expect(messages(ben)).to_have_count(2)
        assert await ana.evaluate("document.documentElement.scrollWidth") == 390
        await expect(ana.get_by_label("Message", exact=True)).to_be_in_viewport()

        # The phone's own "back" leads to the list, where new messages count as unread.
        await ana.go_back()
        await expect(ana.locator("#list")).to_be_visible()
        await say(ben, "and now?")
        await expect(sofa.locator(".badge")).to_have_text("1 unread")


async def test_the_keyboard_is_enough(sample_app: SampleApp, visit: Visit) -> None:
    async with visit(f"{sample_app.url}/miaou/") as ana:
        await expect(ana.get_by_label("Nickname")).to_be_focused()
        await ana.keyboard.type("Ana")
        await ana.keyboard.press("Enter")
        await expect(ana.get_by_label("Message", exact=True)).to_be_focused()
        await ana.keyboard.type("one")
        await ana.keyboard.press("Shift+Enter")
        await ana.keyboard.type("two")
        await ana.keyboard.press("Enter")
        await expect(messages(ana)).to_have_text(["one\ntwo"], use_inner_text=True)
        await ana.get_by_role("button", name="New room").focus()
        await ana.keyboard.press("Enter")
        await expect(ana.get_by_label("What is it about?")).to_be_focused()
        await ana.keyboard.press("Escape")
        await expect(ana.get_by_role("button", name="New room")).to_be_focused()


async def test_change_of_name(sample_app: SampleApp, visit: Visit) -> None:
    async with visit(f"{sample_app.url}/miaou/") as ana:
        await enter(ana, "Ana")
        await say(ana, "as Ana")
        await expect(messages(ana)).to_have_text(["as Ana"])
        await ana.get_by_role("button", name="Change name").click()
        await expect(ana.get_by_label("Nickname")).to_have_value("")
        await enter(ana, "Anita")
        await expect(ana.locator(".message.mine .author")).to_have_text(["Ana"])
