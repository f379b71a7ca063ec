"""A row of the tables of bad inputs, and what spoils the files of a test."""

from __future__ import annotations

import copy
import json
import shutil
import wave
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cli.conftest import SCENE

CAPTURE = "capture model --scene scene.json -o new.h5"
NAN = float("nan")
Spoil = Callable[[], object]


@dataclass(frozen=True)
class Bad:
    """One row.

    Attributes:
        command: Words after `attnscope`, split at spaces.
        message: What stderr says after "attnscope: ", and nothing else.
        code: Exit code: 2 the request was wrong, 1 the work failed.
        spoil: Makes what is wrong on disk; the working directory is the test's own.
    """

    command: str
    message: str
    code: int = 2
    spoil: Spoil | None = None

    @property
    def words(self) -> list[str]:
        """The command line."""
        line = self.command
        if line == "C" or line.startswith("C "):
            line = CAPTURE + line[1:]
        return line.split(" ")


def put(name: str, content: object) -> Spoil:
    """Write a file (bytes, text, or anything as JSON) in place of what is there."""

    def write() -> None:
        path = Path(name)
        path.unlink(missing_ok=True)  # it may be a link to what other tests use
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")

    return write


def scene(change: Callable[[dict[str, Any]], object]) -> Spoil:
    """Write scene.json with something changed."""
    document = copy.deepcopy(SCENE)
    change(document)
    return put("scene.json", document)


def box(*xyxy: float) -> Spoil:
    """Write scene.json with another box of Ann's."""
    return scene(lambda s: s["speakers"]["Ann"]["segments"][0]["keyframes"][0].update(xyxy=list(xyxy)))


def turn(**fields: object) -> Spoil:
    """Write scene.json with another second turn."""
    return scene(lambda s: s["transcript"][1].update(fields))


def cut(name: str, share: float) -> Spoil:
    """Keep the first part of a file."""

    def write() -> None:
        content = Path(name).read_bytes()
        put(name, content[: int(len(content) * share)])()

    return write


def sound_only() -> None:
    """A .wav file."""
    with wave.open("a.wav", "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(bytes(16000))


def film_that_plays_while_cut() -> None:
    """A fragmented film, of which the second half is missing."""
    from tests.scene.films import film

    film(Path("a.mkv"), frames=60)
    cut("a.mkv", 0.6)()


def model(spoil: Callable[[Path], object]) -> Spoil:
    """Make `bad`, a copy of the checkpoint, and spoil it."""

    def make() -> None:
        shutil.copytree("model", "bad")
        spoil(Path("bad"))

    return make


def without(name: str) -> Spoil:
    """`bad` lacks a file."""
    return model(lambda folder: (folder / name).unlink())


def config(**fields: object) -> Spoil:
    """`bad` has another config.json."""

    def edit(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | fields))

    return model(edit)


def encoder_decoder(folder: Path) -> None:
    """The weights of `bad` are those of a class with an encoder and a decoder."""
    from transformers import Florence2Config, Florence2ForConditionalGeneration
    from transformers.utils import logging

    text = {"model_type": "bart", "vocab_size": 800, "d_model": 32, "encoder_layers": 1, "decoder_layers": 1}
    text |= {f"{part}_attention_heads": 2 for part in ("encoder", "decoder")}
    text |= {"encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
    vision = {name: [1] * 4 for name in ("num_heads", "num_groups", "depths")}
    vision |= {"embed_dim": [16] * 4, "projection_dim": 32}
    logging.disable_progress_bar()
    Florence2ForConditionalGeneration(Florence2Config(text_config=text, vision_config=vision)).save_pretrained(folder)


def hdf5() -> None:
    """Some HDF5 file."""
    import h5py

    h5py.File("a.h5", "w").close()
