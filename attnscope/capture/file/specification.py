"""docs/format.md as a table: every node, its encoding, dimensions and type, and when it has to be there."""

from __future__ import annotations

from dataclasses import dataclass

ALWAYS = "always"
MAY = "may"


@dataclass(frozen=True)
class Rule:
    """One node of the specification.

    Attributes:
        path: of the node.
        encoding: its encoding-type.
        need: `ALWAYS`, `MAY`, or the readings of which any makes it a MUST, separated by spaces.
        dims: names of its dimensions, if it is an array.
        dtypes: the numpy types it may have, if it is an array.
    """

    path: str
    encoding: str
    need: str = ALWAYS
    dims: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = ()


def _array(path: str, dims: str, dtypes: str, need: str = ALWAYS) -> Rule:
    return Rule(path, "array", need, tuple(dims.split()), tuple(dtypes.split()))


RULES: tuple[Rule, ...] = (
    *(Rule(f"/{name}", "json") for name in ("model", "scene", "run", "prompt", "answer", "check")),
    Rule("/correction", "json", MAY),
    _array("/layers", "layer", "int32"),
    Rule("/tokens", "table"),
    Rule("/frames", "frames"),
    _array("/frames/index", "row", "int32"),
    _array("/frames/time", "row", "float64"),
    Rule("/frames/jpeg", "bytes"),
    _array("/frames/jpeg/data", "byte", "uint8"),
    _array("/frames/jpeg/end", "row", "int64"),
    Rule("/key_groups", "key-groups"),
    Rule("/key_groups/name", "strings"),
    Rule("/key_groups/family", "strings"),
    _array("/key_groups/member", "key_group key", "uint8"),
    Rule("/query_groups", "query-groups"),
    Rule("/query_groups/name", "strings"),
    Rule("/query_groups/kind", "strings"),
    Rule("/query_groups/ref", "strings"),
    _array("/query_groups/member", "query_group query", "uint8"),
    Rule("/mask", "mask"),
    Rule("/mask/kind", "strings"),
    _array("/mask/window", "layer", "int32"),
    _array("/mask/explicit", "layer", "int32"),
    _array("/sinks", "layer key", "uint8", "masses stats"),
    _array("/sink_logits", "layer head", "float32", MAY),
    Rule("/masses", "masses", "masses"),
    _array("/masses/probes", "probe", "int32", "masses"),
    _array("/masses/rows", "layer head probe key_group", "float32", "masses"),
    _array("/masses/rows_allowed", "layer probe key_group", "int32", "masses"),
    _array("/masses/flow", "layer head query_group key_group", "float32", "masses"),
    _array("/masses/flow_pairs", "layer query_group key_group", "int64", "masses"),
    Rule("/maps", "maps", "maps"),
    _array("/maps/rows", "layer head query_group key", "float32 float16", "maps"),
    Rule("/stats", "stats", "stats"),
    _array("/stats/entropy", "layer head query", "float32", "stats"),
    _array("/stats/lse", "layer head query", "float32", "stats"),
    _array("/stats/sink_mass", "layer head query", "float32", "stats"),
    _array("/stats/probes", "probe", "int32", "stats"),
    _array("/stats/max", "layer head probe", "float32", "stats"),
    _array("/stats/allowed", "layer query", "int32", "stats"),
    Rule("/qk", "qk", "qk"),
    Rule("/full", "full", "full"),
    _array("/full/attention", "layer head query key", "float32", "full"),
    Rule("/hidden", "hidden", "hidden"),
    Rule("/hidden/group", "strings", "hidden"),
    _array("/hidden/massive", "state prompt", "float32", "hidden"),
    _array("/hidden/residual", "state group", "float32", "hidden"),
    _array("/hidden/singular_values", "state group component", "float32", "hidden"),
)

DIMS: dict[str, tuple[str, ...]] = {rule.path: rule.dims for rule in RULES if rule.encoding == "array"}

QK_RULES: tuple[Rule, ...] = (
    Rule("", "qk-layer"),
    _array("/q", "head query channel", "float32 float16 uint16"),
    _array("/k", "kv_head key channel", "float32 float16 uint16"),
    _array("/sink_logits", "head", "float32", MAY),
)

# Columns of /tokens: strings where no type is given. Columns `covered:<speaker>`, float32, follow.
TOKEN_COLUMNS: dict[str, str] = {
    "position": "int32",
    "token_id": "int32",
    "text": "",
    "char_start": "int32",
    "char_end": "int32",
    "modality": "",
    "role": "",
    "turn": "int32",
    "speaker": "",
    "frame_first": "int32",
    "frame_last": "int32",
    "time": "float64",
    "grid_y": "int32",
    "grid_x": "int32",
    "x0": "float32",
    "y0": "float32",
    "x1": "float32",
    "y1": "float32",
}

# What the JSON documents must have; a dot goes one level down.
DOCUMENT_FIELDS: dict[str, tuple[str, ...]] = {
    "/model": (
        *("id", "revision", "class", "family", "config_sha256", "dtype", "device", "attention"),
        *("layers", "heads", "kv_heads"),
        *(f"versions.{name}" for name in ("attnscope", "torch", "transformers", "python")),
    ),
    "/scene": ("video", "speakers", "transcript"),
    "/run": ("plan", "sampling", "max_new_tokens", "load", "template"),
    "/prompt": ("text", "length"),
    "/answer": ("text", "tokens", "options"),
    "/check": ("verified", "passed", "checks"),
}

# What they must have from a minor version of the format on; older files are read without.
LATER_FIELDS: dict[tuple[int, int], dict[str, tuple[str, ...]]] = {
    (1, 1): {"/model": ("weights", "origin", "wrapper"), "/answer": ("first",)}
}


def document_fields(path: str, version: tuple[int, int]) -> tuple[str, ...]:
    """The fields that a JSON document must have in a file of this version."""
    later = [fields.get(path, ()) for since, fields in LATER_FIELDS.items() if version >= since]
    return DOCUMENT_FIELDS[path] + tuple(name for names in later for name in names)
