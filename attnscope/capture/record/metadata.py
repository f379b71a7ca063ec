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
from attnscope.capture.file.specification import MASSES_SAMPLED, PROBES, STATS_SAMPLED
from attnscope.capture.record.recorder import SampleRecorder
from attnscope.vocabulary import ANSWER, GENERATED, MODALITY, ROLE, STATS, TEXT, column_of, group_name

if TYPE_CHECKING:
    from attnscope.scene import Frames

_LARGEST_SIDE = 960


def write_documents(file: h5py.File, documents: dict[str, Any]) -> None:
    """Write the JSON documents at the root."""
    for name, document in documents.items():
        encode.write(file, f"/{name}", document)


def write_tokens(file: h5py.File, tokens: pd.DataFrame, ids: list[int], texts: list[str]) -> None:
    """Write the token table, generated positions appended.

    Args:
        file: The capture.
        tokens: Table of the prompt.
        ids: Token ids of the generated positions.
        texts: Their texts.
    """
    blank = {str(name): column_of(str(name)).missing for name in tokens} | {MODALITY: TEXT, ROLE: ANSWER}
    rows = [
        blank | {"position": len(tokens) + i, "token_id": token, "text": text}
        for i, (token, text) in enumerate(zip(ids, texts, strict=True))
    ]
    if rows:
        extra = pd.DataFrame(rows)[list(tokens)].astype(tokens.dtypes.to_dict())
        tokens = pd.concat([tokens, extra], ignore_index=True)
    encode.write_tokens(file, tokens)


def write_frames(file: h5py.File, frames: Frames) -> None:
    """Write the sampled frames as JPEG."""
    encode.write(file, "/frames/index", frames.indices)
    encode.write(file, "/frames/time", frames.times)
    encode.write(file, "/frames/jpeg", [jpeg(image) for image in frames.images])
    encode.set_attributes(file["frames"], kind=frames.kind, width=frames.width, height=frames.height)


def jpeg(image: npt.NDArray[np.uint8]) -> bytes:
    """A frame as a capture keeps it."""
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
    generated = np.arange(recorder.length, positions)
    encode.write(file, "/key_groups/name", keys.names)
    encode.write(file, "/key_groups/family", keys.families)
    encode.write(file, "/key_groups/member", keys.extended(positions))
    refs = [str(number) for number in range(len(generated))]
    encode.write(file, "/query_groups/name", [*queries.names, *(group_name(GENERATED, ref) for ref in refs)])
    encode.write(file, "/query_groups/kind", [*queries.kinds, *(GENERATED for _ in refs)])
    encode.write(file, "/query_groups/ref", [*queries.refs, *refs])
    member = np.zeros((len(queries.names) + len(generated), positions), dtype=bool)
    member[: len(queries.names), : recorder.length] = queries.member
    member[len(queries.names) + np.arange(len(generated)), generated] = True
    encode.write(file, "/query_groups/member", member)
    sinks = np.zeros((len(layers), positions), dtype=bool)
    for layer, sinks_of_layer in recorder.sinks.items():
        sinks[layers.index(layer), : recorder.length] = sinks_of_layer.numpy()
    encode.write(file, "/sinks", sinks)
    for path in PROBES:
        if path.rpartition("/")[0] in file:
            encode.write(file, path, np.concatenate([recorder.probes.numpy(), generated]))
    sample = recorder.flow.sample.numpy()
    if recorder.plan.masses and len(recorder.flow.sampled):
        encode.write(file, MASSES_SAMPLED, sample)
    if recorder.plan.stats and STATS not in recorder.plan.exhaustive and len(recorder.flow.visual) > len(sample):
        encode.write(file, STATS_SAMPLED, sample)
    _write_masks(file, recorder, layers, positions)


def write_sink_logits(file: h5py.File, recorder: SampleRecorder, layers: list[int]) -> None:
    """Write the model's learned sink logits, where it has them: conservation cannot be checked without."""
    logits = [recorder.calls[layer].sink_logits for layer in layers]
    rows = [None if row is None else row.detach().float().cpu().numpy() for row in logits]
    shape = next((row.shape for row in rows if row is not None), None)
    if shape is not None:
        none = np.full(shape, -np.inf)
        encode.write(file, "/sink_logits", np.stack([none if row is None else row for row in rows]))


def _write_masks(file: h5py.File, recorder: SampleRecorder, layers: list[int], positions: int) -> None:
    masks = [recorder.masks.by_layer[layer] for layer in layers]
    encode.write(file, "/mask/kind", [mask.kind for mask in masks])
    encode.write(file, "/mask/window", [mask.window for mask in masks])
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
            encode.write(file, f"/mask/explicit_{numbers[id(mask)]}", pack_mask(allowed))
        column.append(numbers[id(mask)])
    encode.write(file, "/mask/explicit", column)
