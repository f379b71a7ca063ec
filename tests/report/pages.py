"""Reading a page back: what it loads, what its tables say."""

from __future__ import annotations

import base64
import hashlib
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

QUIET = ("style", "script")
LOADING = {"src", "srcset", "data", "poster", "action", "background"}


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.anchors: list[str] = []
        self.ids: set[str] = set()
        self.tags: list[str] = []
        self.text: list[str] = []
        self.alts: list[str] = []
        self.policy: dict[str, str] = {}
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self._quiet = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._quiet += tag in QUIET
        if tag == "script":
            self.scripts.append((dict(attrs), ""))
        for name, value in attrs:
            if name in LOADING or (name == "href" and tag != "a"):
                self.loads.append(value or "")
            if name == "href" and tag == "a":
                self.anchors.append(value or "")
            if name == "id":
                self.ids.add(value or "")
            if (name, value) == ("http-equiv", "Content-Security-Policy"):
                parts = [part.split(maxsplit=1) for part in str(dict(attrs)["content"]).split(";")]
                self.policy = dict(parts)
            if name == "alt":
                self.alts.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        self._quiet -= tag in QUIET

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1] == "script" and self._quiet:
            self.scripts[-1] = (self.scripts[-1][0], self.scripts[-1][1] + data)
        if not self._quiet and data.strip():
            self.text.append(" ".join(data.split()))


def read(path: Path) -> _Page:
    page = _Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def assert_self_contained(path: Path) -> _Page:
    """Nothing is loaded from anywhere: no address, no import in the style, and no script but those of the policy."""
    page, source = read(path), path.read_text(encoding="utf-8")
    for _, text in page.scripts:
        source = source.replace(text, "")
    assert all(load.startswith("data:") for load in page.loads), [x[:60] for x in page.loads]
    assert_scripts_are_allowed(page)
    assert page.policy["default-src"] == "'none'"
    assert page.policy["img-src"] == "data:"
    assert "unsafe-inline" not in page.policy.get("script-src", "")
    assert "@import" not in source and "url(" not in source
    assert "http://" not in source and "https://" not in source
    assert all(a[1:] in page.ids for a in page.anchors if a.startswith("#"))
    assert all((path.parent / a).is_file() for a in page.anchors if not a.startswith("#"))
    assert all(page.alts)
    return page


def assert_scripts_are_allowed(page: _Page) -> None:
    """Data, and the one module whose very text the policy allows."""
    kinds = [attrs.get("type") for attrs, _ in page.scripts]
    assert kinds in ([], ["application/json", "module"])
    hashes = [
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
        for attrs, text in page.scripts
        if attrs.get("type") == "module"
    ]
    assert page.policy.get("script-src", "").split() == hashes


def document_of(path: Path) -> dict[str, Any]:
    """What the viewer of a page shows."""
    text = next(text for attrs, text in read(path).scripts if attrs.get("id") == "attnscope-view")
    document: dict[str, Any] = json.loads(text)
    return document
