"""The words of attnscope, each with its meaning: modalities, roles, readings, sets of tokens, token columns.

Captures, metrics, corrections, figures and the command line take their names from here, and the tables of words in
docs/format.md are made from here. Nothing is imported. A new word is an entry in this module, and its use:

- a modality: `MODALITIES`, and the tokens that have it (`attnscope.model.tokens`);
- a token column: `TOKEN_COLUMNS`, its values (`attnscope.model.tokens`), and the version of the format that has it
  first (`attnscope.capture.file.specification`);
- a reading: `READINGS`, its arrays (`attnscope.capture.file.specification`), its field of `attnscope.Plan`, what
  records it (`attnscope.capture.record.recorder`), and its method of `attnscope.Capture`.

`python -m docs.generate` renews the tables.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    Columns = Mapping[str, npt.NDArray[np.generic]]  # a token table without pandas

# ---- modalities: what a token is made from. A capture declares its own; these are the ones that attnscope writes.

TEXT, VISUAL, SPECIAL = "text", "visual", "special"
Text = Literal["text"]  # for annotations, such as Visual | Text | Literal["both"]
Visual = Literal["visual"]
MODALITIES: dict[str, str] = {
    TEXT: "what was written (system prompt, transcript, question), and every generated token",
    VISUAL: "tokens that the model fills with features of frames",
    SPECIAL: "the tokenizer's special tokens, and the chat template's own text",
}
BASIC = (TEXT, VISUAL, SPECIAL)  # of every capture, whether it has such tokens or not; all of those before version 1.2
ALL = "all"  # in tables and in the reading `hidden`: tokens of every modality


def modalities_of(tokens: pd.DataFrame) -> tuple[str, ...]:
    """The modalities that a capture of these tokens declares.

    Args:
        tokens: A token table.

    Returns:
        The basic ones and what the tokens have: first those of `MODALITIES` in its order, then others in the order of
        their first tokens.
    """
    present = dict.fromkeys([*BASIC, *tokens["modality"]])
    return (*(name for name in MODALITIES if name in present), *(name for name in present if name not in MODALITIES))


def media(modalities: Iterable[str]) -> tuple[str, ...]:
    """The modalities that are neither text nor special: the model sees or hears them."""
    return tuple(name for name in modalities if name not in (TEXT, SPECIAL))


def hidden_groups(modalities: Iterable[str]) -> tuple[str, ...]:
    """The groups of tokens whose hidden states are summed up: all, and each modality but special."""
    return (ALL, *(name for name in modalities if name != SPECIAL))


def of_modality(tokens: pd.DataFrame | Columns, modality: str) -> npt.NDArray[np.bool_]:
    """Which tokens of a table are of a modality, bool [P]."""
    import numpy as np

    return np.array(tokens["modality"] == modality, bool)


def is_visual(tokens: pd.DataFrame | Columns) -> npt.NDArray[np.bool_]:
    """Which tokens of a table are visual, bool [P]."""
    return of_modality(tokens, VISUAL)


def has_cell(tokens: pd.DataFrame | Columns) -> npt.NDArray[np.bool_]:
    """Which tokens of a table are visual and have a cell in the frames, bool [P]."""
    import numpy as np

    return is_visual(tokens) & ~np.isnan(np.asarray(tokens["x0"], np.float64))


def token_notes(tokens: pd.DataFrame | Columns) -> dict[str, int]:
    """The notes in a token table, and how many tokens have each; the commonest first."""
    return dict(Counter(str(note) for note in tokens["note"] if note != "").most_common())


# ---- roles: what a token is for.

SYSTEM, TEMPLATE, TRANSCRIPT, QUESTION, ANSWER = "system", "template", "transcript", "question", "answer"
HISTORY = "history"
ROLES: dict[str, str] = {
    SYSTEM: "the scene's system prompt",
    TEMPLATE: "what the chat template adds",
    TRANSCRIPT: "turns, with their speakers' names and what separates them",
    HISTORY: "what was asked and answered before, in the same chat",
    QUESTION: "the question",
    ANSWER: "generated tokens that were fed back",
}


SOMETIMES = (HISTORY,)  # roles that have no set of keys in a capture without such tokens


def roles(modalities: Iterable[str]) -> tuple[str, ...]:
    """All roles of a capture, in order: the role of a token of the media is its modality."""
    names = tuple(ROLES)
    return (*names[:2], *media(modalities), *names[2:])


# ---- placings: how the visual tokens of a prompt got their places in the frames.

LAYOUT, PROBED, NOWHERE = "layout", "probed", "none"
PLACINGS: dict[str, str] = {
    LAYOUT: "by the rules that attnscope or a plugin has for the model's family",
    PROBED: "by changing pixels and looking which tokens change",
    NOWHERE: "not at all: no visual token has a cell",
}

# ---- sets of keys and of queries. The name of a set that is about one thing is "<kind>:<thing>".

MODALITY, ROLE = "modality", "role"
SPEAKER_TEXT, SPEAKER_VISUAL, FRAME, SINK = "speaker_text", "speaker_visual", "frame", "sink"
PARTITIONS = (MODALITY, ROLE)  # families in which every position has one set; they share names
KEY_FAMILIES: dict[str, str] = {
    MODALITY: "named by the modality: a partition of the positions",
    ROLE: "named by the role: a partition of the positions",
    SPEAKER_TEXT: "`text:<speaker>`: the tokens of that speaker's turns",
    SPEAKER_VISUAL: "`visual:<speaker>`: cells covered by at least the plan's `coverage`",
    FRAME: "`frame:<first>-<last>`: a partition of the placed visual positions",
    SINK: "`sink:<modality>`: in layer l the members that are also set in `/sinks[l]`",
}

TURN, SPEAKER, ANSWER_POSITION, GENERATED = "turn", "speaker", "answer_position", "generated"
QUERY_KINDS: dict[str, str] = {
    TURN: "`turn:<n>`: the tokens of a turn; `ref` is its number",
    SPEAKER: "`speaker:<name>`: the tokens of all turns of a speaker; `ref` is the name",
    QUESTION: "`question`: the tokens of the question; `ref` is empty",
    ANSWER_POSITION: "`answer_position`: the last position of the prompt, whose query predicts the first answer token; "
    "`ref` is empty",
    GENERATED: "`generated:<k>`: the position of the k-th generated token, from 0, whose query predicts the next; "
    "`ref` is k",
}

COVERED = "covered"  # columns "covered:<speaker>" of the token table


def group_name(kind: str, thing: object = "") -> str:
    """The name of a set of tokens: "visual:Ann", "sink:text", "turn:3", "question"."""
    return f"{kind}:{thing}" if thing != "" else kind


def covered_speakers(columns: Iterable[object]) -> list[str]:
    """The speakers with a column "covered:<speaker>", in order."""
    start = f"{COVERED}:"
    return [str(name).removeprefix(start) for name in columns if str(name).startswith(start)]


# ---- readings: what a capture may record.


@dataclass(frozen=True)
class Reading:
    """One reading.

    Attributes:
        meaning: What is recorded.
        later: Whether plans from before the reading existed leave its name out.
    """

    meaning: str
    later: bool = False


MASSES, MAPS, STATS, QK, FULL, HIDDEN = "masses", "maps", "stats", "qk", "full", "hidden"
READINGS: dict[str, Reading] = {
    MASSES: Reading("attention mass on sets of keys, of single queries and of sets of them"),
    MAPS: Reading("mean attention of each set of queries to every key"),
    STATS: Reading("log-sum-exp and mass on sinks of every query, entropy and largest attention of some"),
    QK: Reading("queries and keys as the kernel received them"),
    FULL: Reading("the attention itself, quadratic in the number of tokens"),
    HIDDEN: Reading("what the layers received, summed up over channels", later=True),
}

# ---- the token table: one row a position.

STRINGS = "strings"


@dataclass(frozen=True)
class Column:
    """One column of the token table.

    Attributes:
        name: As in the table.
        dtype: A numpy type, or `STRINGS`.
        meaning: What stands in it.
        missing: What stands there for a token that has none; None where every token has one.
        unit: Unit of its numbers, "1" if they have none.
        counts: What the number counts from 0: "frame", "turn" or "character"; "" if it refers to nothing.
        since: The version of the format that has it first.
    """

    name: str
    dtype: str
    meaning: str
    missing: float | str | None = None
    unit: str = "1"
    counts: str = ""
    since: tuple[int, int] = (1, 0)


NAN = float("nan")
_CHARACTER = (
    "of its text in `/prompt`.`text`; a media token has the span of its placeholder; missing for generated tokens"
)
_CORNER = "of the token's cell in the source"
_COLUMNS = (
    Column("position", "int32", "0, 1, 2, ..."),
    Column("token_id", "int32", "the tokenizer's number"),
    Column("text", STRINGS, "the characters of the prompt that it stands for, or else the decoded token"),
    Column("char_start", "int32", f"first character {_CHARACTER}", -1, counts="character"),
    Column("char_end", "int32", "one past the last character, likewise", -1, counts="character"),
    Column(MODALITY, STRINGS, "what it is made from: one of the modalities that the capture declares"),
    Column(ROLE, STRINGS, "what it is for"),
    Column(
        TURN,
        "int32",
        "index into the scene's transcript, for the whole line with its speaker's name",
        -1,
        counts="turn",
    ),
    Column(SPEAKER, STRINGS, "speaker of the turn", ""),
    Column("frame_first", "int32", "first sampled frame that the token covers", -1, counts="frame"),
    Column("frame_last", "int32", "last sampled frame that the token covers", -1, counts="frame"),
    Column("time", "float64", "in the source, mean of its frames", NAN, "s"),
    Column("grid_y", "int32", "row of its cell in the grid of a frame", -1),
    Column("grid_x", "int32", "column of its cell", -1),
    Column("x0", "float32", f"left edge {_CORNER}", NAN, "px"),
    Column("y0", "float32", f"upper edge {_CORNER}", NAN, "px"),
    Column("x1", "float32", f"right edge {_CORNER}", NAN, "px"),
    Column("y1", "float32", f"lower edge {_CORNER}", NAN, "px"),
    Column(
        "note",
        STRINGS,
        "what else a reader of its numbers must know of the token, such as that its neighbours are pooled into it",
        "",
        since=(1, 3),
    ),
)
TOKEN_COLUMNS: dict[str, Column] = {column.name: column for column in _COLUMNS}
COVERED_COLUMN = Column(
    f"{COVERED}:<speaker>",
    "float32",
    "one column for each speaker of the scene with boxes, in its order: the fraction of the cell inside that speaker's "
    "box, the largest over the token's frames",
    NAN,
)


def column_of(name: str) -> Column:
    """The column of this name in the token table, "covered:<speaker>" included."""
    return TOKEN_COLUMNS.get(name, COVERED_COLUMN)
