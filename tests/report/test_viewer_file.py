"""The built viewer and editor are those of their sources. `make lint` compares every byte; this needs no node."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_VIEWER = _ROOT / "viewer"
_FOLDER = _ROOT / "attnscope/report/viewer"

each = pytest.mark.parametrize("built", [_FOLDER / "viewer.js", _FOLDER / "editor.js"], ids=lambda path: path.name)


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


def _head_and_body(built: Path) -> tuple[re.Match[str], bytes]:
    head, _, body = built.read_bytes().partition(b"\n")
    match = re.fullmatch(r"// .* sources ([0-9a-f]{64}) body ([0-9a-f]{64})", head.decode())
    assert match, f"the first line of {built.name} is not the one that viewer/build.mjs writes"
    return match, body


@each
def test_the_built_viewer_is_that_of_its_sources(built: Path) -> None:
    match, _ = _head_and_body(built)
    assert match[1] == _digest(), f"viewer/ changed since {built.name} was built; run: make viewer"


@each
def test_nobody_edited_the_built_viewer(built: Path) -> None:
    match, body = _head_and_body(built)
    assert match[2] == sha256(body).hexdigest(), (
        f"{built.name} was edited by hand; edit viewer/src, then run: make viewer"
    )


@each
def test_nothing_in_the_built_viewer_ends_its_script_element(built: Path) -> None:
    text = built.read_text(encoding="utf-8").lower()
    assert "</script" not in text and "<!--" not in text


@each
def test_the_built_viewer_has_the_licences_of_what_it_contains(built: Path) -> None:
    text = built.read_text(encoding="utf-8")
    assert "preact" not in text or re.search(r"/\*! preact\n.*?MIT.*?Copyright.*?\*/", text, re.DOTALL)
