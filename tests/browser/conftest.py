"""One Chromium a process, pages that are watched, and what they show."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.chromium import HELP, find
from tests.browser.made import Made
from tests.browser.watched import Watch, address

SIZES = {"phone": (390, 844), "laptop": (1280, 800)}
Open = Callable[..., Page]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("browser")


# The browser ends with this folder's tests: while it runs, this thread has an event loop, and asyncio starts no other.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    binary = find()
    if binary is None:
        reason = f"no Chromium; {HELP}"
        pytest.fail(reason) if os.environ.get("CI", "").lower() == "true" else pytest.skip(reason)
    # As root Chromium has no sandbox to run in.
    options = ["--no-sandbox"] if hasattr(os, "getuid") and os.getuid() == 0 else []
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=binary, args=options)
        yield running
        running.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """`open_page(path_or_address, size="laptop", dark=False, scripts=True, ...)`: a page, loaded.

    The test fails if the page asks for anything that is not its own, writes an error to the console, or opens a dialog.
    Errors that contain `may_fail` are expected. What does not happen within ten seconds does not happen.
    """
    opened: list[tuple[Any, Watch]] = []

    def load(
        page: Path | str,
        *,
        size: str = "laptop",
        dark: bool = False,
        scripts: bool = True,
        address_end: str = "",
        may_fail: str | None = None,
    ) -> Page:
        width, height = SIZES[size]
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
            java_script_enabled=scripts,
            has_touch=size == "phone",
            accept_downloads=True,
        )
        context.set_default_timeout(10_000)
        watch = Watch(address(page), may_fail)
        opened.append((context, watch))
        tab = context.new_page()
        watch.of(tab)
        tab.goto(address(page) + address_end)
        return tab

    yield load
    for context, _ in opened:
        context.close()
    faults = [fault for _, watch in opened for fault in watch.faults]
    assert not faults, "\n".join(faults)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Captures and pages, made once for all processes of the run.

    ATTNSCOPE_PAGES names a folder that keeps them: quick while one works on the viewer, and stale when Python changed.
    """
    kept = os.environ.get("ATTNSCOPE_PAGES")
    if kept:
        return Made(Path(kept))
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    return Made(folder / "browser")
