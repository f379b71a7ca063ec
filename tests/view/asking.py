"""Asking the server as a browser does, or as somebody who should get nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from attnscope.view.api import viewing


@dataclass(frozen=True)
class Reply:
    """What the server said."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def reason(self) -> str:
        return str(self.json["reason"])

    def numbers(self, kind: str = "<f4") -> np.ndarray:
        return np.frombuffer(self.body, kind)


@dataclass(frozen=True)
class Client:
    """Somebody who knows the address."""

    address: str

    @property
    def host(self) -> str:
        return urlsplit(self.address).netloc

    @property
    def token(self) -> str:
        return urlsplit(self.address).path.strip("/")

    def raw(self, path: str, method: str = "GET", headers: dict[str, str] | None = None, body: bytes = b"") -> Reply:
        """A request whose path stands as it is; `headers` may name another Host."""
        connection = HTTPConnection(self.host, timeout=60)
        try:
            connection.putrequest(method, path, skip_host="Host" in (headers or {}), skip_accept_encoding=True)
            for name, value in (headers or {}).items():
                connection.putheader(name, value)
            connection.endheaders(body or None)
            answer = connection.getresponse()
            return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def ask(self, what: str, **parameters: object) -> Reply:
        """A question of the viewer."""
        query = "&".join(f"{name}={value}" for name, value in parameters.items())
        return self.raw(f"/{self.token}/api/{what}" + (f"?{query}" if query else ""))


@contextmanager
def served(*paths: Path) -> Iterator[Client]:
    with viewing(paths) as address:
        yield Client(address)
