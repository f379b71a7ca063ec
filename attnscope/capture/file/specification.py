"""The capture format as one table: every node of the file and every field of its documents, with its meaning.

What writes a capture (`attnscope.capture.file.encode`), what checks one (`attnscope.capture.check`) and the tables of
docs/format.md are made from here. A node that belongs to a layer or has a number is written once, with `{layer}` or
`{number}` in its path.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache

from attnscope import vocabulary as words

FORMAT = "attnscope-capture"
VERSION = "1.5"
ENCODING_TYPE = "encoding-type"
ENCODING_VERSION = "encoding-version"
DECLARED_MODALITIES = (1, 2)  # from this version on a capture lists its modalities
Version = tuple[int, int]

ALWAYS = "always"
MAY = "may"
GATE = "/stats/output_gate"
MASSES_SAMPLED, STATS_SAMPLED, FLOW_ERROR = "/masses/sampled", "/stats/sampled", "/masses/flow_error"
NUMBERED = ("layer", "number")  # what stands in braces in a path
MASK_KINDS = ("causal", "sliding", "explicit")
LOGICAL_DTYPES = ("float32", "float16", "bfloat16")  # of queries and keys; the last as the uint16 of its bits


@dataclass(frozen=True)
class Rule:
    """One node of the specification.

    Attributes:
        path: Path of the node.
        encoding: Its encoding-type.
        meaning: What it holds.
        need: `ALWAYS`, `MAY`, or the readings of which any makes it a MUST, separated by spaces.
        dims: Names of its dimensions, if it is an array.
        dtypes: The numpy types that it may have, if it is an array; the first is the usual one.
        unit: Unit of its numbers, "1" if they have none.
        grows: The dimension along which every generated token adds a row; "" if none does.
    """

    path: str
    encoding: str
    meaning: str = ""
    need: str = ALWAYS
    dims: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = ()
    unit: str = "1"
    grows: str = ""

    @property
    def is_numbered(self) -> bool:
        """Whether a file may have several nodes of this rule."""
        return "{" in self.path

    def at(self, number: int) -> Rule:
        """The rule of one of its nodes."""
        return replace(self, path=self.path.format_map(dict.fromkeys(NUMBERED, number)))


def _array(
    path: str, dims: str, dtypes: str, meaning: str, *, need: str = ALWAYS, unit: str = "1", grows: str = ""
) -> Rule:
    return Rule(path, "array", meaning, need, tuple(dims.split()), tuple(dtypes.split()), unit, grows)


_QK_TYPES = "float32 float16 uint16"
_ROWS_OF_QUERIES = "layer head query"

SPECIFICATION: tuple[Rule, ...] = (
    Rule("/model", "json", "the model that computed"),
    Rule("/scene", "json", "what the model was shown, as in docs/scene.md, its video path made absolute"),
    Rule("/run", "json", "the resolved configuration"),
    Rule("/prompt", "json", "the prompt"),
    Rule("/answer", "json", "what the model answered; log-probabilities are natural logarithms under the raw logits"),
    Rule("/check", "json", "the self-check"),
    Rule(
        "/correction",
        "json",
        "list of the corrections in force, in the order of application, below; absent, or empty, for a plain run",
        MAY,
    ),
    _array("/layers", "layer", "int32", "index in the model of every recorded layer, increasing"),
    Rule("/tokens", "table", "the token table, P rows"),
    Rule("/frames", "frames", "what was shown"),
    _array(
        "/frames/index", "row", "int32", "number of the frame in the source; from 0 again in each of `/scene`.`further`"
    ),
    _array("/frames/time", "row", "float64", "time of the frame", unit="s"),
    Rule("/frames/jpeg", "bytes", "JPEG images, all of one size; MAY be smaller than the source"),
    _array("/frames/jpeg/data", "byte", "uint8", "the images, one after another"),
    _array("/frames/jpeg/end", "row", "int64", "where each image ends in `data`", unit="byte"),
    Rule("/key_groups", "key-groups", "sets of key positions"),
    Rule("/key_groups/name", "strings", "[key_group] unique within a family only (`visual` is a modality and a role)"),
    Rule("/key_groups/family", "strings", "[key_group] the families below"),
    _array("/key_groups/member", "key_group key", "uint8", "1 for members, else 0"),
    Rule("/query_groups", "query-groups", "sets of query positions"),
    Rule("/query_groups/name", "strings", "[query_group] unique: the kind and, where there is one, the reference"),
    Rule("/query_groups/kind", "strings", "[query_group] the kinds below"),
    Rule("/query_groups/ref", "strings", "[query_group] number of the turn or token, name of the speaker, or empty"),
    _array("/query_groups/member", "query_group query", "uint8", "1 for members, else 0"),
    Rule("/mask", "mask", "which pairs are allowed"),
    Rule("/mask/kind", "strings", "[layer] `causal`, `sliding` or `explicit`"),
    _array("/mask/window", "layer", "int32", "of a sliding mask, the query's own token included; else -1"),
    _array("/mask/explicit", "layer", "int32", "index into the numbered datasets, -1 if the mask is not explicit"),
    _array(
        "/mask/explicit_{number}",
        "query byte",
        "uint8",
        "the allowed keys of each query, bit-packed, most significant bit first",
        need=MAY,
    ),
    _array(
        "/sinks",
        "layer key",
        "uint8",
        "1 where the key is a sink in that layer: at least half of the prompt queries that are text or special see "
        "it, and these give it, on average over heads, more than `sink_mass` and more than `sink_ratio` times uniform"
        " attention (both in the plan of `/run`)",
        need="masses stats",
    ),
    _array(
        "/sink_logits",
        "layer head",
        "float32",
        "the logit that each head adds to its softmax's denominator; -inf in layers without. MUST be there if the "
        "model has learned sink logits",
        need=MAY,
    ),
    Rule("/masses", "masses", words.READINGS[words.MASSES].meaning, "masses"),
    _array("/masses/probes", "probe", "int32", "positions: all text, special and generated ones", need="masses"),
    _array(
        "/masses/rows",
        "layer head probe key_group",
        "float32",
        "for each probed query, the sum of A over the group's keys",
        need="masses",
        grows="probe",
    ),
    _array(
        "/masses/rows_allowed",
        "layer probe key_group",
        "int32",
        "how many keys of the group that query may see",
        need="masses",
        grows="probe",
    ),
    _array(
        "/masses/flow",
        "layer head query_group key_group",
        "float32",
        "mean over the queries of a group **in the prompt** of the sum of A over the key group; NaN for a group with "
        "no query in the prompt, such as `answer`, and where `flow_error` is NaN",
        need="masses",
    ),
    _array(
        FLOW_ERROR,
        "layer head query_group key_group",
        "float32",
        "standard error of `flow`. Where a query group holds visual queries that are not in `sampled`, and a key group "
        "of family `frame` or `speaker_visual` some of the visual keys, those in `sampled` stand for all visual ones; "
        "NaN if there are fewer than 8 of them. Elsewhere `flow` is of all queries and this is 0. MUST be there with "
        "`sampled`",
        need=MAY,
    ),
    _array(
        MASSES_SAMPLED,
        "sample",
        "int32",
        "visual positions, increasing: the queries whose attention on frames and speakers' cells was read. Without it "
        "that of all queries was read",
        need=MAY,
    ),
    _array(
        "/masses/flow_pairs",
        "layer query_group key_group",
        "int64",
        "number of allowed (query, key) pairs of the two groups, queries in the prompt",
        need="masses",
    ),
    Rule("/maps", "maps", words.READINGS[words.MAPS].meaning, "maps"),
    _array(
        "/maps/rows",
        "layer head query_group key",
        "float32 float16",
        "mean over the queries of each of `/query_groups` of A; float16 if the plan says so",
        need="maps",
        grows="query_group",
    ),
    Rule("/stats", "stats", words.READINGS[words.STATS].meaning, "stats"),
    _array(
        "/stats/entropy",
        _ROWS_OF_QUERIES,
        "float32",
        "minus the sum of A log A over the keys (a learned sink logit is not a key); NaN for visual queries that are "
        "not in `sampled`, where that is there",
        need="stats",
        unit="nat",
        grows="query",
    ),
    _array(
        "/stats/lse",
        _ROWS_OF_QUERIES,
        "float32",
        "log of the softmax denominator (a learned sink logit included)",
        need="stats",
        unit="nat",
        grows="query",
    ),
    _array(
        "/stats/sink_mass", _ROWS_OF_QUERIES, "float32", "mass on the keys of `/sinks`", need="stats", grows="query"
    ),
    _array(
        STATS_SAMPLED,
        "sample",
        "int32",
        "visual positions, increasing: the queries whose entropy was read. Without it that of all queries was read",
        need=MAY,
    ),
    _array("/stats/probes", "probe", "int32", "positions: at least the members of the query groups", need="stats"),
    _array("/stats/max", "layer head probe", "float32", "largest A of the row", need="stats", grows="probe"),
    _array("/stats/allowed", "layer query", "int32", "how many keys the query may see", need="stats", grows="query"),
    _array(
        GATE,
        _ROWS_OF_QUERIES,
        "float32",
        "how much of the head's output passes to the layer's output projection: mean over its channels of the factor "
        "from 0 (shut) to 1 by which the model multiplies it; NaN in layers without such a gate. SHOULD be there if "
        "the model has one",
        need=MAY,
        grows="query",
    ),
    Rule("/qk", "qk", words.READINGS[words.QK].meaning, "qk"),
    Rule("/qk/{layer}", "qk-layer", "a recorded layer, by its number in the model", "qk"),
    _array("/qk/{layer}/q", "head query channel", _QK_TYPES, "the queries", need="qk", grows="query"),
    _array("/qk/{layer}/k", "kv_head key channel", _QK_TYPES, "the keys", need="qk", grows="key"),
    _array("/qk/{layer}/sink_logits", "head", "float32", "this layer's row of `/sink_logits`", need=MAY),
    Rule("/full", "full", words.READINGS[words.FULL].meaning, "full"),
    _array("/full/attention", "layer head query key", "float32", "A", need="full", grows="query"),
    Rule("/hidden", "hidden", words.READINGS[words.HIDDEN].meaning, "hidden"),
    Rule("/hidden/group", "strings", "[group] `all`, then the capture's modalities without `special`", "hidden"),
    _array(
        "/hidden/massive",
        "state prompt",
        "float32",
        "largest channel over root mean square, max_d abs(x_d) / sqrt(mean_d x_d^2), from 1 to sqrt(D); NaN for a "
        "token of zeros",
        need="hidden",
    ),
    _array(
        "/hidden/residual",
        "state group",
        "float32",
        "norm(X - 1 m^T) / norm(X), Frobenius norms, m the mean of the rows of X",
        need="hidden",
    ),
    _array(
        "/hidden/singular_values",
        "state group component",
        "float32",
        "the singular values of X, not centred, decreasing; min(N, D) components, of which a group has min(n, D) and "
        "then NaN. Those below sqrt(min(n, D) * 2.2e-16) of the largest MAY be 0",
        need="hidden",
    ),
)

RULES = tuple(rule for rule in SPECIFICATION if not rule.is_numbered)  # nodes that a file has once
PROBES = tuple(rule.path for rule in RULES if rule.dims == ("probe",))  # lists of the queries that are read densely
SAMPLED = tuple(rule.path for rule in RULES if rule.dims == ("sample",))  # lists of visual queries that stand for all
PER_LAYER = tuple(rule for rule in SPECIFICATION if "{layer}" in rule.path)  # nodes of each recorded layer


@cache
def rule_of(path: str) -> Rule:
    """The rule of a node.

    Args:
        path: In a file, such as "/qk/12/q".

    Raises:
        KeyError: If the format has no such node.
    """
    for rule in SPECIFICATION:
        match = re.fullmatch(re.sub(r"\{\w+\}", r"(\\d+)", rule.path), path)
        if match is not None:
            return replace(rule, path=path)
    raise KeyError(path)


def arrays_of(reading: str) -> Iterator[Rule]:
    """The arrays of a reading."""
    return (rule for rule in SPECIFICATION if rule.encoding == "array" and rule.path.startswith(f"/{reading}/"))


# ---- documents


@dataclass(frozen=True)
class Field:
    """One field of a JSON document.

    Attributes:
        path: Path of the document.
        name: Name of the field; a dot goes one level down.
        meaning: What it holds.
        since: The version of the format from which on it MUST be there; files of an older one MAY have it. None if it
            MAY be there in any version.
    """

    path: str
    name: str
    meaning: str
    since: Version | None = (1, 0)


_LATER: Version = (1, 1)
_PLACED: Version = (1, 3)
FIELDS: tuple[Field, ...] = (
    Field("/model", "id", "name of the checkpoint, or its folder"),
    Field("/model", "revision", "of the checkpoint, or null"),
    Field("/model", "class", "name of the model's class"),
    Field("/model", "family", "name of the layout of the model, or `unknown` if attnscope had none"),
    Field("/model", "config_sha256", "hex digest of the configuration"),
    Field("/model", "dtype", "of the weights, as torch writes it"),
    Field("/model", "device", "where the model ran"),
    Field("/model", "attention", "name of the attention backend"),
    Field("/model", "layers", "layers of the decoder in total"),
    Field("/model", "heads", "query heads of a layer"),
    Field("/model", "kv_heads", "key heads of a layer"),
    Field("/model", "versions.attnscope", "version of attnscope"),
    Field("/model", "versions.torch", "version of torch"),
    Field("/model", "versions.transformers", "version of transformers"),
    Field("/model", "versions.python", "version of Python"),
    Field("/model", "weights", "below; null if it is not known", _LATER),
    Field("/model", "origin", "`checkpoint`, or `memory`: a model that other code had loaded", _LATER),
    Field("/model", "wrapper", "class of what the model was wrapped in, or null", _LATER),
    Field("/model", "adapter", "folder of an adapter that was put into the layers, or null", None),
    Field("/model", "quantize", "`int8`, or null", None),
    Field("/scene", "video", "path of the video, absolute"),
    Field("/scene", "speakers", "object: the boxes of each speaker, by name"),
    Field("/scene", "transcript", "list of turns"),
    Field(
        "/scene", "further", "list of {`video`, `start`}: what else was shown in the same prompt, on one clock", None
    ),
    Field(
        "/run",
        "plan",
        "object, with a boolean for each reading (`hidden` MAY be left out for false), and `coverage`, `sink_mass` "
        "and `sink_ratio`",
    ),
    Field("/run", "sampling", "how frames were chosen, or null"),
    Field("/run", "max_new_tokens", "most tokens of the answer"),
    Field("/run", "load", "how the model was loaded"),
    Field("/run", "template", "how a turn was written"),
    Field(
        "/run",
        "cost",
        "null if it was not measured: `work` (what was run), `prompts` (in the batch), `runs`, `seconds` and "
        "`cpu_seconds` (float, each the least of the runs; the second of all threads of the process), `memory` "
        "(`cuda`: tensors on the GPU; `resident`: the process; null: not measured), `memory_before` and `memory_peak`"
        " (bytes, the model included; null with `memory`)",
        None,
    ),
    Field("/prompt", "text", "the chat prompt as rendered by the template, before media placeholders are expanded"),
    Field("/prompt", "length", "N"),
    Field("/prompt", "placing.how", "how the visual tokens got their places: one of the words below", _PLACED),
    Field(
        "/prompt",
        "placing.verified",
        "share of the tokens tried, from 0 to 1, that changed with the pixels of their cell and with no others; null "
        "if none was tried",
        _PLACED,
    ),
    Field("/prompt", "placing.reason", "why there are no places; empty where there are", _PLACED),
    Field("/answer", "text", "the answer"),
    Field("/answer", "tokens", "[{`id`, `text`, `logprob`}]"),
    Field("/answer", "options", "[{`text`, `tokens`, `logprob`}]; the last is the sum over the option's tokens"),
    Field(
        "/answer",
        "first",
        "[{`id`, `logprob`}]: the likeliest tokens (32, or the whole vocabulary) where the answer begins, likeliest "
        "first",
        _LATER,
    ),
    Field("/check", "verified", "boolean: whether the model was also run without recording"),
    Field("/check", "passed", "boolean, or null if nothing was checked"),
    Field(
        "/check",
        "checks",
        "[{`name`, `value`, `tolerance`, `passed`}]; the one named `conservation` also sets the tolerance of this "
        "capture's conservation",
    ),
)
DOCUMENTS = tuple(dict.fromkeys(field.path for field in FIELDS))


def required_fields(path: str, version: Version) -> tuple[str, ...]:
    """The fields that a JSON document must have in a file of this version."""
    return tuple(f.name for f in FIELDS if f.path == path and f.since is not None and f.since <= version)
