"""A real Chromium for the tests of pages, the system's own: nothing is downloaded at test time."""

import contextlib
from collections.abc import AsyncGenerator

from playwright.async_api import Browser, async_playwright

from tests._support.needs import need

# Without a sandbox, as root inside a container cannot have one; the pages are our own.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
]


@contextlib.asynccontextmanager
async def chromium() -> AsyncGenerator[Browser]:
    """A headless Chromium with a fake camera and microphone.

    Skips the test when no Chromium is installed; fails it under `CI=true`.
    """
    executable = need("chromium", "chromium-browser", "google-chrome", package="chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        try:
            yield browser
        finally:
            await browser.close()
