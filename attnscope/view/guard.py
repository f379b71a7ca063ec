"""Who is answered: a browser on this machine that was given the address, and nobody else (decision 53).

The server listens on the loopback interface alone. Three things could still reach it: another user or program of this
machine, which does not know the token; a page from elsewhere that makes the browser ask, which does not know the token
and may not read answers; and such a page under a name that leads to 127.0.0.1 (DNS rebinding), whose Host header is
another one. Everything is refused before any route sees it.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

READ = ("GET", "HEAD")
MAX_BODY = 8 << 20  # bytes of what a page may send, where it may send anything
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "media-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def new_token() -> str:
    """A token for one run of the server: 192 random bits, as a segment of an address."""
    return secrets.token_urlsafe(24)


class Guard:
    """Answers only requests that name this server, its token and an allowed method.

    The token is the first segment of the path, so that a page and what it asks have it in common and no cookie is
    shared with other servers of this machine. The application behind sees the path without it.

    Args:
        app: The application.
        token: The token.
        methods: Allowed methods. Other methods than GET and HEAD are answered only to pages of this server itself, and
            only if what they send states its size and has at most `MAX_BODY` bytes.
    """

    def __init__(self, app: ASGIApp, token: str, methods: Sequence[str] = READ) -> None:
        self._app, self._token, self._methods = app, token.encode(), tuple(methods)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or a message of another kind, which nothing here answers."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        refusal = self._refusal(scope)
        if refusal is None:
            _, _, path = scope["path"].removeprefix("/").partition("/")
            scope = {**scope, "path": f"/{path}", "raw_path": f"/{path}".encode(), "root_path": ""}
        await (refusal or self._app)(scope, receive, with_headers)

    def _refusal(self, scope: Scope) -> Response | None:
        """What a request gets that is not let through."""
        headers, method = Headers(scope=scope), scope["method"]
        hosts, names = headers.getlist("host"), _names(scope)
        if len(hosts) != 1 or hosts[0].lower() not in names:
            return PlainTextResponse("The Host header names another server.\n", 403)
        token, slash, _ = scope["path"].removeprefix("/").partition("/")
        if not hmac.compare_digest(token.encode("utf-8", "surrogateescape"), self._token):
            return PlainTextResponse("The address has no token, or one of another run. attnscope prints it.\n", 403)
        if method not in self._methods:
            return PlainTextResponse("The method is not allowed.\n", 405, {"Allow": ", ".join(self._methods)})
        if not slash:
            return RedirectResponse(f"/{token}/", 307)
        return None if method in READ else _refused_writer(headers, f"http://{hosts[0].lower()}")


def _names(scope: Scope) -> tuple[str, ...]:
    """What this server may be called: the address that it listens on, from the socket itself."""
    address, port = scope["server"]
    return (f"{address}:{port}", f"localhost:{port}")


def _refused_writer(headers: Headers, origin: str) -> Response | None:
    """A request that sends something comes from a page of this server, and says how much it is."""
    if headers.getlist("origin") != [origin] or headers.get("sec-fetch-site", "same-origin") != "same-origin":
        return PlainTextResponse("The request comes from another page.\n", 403)
    size = headers.get("content-length", "")
    if not (size.isascii() and size.isdigit()):
        return PlainTextResponse("The request does not say how many bytes it sends.\n", 411)
    if len(size) > 12 or int(size) > MAX_BODY:
        return PlainTextResponse(f"The request sends more than {MAX_BODY:,} bytes.\n", 413)
    return None
