"""The token table, the sets of positions, the frames and the masks: that their contents are right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial

import numpy as np
import numpy.typing as npt

from attnscope.capture import schema
from attnscope.capture._arrays import check_array, check_strings
from attnscope.capture._dense import read_masks
from attnscope.capture._h5 import Store
from attnscope.capture._problems import Problem, guarded
from attnscope.capture._rules import TOKEN_COLUMNS, Rule
from attnscope.capture._sizes import Sizes
from attnscope.capture.frames import StoredFrames

MODALITIES = ("text", "visual", "special")
ROLES = ("system", "template", "visual", "transcript", "question", "answer")


def check_tokens(store: Store) -> Iterator[Problem]:
    """Columns and types of the token table, and the ranges of what it refers to."""
    columns = store.columns("/tokens")
    wanted = [*TOKEN_COLUMNS, *(f"covered:{name}" for name in store.json("/scene")["speakers"])]
    if columns != wanted:
        missing = [name for name in wanted if name not in columns]
        what = f"column '{missing[0]}' is missing" if missing else f"columns are {columns}, not {wanted}"
        yield Problem("/tokens", what)
        return
    for column in columns:
        at = f"/tokens/{schema.dataset_name(column)}"
        dtype = TOKEN_COLUMNS.get(column, "float32")
        encoding = "array" if dtype else "strings"
        store.node(at, encoding)
        if not dtype:
            yield from check_strings(store, at)
        elif str(store.array(at, ["row"]).dtype) != dtype:
            yield Problem(at, f"holds {store.array(at).dtype}, not {dtype}")
    tokens = store.table("/tokens")
    if not np.array_equal(tokens["position"], np.arange(len(tokens))):
        yield Problem("/tokens/position", "is not 0, 1, 2, ...")
    for column, known in (("modality", MODALITIES), ("role", ROLES)):
        for value in set(tokens[column]) - set(known):
            yield Problem(f"/tokens/{column}", f"'{value}' is none of {', '.join(known)}")
    frames, turns = len(store.array("/frames/time")), len(store.json("/scene")["transcript"])
    length = len(store.json("/prompt")["text"])
    for column, end in (
        ("turn", turns),
        ("frame_first", frames),
        ("frame_last", frames),
        ("char_end", length + 1),
    ):
        values = tokens[column].to_numpy()
        outside = values[(values < -1) | (values >= end)]
        if len(outside):
            yield Problem(f"/tokens/{column}", f"{outside[0]} is out of range -1-{end - 1}")
    for first, last in (("frame_first", "frame_last"), ("char_start", "char_end")):
        if (tokens[first] > tokens[last]).any():
            yield Problem(f"/tokens/{first}", f"is after {last} at row {int((tokens[first] > tokens[last]).argmax())}")
    for column in wanted[len(TOKEN_COLUMNS) :]:
        values = tokens[column].to_numpy()
        if ((values < 0) | (values > 1)).any():
            yield Problem(f"/tokens/{schema.dataset_name(column)}", "a fraction outside 0-1")


def check_frames(store: Store) -> Iterator[Problem]:
    """The frames' kind and size, and that their images can be decoded."""
    frames = StoredFrames(store)
    if frames.kind not in ("video", "image", "folder"):
        yield Problem("/frames", f"kind '{frames.kind}' is none of video, image, folder")
    if frames.width < 1 or frames.height < 1:
        yield Problem("/frames", f"a source of {frames.width} x {frames.height} pixels")
    sizes = {frames.image(row).shape for row in range(len(frames))}  # raises with the number of one that cannot be read
    if len(sizes) > 1:
        yield Problem("/frames/jpeg", f"images are of different sizes: {sorted(sizes)}")


def check_groups(store: Store) -> Iterator[Problem]:
    """Families and kinds, membership, and that the partitions are partitions."""
    yield from guarded("/key_groups/member", partial(_key_groups, store))
    yield from guarded("/query_groups/member", partial(_query_groups, store))
    if store.has("/sinks"):
        yield from guarded("/sinks", partial(_zero_one, store, "/sinks"))


def _key_groups(store: Store) -> Iterator[Problem]:
    names, families = store.strings("/key_groups/name"), store.strings("/key_groups/family")
    member = store.read("/key_groups/member", dims=["key_group", "key"])
    if len(names) != len(families):
        yield Problem("/key_groups/family", f"{len(families)} families for {len(names)} names")
        return
    yield from _zero_one(store, "/key_groups/member")
    for family in set(families) - set(schema.KEY_FAMILIES):
        yield Problem("/key_groups/family", f"'{family}' is none of {', '.join(schema.KEY_FAMILIES)}")
    for (family, name), times in Counter(zip(families, names, strict=True)).items():
        if times > 1:
            yield Problem("/key_groups/name", f"'{name}' is there {times} times in family {family}")
    tokens = store.table("/tokens")
    of = np.array(families)
    everything = np.ones(len(tokens), bool)
    placed = ((tokens["modality"] == "visual") & (tokens["frame_first"] >= 0)).to_numpy()
    for family, whole in (("modality", everything), ("role", everything), ("frame", placed)):
        yield from _partition(family, member[of == family].astype(bool), whole)
        if family in ("modality", "role"):
            for row in np.flatnonzero(of == family):
                if not np.array_equal(member[row].astype(bool), tokens[family] == names[row]):
                    yield Problem("/key_groups/member", f"{family} '{names[row]}' is not what /tokens/{family} says")


def _partition(family: str, member: npt.NDArray[np.bool_], whole: npt.NDArray[np.bool_]) -> Iterator[Problem]:
    times = member.sum(axis=0)
    wrong = np.flatnonzero(times != whole)
    if len(wrong):
        at = wrong[0]
        yield Problem(
            "/key_groups/member",
            f"family {family} is no partition: position {at} is in {times[at]} groups, not {int(whole[at])}",
        )


def _query_groups(store: Store) -> Iterator[Problem]:
    names, kinds = store.strings("/query_groups/name"), store.strings("/query_groups/kind")
    refs = store.strings("/query_groups/ref")
    member = store.read("/query_groups/member", dims=["query_group", "query"])
    prompt = int(store.json("/prompt")["length"])
    if not len(names) == len(kinds) == len(refs):
        yield Problem("/query_groups/kind", f"{len(names)} names, {len(kinds)} kinds and {len(refs)} refs")
        return
    yield from _zero_one(store, "/query_groups/member")
    for kind in set(kinds) - set(schema.QUERY_KINDS):
        yield Problem("/query_groups/kind", f"'{kind}' is none of {', '.join(schema.QUERY_KINDS)}")
    if len(set(names)) < len(names):
        yield Problem("/query_groups/name", "a name is there twice")
    for name, kind, ref, row in zip(names, kinds, refs, member, strict=True):
        if kind not in ("answer_position", "generated"):
            continue
        position = prompt - 1 if kind == "answer_position" else prompt + int(ref)
        if np.flatnonzero(row).tolist() != [position]:
            yield Problem("/query_groups/member", f"group '{name}' is {np.flatnonzero(row).tolist()}, not [{position}]")


def _zero_one(store: Store, path: str) -> Iterator[Problem]:
    high = store.read(path).max(initial=0)
    if high > 1:
        yield Problem(path, f"holds {high}; members are 1, others 0")


def check_mask(store: Store) -> Iterator[Problem]:
    """That every layer has a mask, and that explicit ones are there whole."""
    positions, layers = store.whole("/tokens", "length"), store.array("/layers").shape[0]
    masks = read_masks(store, layers, positions)
    explicit = store.read("/mask/explicit", dims=["layer"])
    for row, (mask, which) in enumerate(zip(masks, explicit, strict=True)):
        if (mask.window >= 1) != (mask.kind == "sliding"):
            yield Problem("/mask/window", f"{mask.window} at row {row}, whose mask is {mask.kind}")
        if (which >= 0) != (mask.kind == "explicit"):
            yield Problem("/mask/explicit", f"{which} at row {row}, whose mask is {mask.kind}")
    for node in sorted({mask.node for mask in masks if mask.kind == "explicit"}):
        yield from guarded(node, partial(_explicit, store, node, positions))


def _explicit(store: Store, node: str, positions: int) -> Iterator[Problem]:
    sizes: Sizes = {"query": positions, "/mask byte": (positions + 7) // 8}
    yield from check_array(store, Rule(node, "array", dims=("query", "byte"), dtypes=("uint8",)), sizes)
