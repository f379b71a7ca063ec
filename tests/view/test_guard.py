"""Who is answered: the address that was printed, on this machine, by reading alone."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from attnscope.view.page import page_routes
from attnscope.view.serve import _listen, running
from tests.capture.by_hand import build
from tests.view.asking import Client, served

SECRET = "SECRET-WORDS"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("guard")
    build(folder / "run.h5")
    (folder / "secret.txt").write_text(SECRET)
    with served(folder / "run.h5") as client:
        yield client


def test_the_printed_address_is_answered(client: Client) -> None:
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/[\w-]{32}/", client.address)
    page = client.raw(f"/{client.token}/")
    assert page.status == 200 and b"attnscope-viewer" in page.body
    assert client.raw(f"/{client.token}/viewer.js").headers["content-type"].startswith("text/javascript")
    assert client.ask("document").json["version"] == 1
    port = client.host.partition(":")[2]
    assert client.raw(f"/{client.token}/", headers={"Host": f"LOCALHOST:{port}"}).status == 200


def test_every_run_has_another_token(client: Client, tmp_path: Path) -> None:
    build(tmp_path / "run.h5")
    with served(tmp_path / "run.h5") as other:
        assert other.token != client.token
        assert other.raw(f"/{client.token}/").status == 403


@pytest.mark.parametrize(
    "host", ["", "evil.example", "127.0.0.1", "127.0.0.1:1", "evil.example:{port}", "127.0.0.1:{port}.evil.example"]
)
def test_another_name_of_the_server_gets_nothing(client: Client, host: str) -> None:
    """A page from elsewhere whose name leads to 127.0.0.1 (DNS rebinding)."""
    host = host.format(port=client.host.partition(":")[2])
    reply = client.raw(f"/{client.token}/api/document", headers={"Host": host})
    assert reply.status == 403 and b"version" not in reply.body


def test_two_names_or_none_get_nothing(client: Client) -> None:
    path = f"/{client.token}/api/document"
    for hosts in ([client.host, "evil.example"], []):
        lines = "".join(f"Host: {host}\r\n" for host in hosts)
        address, _, port = client.host.partition(":")
        with socket.create_connection((address, int(port)), timeout=60) as raw:
            raw.sendall(f"GET {path} HTTP/1.1\r\n{lines}Connection: close\r\n\r\n".encode())
            answer = b"".join(iter(lambda: raw.recv(65536), b""))
        assert answer.split(b" ")[1] in (b"400", b"403") and b"version" not in answer


@pytest.mark.parametrize(
    "path", ["/", "//", "/api/document", "/viewer.js", "/x/api/document", "/%00/", "/%C3%A9/", "/%ff/"]
)
def test_without_the_token_nothing_is_told(client: Client, path: str) -> None:
    reply = client.raw(path)
    assert reply.status == 403 and client.token.encode() not in reply.body and b"run.h5" not in reply.body


def test_a_part_of_the_token_or_more_is_none(client: Client) -> None:
    for token in (client.token[:-1], client.token + "x", client.token.swapcase(), "x" + client.token):
        assert client.raw(f"/{token}/api/document").status == 403


def test_the_address_without_its_slash_leads_to_it(client: Client) -> None:
    reply = client.raw(f"/{client.token}")
    assert (reply.status, reply.headers["location"]) == (307, f"/{client.token}/")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"])
def test_nothing_is_written(client: Client, method: str) -> None:
    reply = client.raw(f"/{client.token}/api/document", method, {"Content-Length": "0", "Origin": client.address})
    assert (reply.status, reply.headers["allow"]) == (405, "GET, HEAD")
    assert "access-control-allow-origin" not in reply.headers


def test_head_answers_without_a_body(client: Client) -> None:
    reply = client.raw(f"/{client.token}/viewer.js", "HEAD")
    assert reply.status == 200 and not reply.body and int(reply.headers["content-length"]) > 0


@pytest.mark.parametrize(
    "path",
    [
        "../secret.txt",
        "%2e%2e/secret.txt",
        "..%2fsecret.txt",
        "secret.txt",
        "run.h5",
        "api/../../secret.txt",
        "api/frame?capture=0&index=../../secret.txt",
        "api/frame?capture=0&index=0&path=secret.txt",
        "api/document%00.txt",
        "/secret.txt",
        "viewer.js/../secret.txt",
    ],
)
def test_no_other_file_is_reached(client: Client, path: str) -> None:
    reply = client.raw(f"/{client.token}/{path}")
    assert reply.status in (400, 404) and SECRET.encode() not in reply.body


def test_every_answer_says_what_the_page_may_do(client: Client) -> None:
    for path, status in ((f"/{client.token}/", 200), (f"/{client.token}/api/nothing", 404), ("/", 403)):
        reply = client.raw(path)
        assert reply.status == status
        policy = reply.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "script-src 'self';" in policy and "frame-ancestors 'none'" in policy
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["referrer-policy"] == "no-referrer"
        assert reply.headers["cross-origin-resource-policy"] == "same-origin"
        assert reply.headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in reply.headers and "server" not in reply.headers


def test_where_a_page_may_send_something_it_must_be_of_this_server() -> None:
    with running(page_routes("A scene", "scene"), methods=("GET", "HEAD", "POST")) as address:
        client = Client(address)
        origin = f"http://{client.host}"

        def post(**headers: str) -> int:
            return client.raw(f"/{client.token}/", "POST", {k.replace("_", "-"): v for k, v in headers.items()}).status

        assert post(Origin=origin, Content_Length="0") == 405  # let through; the page's route only reads
        assert post(Content_Length="0") == 403
        assert post(Origin="http://evil.example", Content_Length="0") == 403
        assert post(Origin="null", Content_Length="0") == 403
        assert post(Origin=origin, Content_Length="0", Sec_Fetch_Site="cross-site") == 403
        assert post(Origin=origin, Transfer_Encoding="chunked") == 411
        assert post(Origin=origin, Content_Length=str(9 << 20)) == 413


def test_the_parts_of_an_answer_do_not_wait_for_each_other() -> None:
    """Asyncio turns Nagle's algorithm off for sockets that name their protocol; with it each takes 40 ms more."""
    with _listen(0) as listener:
        assert listener.proto == socket.IPPROTO_TCP
