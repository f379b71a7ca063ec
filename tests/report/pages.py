"""Reading a page back: what it loads, what its tables say."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

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
        self._quiet = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._quiet += tag == "style"
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
        self._quiet -= tag == "style"

    def handle_data(self, data: str) -> None:
        if not self._quiet and data.strip():
            self.text.append(" ".join(data.split()))


def read(path: Path) -> _Page:
    page = _Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def assert_self_contained(path: Path) -> _Page:
    """Nothing is loaded from anywhere: no address, no script, no import in the style."""
    page, source = read(path), path.read_text(encoding="utf-8")
    assert all(load.startswith("data:") for load in page.loads), [x[:60] for x in page.loads]
    assert "script" not in page.tags
    assert page.policy["default-src"] == "'none'"
    assert page.policy["img-src"] == "data:"
    assert "unsafe-inline" not in page.policy.get("script-src", "")
    assert "@import" not in source and "url(" not in source
    assert "http://" not in source and "https://" not in source
    assert all(a.startswith("#") and a[1:] in page.ids for a in page.anchors)
    assert all(page.alts)
    return page
