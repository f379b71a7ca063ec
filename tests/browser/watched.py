"""A page in the browser that notes what no page of attnscope does."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import ConsoleMessage, Dialog, Page, Request


@dataclass
class Watch:
    """What happened in a page that should not have.

    Attributes:
        own: Addresses that the page may ask for begin with this; addresses of data inside the page are no requests.
        may_fail: Errors on the console that contain it are expected.
        faults: A sentence each.
    """

    own: str
    may_fail: str | None = None
    faults: list[str] = field(default_factory=list)

    def of(self, page: Page) -> None:
        """Watch the page from now on."""
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.faults.append(f"script: {error}"))
        page.on("request", self._request)
        page.on("dialog", self._dialog)
        page.on("popup", lambda other: self.faults.append(f"opened a window: {other.url}"))
        page.on("crash", lambda _: self.faults.append("the page crashed"))

    def _console(self, message: ConsoleMessage) -> None:
        expected = self.may_fail is not None and self.may_fail in message.text
        if message.type in ("error", "warning") and not expected:
            self.faults.append(f"console {message.type}: {message.text}")

    def _request(self, request: Request) -> None:
        if not request.url.startswith((self.own, "data:", "blob:")):
            self.faults.append(f"request: {request.method} {request.url}")

    def _dialog(self, dialog: Dialog) -> None:
        self.faults.append(f"dialog: {dialog.message}")
        dialog.dismiss()


def address(page: Path | str) -> str:
    """Of a file, or an address as it is."""
    return page.resolve().as_uri() if isinstance(page, Path) else page


def findings(page: Page) -> list[str]:
    """Serious and critical findings of axe-core, a line for each element."""
    from axe_playwright_python.sync_playwright import Axe

    found: list[dict[str, Any]] = Axe().run(page).response["violations"]
    return [
        f"{one['impact']} {one['id']}: {node['target']} {node['html'][:120]} {_why(node)}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


def _why(node: dict[str, Any]) -> str:
    return " ".join(check["message"] for check in (*node["any"], *node["all"], *node["none"]))
