"""Tabs in the background, which browsers freeze."""

from collections.abc import AsyncIterator

import pytest

from tests.client_js.conftest import Server
from tests.client_js.devtools import Devtools, Tab, devtools

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]


@pytest.fixture
async def browser() -> AsyncIterator[Devtools]:
    async with devtools() as running:
        yield running


async def enter(browser: Devtools, server: Server, path: str) -> Tab:
    """Open a tab with a client in the lobby; what is said there is in `said`."""
    tab = await browser.open(f"{server.url}/page")
    await tab.until("'open_chat' in window")
    await tab.evaluate(f"open_chat('{path}'); chat.call('join', 'lobby')")
    await tab.evaluate("window.said = []; void chat.on('said', ({ text }) => said.push(text))")
    return tab


async def test_a_frozen_page_gets_what_it_missed(browser: Devtools, server: Server) -> None:
    ben = await enter(browser, server, "/quick/chat")
    identity = await ben.evaluate("chat.id")
    ana = await enter(browser, server, "/chat")  # behind it, Ben's tab is hidden
    quick = await enter(browser, server, "/quick/chat")
    await ben.freeze()
    # The page has not noticed that its socket is lost.
    await quick.until(f"chat.call('is away', '{identity}')")
    assert await ben.evaluate("chat.status") == "open"
    for n in range(5):
        await quick.evaluate(f"chat.call('say', {{ room: 'lobby', text: '{n}' }})")
    assert await ben.evaluate("said") == []
    await ben.thaw()
    await ben.show()
    await ben.until("said.length === 5")
    assert await ben.evaluate("said") == ["0", "1", "2", "3", "4"]
    assert await ben.evaluate("chat.id") == identity
    assert await ana.evaluate("said") == []


async def test_a_page_that_was_frozen_for_a_moment_is_back_at_once(
    browser: Devtools, server: Server
) -> None:
    ben = await enter(browser, server, "/chat")
    identity = await ben.evaluate("chat.id")
    await browser.open("about:blank")
    await ben.freeze()
    await ben.thaw()
    await ben.show()
    await ben.until("document.visibilityState === 'visible'")
    assert await ben.evaluate("chat.call('effect', 1)") == 1
    assert await ben.evaluate("chat.id") == identity
    # Chromium closes the sockets of a page that it freezes; another version may keep them.
    log = await ben.evaluate("log")
    assert all(change.get("resumed", True) for change in log[1:]), log


async def test_a_hidden_page_connects_again(browser: Devtools, server: Server) -> None:
    ben = await enter(browser, server, "/chat")
    await browser.open("about:blank")
    await ben.until("document.visibilityState === 'hidden'")
    server.kill()
    await ben.until("chat.status === 'resuming'")
    server.start()
    await ben.until("chat.status === 'open'")
    assert await ben.evaluate("document.visibilityState") == "hidden"
