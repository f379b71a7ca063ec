"""The metadata of a capture: everything that is not a reading, in the words of docs/format.md."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image

from attnscope.capture.file import encode
from attnscope.capture.file.bits import pack_mask
from attnscope.capture.record.recorder import SampleRecorder

if TYPE_CHECKING:
    from attnscope.scene import Frames

_UNITS = {"time": "s", "x0": "px", "y0": "px", "x1": "px", "y1": "px"}
_LARGEST_SIDE = 960


def write_documents(file: h5py.File, documents: dict[str, Any]) -> None:
    """Write the JSON documents at the root."""
    for name, document in documents.items():
        encode.write_json(file, name, document)


def write_tokens(file: h5py.File, tokens: pd.DataFrame, ids: list[int], texts: list[str]) -> None:
    """Write the token table, generated positions appended.

    Args:
        file: The capture.
        tokens: Table of the prompt.
        ids: Token ids of the generated positions.
        texts: Their texts.
    """
    nothing = {"f": np.nan, "i": -1}
    missing: dict[str, Any] = {str(name): nothing.get(kind.kind) for name, kind in tokens.dtypes.items()}
    missing |= {"modality": "text", "role": "answer", "speaker": ""}
    rows = [
        missing | {"position": len(tokens) + i, "token_id": token, "text": text}
        for i, (token, text) in enumerate(zip(ids, texts, strict=True))
    ]
    if rows:
        extra = pd.DataFrame(rows)[list(tokens)].astype(tokens.dtypes.to_dict())
        tokens = pd.concat([tokens, extra], ignore_index=True)
    encode.write_table(file, "tokens", tokens, _UNITS)


def write_frames(file: h5py.File, frames: Frames) -> None:
    """Write the sampled frames as JPEG."""
    group = encode.create_group(file, "frames", "frames")
    encode.set_attributes(group, kind=frames.kind, width=frames.width, height=frames.height)
    encode.write_array(group, "index", np.asarray(frames.indices, dtype=np.int32), ["row"])
    encode.write_array(group, "time", np.asarray(frames.times, dtype=np.float64), ["row"], "s")
    encode.write_bytes(group, "jpeg", [_jpeg(image) for image in frames.images])


def _jpeg(image: npt.NDArray[np.uint8]) -> bytes:
    picture = Image.fromarray(image)
    picture.thumbnail((_LARGEST_SIDE, _LARGEST_SIDE))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def write_groups(file: h5py.File, recorder: SampleRecorder, layers: list[int], positions: int) -> None:
    """Write key groups, query groups, sinks, masks and probes.

    Args:
        file: The capture.
        recorder: What recorded it.
        layers: Recorded layers.
        positions: Number of positions.
    """
    keys, queries = recorder.keys, recorder.queries
    generated = range(recorder.length, positions)
    group = encode.create_group(file, "key_groups", "key-groups")
    encode.write_strings(group, "name", keys.names)
    encode.write_strings(group, "family", keys.families)
    encode.write_array(group, "member", keys.extended(positions), ["key_group", "key"])
    group = encode.create_group(file, "query_groups", "query-groups")
    encode.write_strings(group, "name", [*queries.names, *(f"generated:{i}" for i in range(len(generated)))])
    encode.write_strings(group, "kind", [*queries.kinds, *("generated" for _ in generated)])
    encode.write_strings(group, "ref", [*queries.refs, *(str(i) for i in range(len(generated)))])
    member = np.zeros((len(queries.names) + len(generated), positions), dtype=bool)
    member[: len(queries.names), : recorder.length] = queries.member
    for i, position in enumerate(generated):
        member[len(queries.names) + i, position] = True
    encode.write_array(group, "member", member, ["query_group", "query"])
    sinks = np.zeros((len(layers), positions), dtype=bool)
    for layer, found in recorder.sinks.items():
        sinks[layers.index(layer), : recorder.length] = found.numpy()
    encode.write_array(file, "sinks", sinks, ["layer", "key"])
    probes = np.concatenate([recorder.probes.numpy(), np.array(generated, dtype=np.int64)]).astype(np.int32)
    for reading in ("masses", "stats"):
        if reading in file:
            encode.write_array(file[reading], "probes", probes, ["probe"])
    _write_masks(file, recorder, layers, positions)


def write_sink_logits(file: h5py.File, recorder: SampleRecorder, layers: list[int]) -> None:
    """Write the model's learned sink logits, where it has them: conservation cannot be checked without."""
    found = [recorder.calls[layer].sink_logits for layer in layers]
    rows = [np.asarray(f.detach().float().cpu(), dtype=np.float32) for f in found if f is not None]
    if rows:
        none = np.full_like(rows[0], -np.inf)
        table = [none if f is None else np.asarray(f.detach().float().cpu(), dtype=np.float32) for f in found]
        encode.write_array(file, "sink_logits", np.stack(table), ["layer", "head"])


def _write_masks(file: h5py.File, recorder: SampleRecorder, layers: list[int], positions: int) -> None:
    group = encode.create_group(file, "mask", "mask")
    masks = [recorder.masks.by_layer[layer] for layer in layers]
    encode.write_strings(group, "kind", [m.kind for m in masks])
    encode.write_array(group, "window", np.array([m.window for m in masks], dtype=np.int32), ["layer"])
    numbers: dict[int, int] = {}
    column = []
    for layer, mask in zip(layers, masks, strict=True):
        if mask.explicit is None:
            column.append(-1)
            continue
        if id(mask) not in numbers:
            numbers[id(mask)] = len(numbers)
            allowed = np.zeros((positions, positions), dtype=bool)
            known = mask.explicit[:positions, :positions].numpy()
            allowed[: len(known), : len(known)] = known
            for row, seen in enumerate(recorder.generated.seen[layer][: positions - len(known)], len(known)):
                allowed[row, : len(seen)] = seen
            encode.write_array(group, f"explicit_{numbers[id(mask)]}", pack_mask(allowed), ["query", "byte"])
        column.append(numbers[id(mask)])
    encode.write_array(group, "explicit", np.array(column, dtype=np.int32), ["layer"])
