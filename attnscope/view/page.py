"""The page itself, and the script that fills it: the viewer's is the same file that reports hold inside."""

from __future__ import annotations

from html import escape
from typing import Literal

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from attnscope.files import printable
from attnscope.view.extra import script

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>{title} · attnscope</title>
<style>
body {{ margin: 0; font: 16px/1.5 system-ui, sans-serif; }}
body > div:not(:has(> *)), noscript {{ display: block; padding: 20px 24px; }}
</style>
<script type="module" src="{script}"></script>
</head>
<body>
<div id="{mount}" data-source="{source}">
<noscript>This page needs JavaScript: its numbers are computed when they are asked for. The pages that
<code>attnscope analyze</code> writes do without.</noscript>
</div>
</body>
</html>
"""


def page_routes(title: str, source: Literal["server", "scene"]) -> list[BaseRoute]:
    """The page and its script.

    Args:
        title: Of the page; any text.
        source: What the script fills the page from: `server` (captures), or `scene` (the editor).
    """
    part = "editor" if source == "scene" else "viewer"
    name, code = f"{part}.js", script(f"{part}.js")
    text = _PAGE.format(
        title=escape(printable(title, lines=False)), source=source, mount=f"attnscope-{part}", script=name
    )

    async def page(_request: Request) -> Response:
        return HTMLResponse(text)

    async def module(_request: Request) -> Response:
        return Response(code, media_type="text/javascript")

    return [Route("/", page), Route(f"/{name}", module)]
