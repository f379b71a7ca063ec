"""Inputs that are nearly right: valid documents, command lines and paths with something changed, from a seed."""

from __future__ import annotations

import copy
import json
import math
import random
from collections.abc import Iterator
from typing import Any

HUGE = "9" * 5000  # more digits than Python reads
RAW = {  # written into JSON as they are: json.dumps cannot make them
    "@@deep@@": "[" * 100_000 + "]" * 100_000,
    "@@nested@@": '{"a":' * 400 + "1" + "}" * 400,
    "@@digits@@": HUGE,
    "@@long@@": "9" * 400,
    "@@exponent@@": "1e999",
    "@@surrogate@@": '"a\\ud800b"',
    "@@nul@@": '"a\\u0000b"',
}
VALUES: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    1,
    3,
    10**30,
    -(2**63),
    0.5,
    -0.0,
    1e-320,
    1e308,
    float("nan"),
    float("inf"),
    "",
    " ",
    ".",
    "..",
    "/",
    "$x_1^$",
    "\x1b[31mred\x1b[0m",
    "\u202eevil",
    "é" * 300,
    "a" * 5000,
    "a/" * 3000,
    "fifo",
    "loop",
    "/dev/zero",
    [],
    {},
    [[]],
    {"a": 1},
    [None],
    list(range(2000)),
    *RAW,
]
WORDS = [
    "",
    " ",
    "0",
    "-1",
    "1",
    "2",
    "0.5",
    "1e999",
    "nan",
    "-inf",
    "9" * 27,
    HUGE,
    "0-99999999999",
    "0-3",
    "3-0",
    "0.1-0.9",
    "0.9-0.1",
    ",",
    "a,b",
    "Ann",
    "ann",
    "auto",
    "true",
    "1GiB",
    "-1GiB",
    "99999999999999999999GiB",
    "10%",
    "10px",
    "alpha=1",
    "alpha=nan",
    f"alpha={HUGE}",
    "alpha=1e400",
    "layers=0-99999999999",
    "topk=99999999999999999999",
    "=",
    "==",
    "a=b=c",
    "{speaker}",
    "{speaker.__class__}",
    "{0}",
    "{",
    "{text!r:>99999999999}",
    "\x1b]0;title\x07",
    "\u202eevil",
    "a\ud800b",
    "a\0b",
    "a" * 300,
    "a/" * 3000,
    "fifo",
    "loop",
    "socket",
    "/dev/zero",
    "/dev/null/x",
    ".",
    "..",
    "/",
    "~",
    "gone",
    "run.h5",
    "scene.json",
    "clip.mp4",
    "clip.mp4/in",
    "out",
    "model",
    "--",
    "-",
    "http://[::1",
]


def mutated(document: Any, draw: random.Random) -> Any:
    """A copy of a document with one to three places changed."""
    new = copy.deepcopy(document)
    for _ in range(draw.choice([1, 1, 1, 2, 3])):
        holder = {"": new}
        places = list(_places(holder))
        parent, key = draw.choice(places)
        _change(parent, key, draw)
        new = holder.get("")
    return new


def _places(node: Any) -> Iterator[tuple[Any, Any]]:
    """Every value in a document, as what holds it and under which key."""
    items = list(node.items()) if isinstance(node, dict) else list(enumerate(node)) if isinstance(node, list) else []
    for key, value in items:
        yield node, key
        yield from _places(value)


def _change(parent: Any, key: Any, draw: random.Random) -> None:
    old = parent[key]
    how = draw.randrange(8)
    if how == 0 and isinstance(parent, dict) and key != "":
        del parent[key]
    elif how == 1 and isinstance(parent, dict) and key != "":
        parent[str(draw.choice([*WORDS[:8], f"{key}s", "a" * 3000, "\x1b[2J", "@", "a.b"]))] = parent.pop(key)
    elif how == 2 and isinstance(old, list):
        parent[key] = old * draw.choice([0, 2, 300])
    elif how == 3 and isinstance(old, (int, float)) and not isinstance(old, bool):
        parent[key] = draw.choice([-old, old * 1e6, str(old), int(old) if math.isfinite(old) else old, 10**25, 1e-9])
    elif how == 4 and isinstance(old, str):
        parent[key] = draw.choice([old.upper(), old + "\u200b", f" {old}\n", old[::-1], old * 200, [old], f"{old}\x07"])
    else:
        parent[key] = copy.deepcopy(draw.choice(VALUES))


def as_bytes(document: Any, draw: random.Random) -> bytes:
    """A document as JSON; now and then no longer quite JSON, or in another encoding."""
    text = json.dumps(document, indent=draw.choice([None, 1]), ensure_ascii=draw.random() < 0.5)
    for mark, raw in RAW.items():
        text = text.replace(f'"{mark}"', raw)
    data = text.encode("utf-8", "surrogatepass")
    how = draw.randrange(16)
    at = draw.randrange(len(data) + 1)
    if how == 0:
        return data[:at]
    if how == 1:
        return data[:at] + bytes([draw.randrange(256)]) + data[at + 1 :]
    if how == 2:
        return data[:at] + draw.choice([b"\xff\xfe", b"\0", b",", b"}", b"\r", b'"']) + data[at:]
    if how == 3:
        return text.encode("utf-16", "surrogatepass")
    if how == 4 and text[:1] == "{":
        return (text[0] + f"{text[1:-1]}, " * 2).encode("utf-8", "surrogatepass")[:-2] + b"}"
    return data


def as_toml(options: dict[str, Any], draw: random.Random) -> bytes:
    """A table of options as TOML, mutated as text."""
    lines = [f"{name} = {_toml(value)}" for name, value in options.items()]
    name = draw.choice([*options, "frames", "nope", "verify", "option"])
    raw = [
        "true",
        "-1",
        "1e400",
        "nan",
        HUGE,
        "1979-05-27",
        "[[1]]",
        "[" * 3000 + "]" * 3000,
        "{a = 1}",
        "'x'",
        "[1, 'a']",
    ]
    raw += ['"\\u0000"', '"\\u001b[2J"', "''", "2.5", "[]", "9" * 100]
    lines.append(f"{name} = {draw.choice(raw)}")
    draw.shuffle(lines)
    table = draw.choice(["capture", "capture", "capture", "analyze", "nope", "a.b", "capture.deep"])
    data = "\n".join([f"[{table}]", *dict.fromkeys(lines)]).encode()
    at = draw.randrange(len(data) + 1)
    return data if draw.random() < 0.8 else data[:at] + draw.choice([b"\xff", b"\0", b"\n", b'"', b"["]) + data[at:]


def _toml(value: Any) -> str:
    return json.dumps(value)
