"""Bad inputs that would hang, never end, or make what reads them fail in ways of its own; rows as in `bad_inputs`."""

from __future__ import annotations

import os
from pathlib import Path

from tests.cli.bad import Bad, Spoil, model, put, scene
from tests.cli.bad_scenes import BAD_CAPTURE


def fifo(name: str) -> Spoil:
    """A FIFO that nobody writes."""

    def make() -> None:
        Path(name).unlink(missing_ok=True)
        os.mkfifo(name)

    return make


def endless(name: str) -> Spoil:
    """A link to a device that never ends."""
    return lambda: Path(name).symlink_to("/dev/zero")


def fifo_in(folder: Path) -> None:
    """A checkpoint with a FIFO."""
    os.mkfifo(folder / "extra.json")


FILE = ", a regular file was expected"
STEPS = [{"method": "pai", "params": {}}] * 100_000
HOSTILE = [
    Bad("C", "scene.json: is a FIFO" + FILE, spoil=fifo("scene.json")),
    Bad("C --transcript a.srt", "a.srt: is a FIFO" + FILE, spoil=fifo("a.srt")),
    Bad("C --speakers a.json", "a.json: is a device" + FILE, spoil=endless("a.json")),
    Bad("capture model a.mp4 -o new.h5", "{here}/a.mp4: is a FIFO" + FILE, spoil=fifo("a.mp4")),
    Bad("capture model a.png -o new.h5", "/dev/zero: is a device" + FILE, spoil=endless("a.png")),
    Bad(
        "capture model a -o new.h5",
        "{here}/a/1.png: is a FIFO" + FILE,
        spoil=lambda: (Path("a").mkdir(), fifo("a/1.png")()),
    ),
    Bad(
        BAD_CAPTURE,
        "{here}/bad/extra.json: is a FIFO" + FILE,
        spoil=model(fifo_in),
    ),
    Bad("inspect a.h5", "a.h5: not a regular file", spoil=fifo("a.h5")),
    Bad(
        "--config run.toml inspect run.h5",
        "--config run.toml: is a FIFO" + FILE,
        spoil=fifo("run.toml"),
    ),
    Bad(
        "eval a.jsonl --model model -o out",
        "a.jsonl: is a device" + FILE,
        spoil=endless("a.jsonl"),
    ),
    Bad(
        "eval a.jsonl --model model -o out",
        "a.jsonl: line 1: scene: b.json: is a FIFO" + FILE,
        spoil=lambda: (put("a.jsonl", {"scene": "b.json"})(), fifo("b.json")()),
    ),
    Bad(
        "correct run.h5 --correction a.json -o out",
        "a.json: is a device" + FILE,
        spoil=endless("a.json"),
    ),
    Bad(
        "correct run.h5 --method knockout --heads a.json -o out",
        "a.json: is a FIFO" + FILE,
        spoil=fifo("a.json"),
    ),
    Bad(
        "C",
        "scene.json: question: holds a lone surrogate, which is half a character",
        spoil=scene(lambda s: s.update(question="Who \ud800?")),
    ),
    Bad(
        "C",
        "scene.json: holds a number of more digits than can be read",
        spoil=put("scene.json", '{"video": ' + "9" * 5000 + "}"),
    ),
    Bad("C --frames " + "9" * 27, f"--frames {'9' * 27}: is not between -2,147,483,647 and 2,147,483,647"),
    Bad(
        f"capture model --scene scene.json -o {'a' * 256}",
        f'--out "{"a" * 58}…: the name is longer than the file system allows',
    ),
    Bad(
        "capture loop --scene scene.json -o new.h5",
        "loop: cannot be used: its symbolic links lead in a circle",
        spoil=lambda: Path("loop").symlink_to("loop"),
    ),
    Bad(
        "correct run.h5 --set layers=0-99999999999 --model gone/x/y -o out",
        "--layers 0-99999999999: layer 4 is not one of the layers with attention, 0-3",
    ),
    Bad(
        "correct run.h5 --correction a.json -o out",
        "a.json: corrections: holds 100000 items, at most 64 fit",
        spoil=put("a.json", {"format": "attnscope correction", "corrections": STEPS}),
    ),
    Bad(
        BAD_CAPTURE,
        '{here}/bad/model.safetensors.index.json: weight_map["a"]: "../model.safetensors" is not the name of a file in'
        " the folder",
        spoil=model(
            lambda folder: put(
                str(folder / "model.safetensors.index.json"), {"weight_map": {"a": "../model.safetensors"}}
            )()
        ),
    ),
    Bad(
        BAD_CAPTURE,
        "{here}/bad/config.json: not readable as JSON (nested too deeply)",
        spoil=model(lambda folder: put(str(folder / "config.json"), '{"a":' * 100000 + "1" + "}" * 100000)()),
    ),
]
