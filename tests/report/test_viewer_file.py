"""The built viewer is that of its sources. `make lint` builds it anew and compares every byte; this needs no node."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_VIEWER = _ROOT / "viewer"
_BUILT = _ROOT / "attnscope/report/viewer/viewer.js"


def _sources() -> list[str]:
    inside = (path for path in (_VIEWER / "src").rglob("*") if path.is_file())
    names = [path.relative_to(_VIEWER).as_posix() for path in inside]
    return sorted([*names, "build.mjs", "package-lock.json", "tsconfig.json"])


def _digest() -> str:
    """As viewer/build.mjs computes it."""
    digest = sha256()
    for name in _sources():
        content = (_VIEWER / name).read_bytes()
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def _head_and_body() -> tuple[re.Match[str], bytes]:
    head, _, body = _BUILT.read_bytes().partition(b"\n")
    match = re.fullmatch(r"// .* sources ([0-9a-f]{64}) body ([0-9a-f]{64})", head.decode())
    assert match, f"the first line of {_BUILT.name} is not the one that viewer/build.mjs writes"
    return match, body


def test_the_built_viewer_is_that_of_its_sources() -> None:
    match, _ = _head_and_body()
    assert match[1] == _digest(), "viewer/ changed since viewer.js was built; run: make viewer"


def test_nobody_edited_the_built_viewer() -> None:
    match, body = _head_and_body()
    assert match[2] == sha256(body).hexdigest(), "viewer.js was edited by hand; edit viewer/src, then run: make viewer"


def test_nothing_in_the_built_viewer_ends_its_script_element() -> None:
    text = _BUILT.read_text(encoding="utf-8").lower()
    assert "</script" not in text and "<!--" not in text


def test_the_built_viewer_has_the_licences_of_what_it_contains() -> None:
    text = _BUILT.read_text(encoding="utf-8")
    assert "preact" not in text or re.search(r"/\*! preact\n.*?MIT.*?Copyright.*?\*/", text, re.DOTALL)
