"""The sets of positions, the frames and the masks: that their contents are right."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from attnscope import vocabulary as words
from attnscope.capture.check.arrays import Sizes, check_array
from attnscope.capture.check.problems import Problem, guarded
from attnscope.capture.file.nodes import Store
from attnscope.capture.file.specification import rule_of
from attnscope.capture.read.dense import read_masks
from attnscope.capture.read.frames import StoredFrames

if TYPE_CHECKING:
    import pandas as pd


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
    for family in set(families) - set(words.KEY_FAMILIES):
        yield Problem("/key_groups/family", f"'{family}' is none of {', '.join(words.KEY_FAMILIES)}")
    for (family, name), times in Counter(zip(families, names, strict=True)).items():
        if times > 1:
            yield Problem("/key_groups/name", f"'{name}' is there {times} times in family {family}")
    tokens = store.table("/tokens")
    of = np.array(families)
    everything = np.ones(len(tokens), bool)
    placed = words.is_visual(tokens) & (tokens["frame_first"] >= 0).to_numpy()
    for family, whole in ((words.MODALITY, everything), (words.ROLE, everything), (words.FRAME, placed)):
        yield from _partition(family, member[of == family].astype(bool), whole)
    for row, (family, name) in enumerate(zip(families, names, strict=True)):
        yield from guarded("/key_groups/member", partial(_key_group, store, tokens, family, name, member[row] == 1))


def _key_group(
    store: Store, tokens: pd.DataFrame, family: str, name: str, member: npt.NDArray[np.bool_]
) -> Iterator[Problem]:
    """That a group has the members that its name says."""
    kind, _, thing = name.partition(":")
    covered = words.group_name(words.COVERED, thing)
    if name in {words.MODALITY: store.modalities, words.ROLE: words.roles(store.modalities)}.get(family, ()):
        expected, source = tokens[family] == name, f"/tokens/{family}"
    elif family == words.SPEAKER_TEXT and kind == words.TEXT:
        expected, source = tokens[words.SPEAKER] == thing, "/tokens/speaker"
    elif family == words.SPEAKER_VISUAL and kind == words.VISUAL and covered in tokens:
        least = store.json("/run")["plan"]["coverage"]
        expected, source = tokens[covered].fillna(0) >= np.float32(least), f"/tokens/{covered}"
    elif family == words.FRAME == kind and re.fullmatch(r"\d{1,9}-\d{1,9}", thing):
        first, last = map(int, thing.split("-"))
        expected = (tokens["frame_first"] == first) & (tokens["frame_last"] == last) & words.is_visual(tokens)
        source = "/tokens/frame_first"
    elif family == words.SINK == kind and thing in store.modalities:
        expected, source = tokens[words.MODALITY] == thing, "/tokens/modality"
    else:
        yield Problem("/key_groups/name", f"'{name}' is no name of family {family}")
        return
    if not np.array_equal(member, expected):
        yield Problem("/key_groups/member", f"{family} '{name}' is not what {source} says")


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
    for kind in set(kinds) - set(words.QUERY_KINDS):
        yield Problem("/query_groups/kind", f"'{kind}' is none of {', '.join(words.QUERY_KINDS)}")
    if len(set(names)) < len(names):
        yield Problem("/query_groups/name", "a name is there twice")
    tokens = store.table("/tokens")
    for name, kind, ref, row in zip(names, kinds, refs, member, strict=True):
        if name != words.group_name(kind, ref):
            yield Problem("/query_groups/name", f"'{name}' is not the name of a {kind} '{ref}'")
        if kind in (words.ANSWER_POSITION, words.GENERATED):
            position = prompt - 1 if kind == words.ANSWER_POSITION else prompt + int(ref)
            if np.flatnonzero(row).tolist() != [position]:
                have = np.flatnonzero(row)[:9].tolist()
                yield Problem("/query_groups/member", f"group '{name}' is {have}, not [{position}]")
            continue
        column = {words.TURN: words.TURN, words.SPEAKER: words.SPEAKER, words.QUESTION: words.ROLE}.get(kind)
        if column is not None:
            value = int(ref) if kind == words.TURN else kind if kind == words.QUESTION else ref
            if not np.array_equal(row == 1, tokens[column] == value):
                yield Problem("/query_groups/member", f"group '{name}' is not what /tokens/{column} says")


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
    yield from check_array(store, rule_of(node), sizes)
