"""Whatever is asked for, the answer is one line and exit code 0, 1 or 2, and nothing half-written is left.

Inputs are valid ones with something changed (`mutations`), from fixed seeds. The model named does not exist, so that a
request which passes all checks ends there instead of running a model.
"""

from __future__ import annotations

import copy
import json
import os
import random
import shutil
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from attnscope_cli.main import app
from tests.cli.conftest import SCENE, Ran
from tests.cli.mutations import WORDS, as_bytes, as_toml, mutated

GONE = "./gone"
MANIFEST: list[dict[str, Any]] = [{"id": "one", "scene": "scene.json"}, {"id": "two", "scene": "scene.json"}]
CORRECTION: dict[str, Any] = {
    "format": "attnscope correction",
    "version": 1,
    "attnscope": "0.1.0",
    "corrections": [
        {"method": "social-bias", "params": {"alpha": 1.0, "layers": "0-3", "rows": "utterances"}},
        {
            "method": "knockout",
            "params": {"heads": "2.3,1.0", "edges": "answer:visual"},
            "heads_of": {"id": "some/model", "config_sha256": "0" * 64},
        },
    ],
}
OPTIONS: dict[str, Any] = {"frames": 4, "question": "Who?", "options": ["a", "b"], "plan": "masses", "verify": False}
# What runs long where it is valid, or needs a model: only its checks are of interest here
COMMANDS = {
    "capture": ["capture", GONE, "--scene", "scene.json", "-o", "new.h5"],
    "correct": ["correct", "run.h5", "--model", GONE, "-o", "out"],
    "heads": ["heads", "stats.h5"],
    "eval": ["eval", "manifest.jsonl", "--model", GONE, "-o", "out"],
    "analyze": ["analyze", "gone.h5", "-o", "out"],
    "compare": ["compare", "stats.h5", "gone.h5", "-o", "out"],
    "inspect": ["inspect", "stats.h5"],
    "validate": ["validate", "gone.h5"],
    "demo-scenes": ["demo-scenes", "-o", "clip.mp4"],
    "methods": ["methods"],
    "models": ["models"],
}


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


class Hangs(Exception):  # noqa: N818
    """A command does not end."""


def limit(seconds: float) -> None:
    """How much time of the processor the next request may take; 0 for any."""
    signal.setitimer(signal.ITIMER_PROF, seconds)


@pytest.fixture
def ends() -> Iterator[None]:
    """No single request takes minutes."""

    def stop(*_: object) -> None:
        raise Hangs

    before = signal.signal(signal.SIGPROF, stop)  # time of the processor: a busy machine hangs nothing
    yield
    limit(0)
    signal.signal(signal.SIGPROF, before)


@pytest.fixture
def world(here: Path, cli: Callable[..., Ran]) -> Path:
    """The working directory with a heads file, and everything that can be wrong about a path in it."""
    assert cli("heads", "run.h5", "--top", "2", "-o", "heads.json").code == 0
    os.mkfifo("fifo")
    Path("loop").symlink_to("loop")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
    Path("manifest.jsonl").write_text("\n".join(map(json.dumps, MANIFEST)))
    Path("many.json").write_text(json.dumps(CORRECTION))
    return here


def check(cli: Callable[..., Ran], here: Path, words: list[str], what: object) -> None:
    """Run one request and hold it against the rules."""
    before = names(here)
    limit(60)
    try:
        ran = cli(*words)
    finally:
        limit(0)
    told = f"{[word[:200] for word in words]} with {str(what)[:2000]}\n{ran.err[-3000:]}"
    assert ran.code in (0, 1, 2), told
    assert "shows where" not in ran.err and "Traceback" not in ran.err, told
    assert not set(ran.err + ran.out) & set("\x1b\x07\u202e\0"), told
    if ran.code:
        last = ran.err.splitlines()[-1] if ran.err else ""
        assert last.startswith("attnscope: ") or ran.out, told
        assert len(last) < 1100, told
    left = names(here) - before
    assert not [name for name in left if ".part" in name or name.endswith((".lock", ".tmp"))], (left, told)
    for name in left if ran.code else ():
        pytest.fail(f"{name} is left by {told}")
    for name in sorted(left, key=len):
        if Path(name).is_dir():
            shutil.rmtree(name, ignore_errors=True)
        else:
            Path(name).unlink(missing_ok=True)


KINDS = ("scene", "boxes", "transcript", "manifest", "correction", "heads", "config")


def request(kind: str, change: Callable[[Any], Any], write: Callable[[Any], bytes]) -> list[str]:
    """Write a document of a kind as `bad.json`, or bad.toml, and name the command that reads it."""
    path = f"bad.{'toml' if kind == 'config' else 'json'}"
    valid: Any = {
        "scene": lambda: SCENE,
        "boxes": lambda: SCENE["speakers"],
        "transcript": lambda: SCENE["transcript"],
        "manifest": lambda: MANIFEST,
        "correction": lambda: CORRECTION,
        "heads": lambda: json.loads(Path("heads.json").read_text()),
        "config": lambda: OPTIONS,
    }[kind]()
    lines = valid if kind == "manifest" else [valid]
    Path(path).write_bytes(b"\n".join(write(change(line)) for line in lines))
    return {
        "scene": ["capture", GONE, "--scene", path, "-o", "new.h5"],
        "boxes": ["capture", GONE, "clip.mp4", "--speakers", path, "-o", "new.h5"],
        "transcript": ["capture", GONE, "clip.mp4", "--transcript", path, "-o", "new.h5"],
        "manifest": ["eval", path, "--model", GONE, "-o", "out"],
        "correction": ["correct", "run.h5", "--correction", path, "--model", GONE, "-o", "out"],
        "heads": ["correct", "run.h5", "--method", "knockout", "--heads", path, "--model", GONE, "-o", "out"],
        "config": ["--config", path, *COMMANDS["capture"]],
    }[kind]


def documents(cli: Callable[..., Ran], here: Path, draw: random.Random) -> None:
    """One mutated document, and the command that reads it."""
    kind = draw.choice(KINDS)
    if kind == "config":
        words = request(kind, copy.deepcopy, lambda options: as_toml(options, draw))
    else:
        few = kind == "manifest" and draw.random() < 0.5  # often one line of two is right
        words = request(kind, lambda line: line if few else mutated(line, draw), lambda line: as_bytes(line, draw))
    (path,) = Path().glob("bad.*")
    check(cli, here, words, path.read_bytes())
    path.unlink()


def command_lines(cli: Callable[..., Ran], here: Path, draw: random.Random) -> None:
    """A command with one to three of its options given any word."""
    import typer

    commands: Any = typer.main.get_command(app)
    name = draw.choice(list(COMMANDS))
    words = list(COMMANDS[name])
    options = [
        parameter
        for parameter in commands.commands[name].params
        if parameter.param_type_name == "option" and not {"--help", "--verify", "--force"} & set(parameter.opts)
    ]
    for _ in range(draw.choice([1, 1, 2, 3])):
        how = draw.randrange(10)
        if how == 0 and len(words) > 1:
            words[draw.randrange(1, len(words))] = draw.choice(WORDS)
        elif options:
            option = draw.choice(options)
            words.append(option.opts[0])
            if not option.is_flag:
                words.append(draw.choice(WORDS))
    if "out" in words or "new.h5" in words or all(not word.startswith("-o") for word in words):
        check(cli, here, words, "")


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_mutated_is_right_before(kind: str, cli: Callable[..., Ran]) -> None:
    """Else the mutations would be tried on what is refused anyway."""

    def plain(document: Any) -> bytes:
        lines = [f"{name} = {json.dumps(value)}" for name, value in document.items()] if kind == "config" else []
        return "\n".join(["[capture]", *lines]).encode() if kind == "config" else json.dumps(document).encode()

    ran = cli(*request(kind, copy.deepcopy, plain))
    assert (ran.code, ran.err) == (2, "attnscope: ./gone: no such model folder\n")


@pytest.mark.usefixtures("ends")
@pytest.mark.parametrize("make", [documents, command_lines])
def test_a_few_mutations(make: Callable[..., None], world: Path, cli: Callable[..., Ran]) -> None:
    for seed in range(120):
        make(cli, world, random.Random(seed))


@pytest.mark.slow
@pytest.mark.usefixtures("ends")
@pytest.mark.parametrize("make", [documents, command_lines])
@pytest.mark.parametrize("block", range(4))
def test_many_mutations(block: int, make: Callable[..., None], world: Path, cli: Callable[..., Ran]) -> None:
    for seed in range(1000 * (block + 1), 1000 * (block + 1) + 700):
        make(cli, world, random.Random(seed))
