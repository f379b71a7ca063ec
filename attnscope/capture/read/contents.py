"""What a capture holds beside its readings: the model, the scene, the tokens and their sets."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from attnscope.capture.check.arrays import check_sizes
from attnscope.capture.file.nodes import Store, frame_of
from attnscope.capture.file.specification import ALWAYS, GATE, RULES
from attnscope.capture.read.dense import LayerMask, read_masks
from attnscope.capture.read.frames import StoredFrames
from attnscope.capture.read.labels import Choice, Indices, Positions, is_one, pick, positions
from attnscope.errors import Argument, FormatError, RequestError, SceneError
from attnscope.vocabulary import MASSES, READINGS, STATS, TOKEN_COLUMNS, has_cell, media

if TYPE_CHECKING:
    import pandas as pd

    from attnscope.placing import Placing
    from attnscope.scene import Scene


class Contents:
    """A capture file without its readings; `Capture` adds those.

    Attributes:
        path: Path of the file.
    """

    def __init__(self, path: str | Path) -> None:
        self._store = Store(path)
        self.path = self._store.path
        try:
            for rule in RULES:
                if rule.need == ALWAYS:
                    self._store.node(rule.path, rule.encoding)
            self._positions = self._store.whole("/tokens", "length")
            _ = self._store.modalities
            for problem in check_sizes(self._store):
                raise self._store.error(problem.node, problem.message)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Release the file. What was read stays; reading more raises RequestError."""
        self._store.close()

    def _shares_file(self, other: Contents) -> bool:
        """Whether another open capture reads the same file, and not one that replaced it.

        Raises:
            RequestError: If one of them is closed.
        """
        return self._store.identity == other._store.identity

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        if not self._store.file.id.valid:
            return f"<Capture {self.path}, closed>"
        return (
            f"<Capture {self.path}: {self._field('/model', self.model, 'id')}, {len(self.layers)} layers x "
            f"{self.heads} heads, {self._positions} positions, {', '.join(self.readings)}>"
        )

    # ---- what was shown, and to whom

    @cached_property
    def model(self) -> dict[str, Any]:
        """The model: id, class, family, dtype, attention backend, layers, heads, kv_heads, versions, ..."""
        return self._document("/model")

    @cached_property
    def run(self) -> dict[str, Any]:
        """The resolved configuration: plan, sampling, max_new_tokens, load, template."""
        return self._document("/run")

    @cached_property
    def answer(self) -> dict[str, Any]:
        """The answer: text, tokens with their log-probabilities, options with theirs."""
        return self._document("/answer")

    @cached_property
    def check(self) -> dict[str, Any]:
        """The self-check: verified, passed, and the checks with their values and tolerances."""
        return self._document("/check")

    @cached_property
    def correction(self) -> list[dict[str, Any]]:
        """The corrections that were in force: method, params, active heads, notes; empty if none."""
        return list(self._checked("/correction")) if self._store.has("/correction") else []

    @cached_property
    def scene_dict(self) -> dict[str, Any]:
        """The scene as its JSON document."""
        return self._document("/scene")

    @cached_property
    def scene(self) -> Scene:
        """The scene.

        Raises:
            FormatError: If the stored scene is not one.
        """
        from attnscope.scene import Scene

        try:
            return Scene.from_dict(self.scene_dict, base=self.path.parent)
        except SceneError as error:
            raise self._store.error("/scene", str(error)) from error

    @cached_property
    def prompt(self) -> dict[str, Any]:
        """The prompt: its text, and its length in tokens."""
        return self._document("/prompt")

    @property
    def prompt_text(self) -> str:
        """The chat prompt as the template rendered it, before media placeholders were expanded."""
        return str(self._field("/prompt", self.prompt, "text"))

    @property
    def prompt_length(self) -> int:
        """N: the tokens of the prompt; positions from N on are of generated tokens."""
        return int(self._field("/prompt", self.prompt, "length"))

    @cached_property
    def layers(self) -> npt.NDArray[np.int64]:
        """The recorded layers' numbers in the model, int64 [L], increasing."""
        return self._store.read("/layers", dims=["layer"]).astype(np.int64)

    @cached_property
    def heads(self) -> int:
        """How many query heads a layer has."""
        return int(self._field("/model", self.model, "heads"))

    @cached_property
    def tokens(self) -> pd.DataFrame:
        """The token table: a row for each position, its columns as in docs/format.md."""
        return frame_of(self._columns)

    @cached_property
    def modalities(self) -> tuple[str, ...]:
        """The modalities that the capture declares, in its order; text, visual and special if it declares none.

        Raises:
            FormatError: If the tokens have others, or none of one of them.
        """
        _ = self._columns  # checked against what is declared
        return self._store.modalities

    @cached_property
    def placing(self) -> Placing:
        """How the visual tokens got their places, or why they have none.

        Files before version 1.3 do not say: `layout` where a visual token has a cell, else `none`.
        """
        from attnscope.placing import placing_of, stated_placing

        try:
            stated = stated_placing(self.prompt)
        except ValueError as error:
            raise self._store.error("/prompt", f"field 'placing': {error}") from error
        if stated is not None:
            return stated
        family = str(self.model.get("family", "unknown"))
        return placing_of(self._columns, family if family != "unknown" else str(self.model.get("class")))

    @property
    def placed(self) -> str:
        """The placing in words, such as "by the layout of qwen3_vl"."""
        return self.placing.words(str(self.model.get("family")), int(has_cell(self._columns).sum()))

    @cached_property
    def frames(self) -> StoredFrames:
        """The frames that were shown; their images are decoded when asked for."""
        return StoredFrames(self._store)

    # ---- sets of positions

    @cached_property
    def key_groups(self) -> pd.DataFrame:
        """The sets of keys: columns name and family, one row a group. Names are unique within a family."""
        return self._strings("/key_groups", ["name", "family"])

    @cached_property
    def key_member(self) -> npt.NDArray[np.bool_]:
        """Members of the key groups, bool [G, P]; those of family `sink` count only where `sinks` is set."""
        return self._store.read("/key_groups/member", dims=["key_group", "key"]).astype(bool)

    @cached_property
    def query_groups(self) -> pd.DataFrame:
        """The sets of queries: columns name, kind and ref, one row a group."""
        return self._strings("/query_groups", ["name", "kind", "ref"])

    @cached_property
    def query_member(self) -> npt.NDArray[np.bool_]:
        """Members of the query groups, bool [R, P]."""
        return self._store.read("/query_groups/member", dims=["query_group", "query"]).astype(bool)

    @cached_property
    def sinks(self) -> npt.NDArray[np.bool_]:
        """Which keys are sinks, bool [L, P].

        Raises:
            FormatError: If the capture has neither masses nor stats, so that no sinks were looked for.
        """
        if not self._store.has("/sinks"):
            raise self._missing("stats")
        return self._store.read("/sinks", dims=["layer", "key"]).astype(bool)

    @cached_property
    def sink_logits(self) -> npt.NDArray[np.float32] | None:
        """Learned sink logits, float32 [L, H], -inf in layers without; None if the model has none."""
        if not self._store.has("/sink_logits"):
            return None
        return self._store.read("/sink_logits", dims=["layer", "head"])

    def allowed(self, layer: int, queries: Positions = None) -> npt.NDArray[np.bool_]:
        """Which keys some queries may see in a layer.

        Args:
            layer: Its number in the model.
            queries: Positions; None for all.

        Returns:
            bool [Q, P].

        Raises:
            RequestError: If the layer or a query is not in the capture.

        Example:
            >>> cap.allowed(layer=2, queries=[0, 220]).sum(axis=1).tolist()
            [1, 221]
        """
        at = positions(str(self.path), "query", queries, self._positions)
        return self.mask(layer).allowed(self._store, at)

    def mask(self, layer: int) -> LayerMask:
        """The rule of which pairs a layer allows; layers with the same mask have equal ones.

        Args:
            layer: Its number in the model.

        Raises:
            RequestError: If the layer is not in the capture.

        Example:
            >>> cap.mask(layer=0) == cap.mask(layer=5)
            True
        """
        return self._masks[self._row(layer)]

    @property
    def readings(self) -> list[str]:
        """The readings that the capture has, of masses, maps, stats, qk, full and hidden."""
        return [name for name in READINGS if self._store.has(f"/{name}")]

    @property
    def gated(self) -> bool:
        """Whether the capture says how much of each head's output its model lets pass (`stat("output_gate")`)."""
        return self._store.has(GATE)

    def was_read(self, reading: str) -> npt.NDArray[np.bool_]:
        """Which queries a reading knows everything about: all but the visual ones that a sample stands for.

        Of the others `stats` lacks the entropy, `masses` what they give to single frames and speakers' cells.

        Args:
            reading: `masses` or `stats`.

        Returns:
            [P] bool.

        Raises:
            RequestError: If the reading is another one.
            FormatError: If the capture does not have it.

        Example:
            >>> bool(cap.was_read("stats")[cap.prompt_length - 1])
            True
        """
        if reading not in (MASSES, STATS):
            raise RequestError(f"'{reading}' is not read of a sample; {MASSES} and {STATS} are")
        if not self._store.has(f"/{reading}"):
            raise self._missing(reading)
        read = np.ones(len(self.tokens), bool)
        path = f"/{reading}/sampled"
        if self._store.has(path):
            read &= ~self.tokens["modality"].isin(media(self.modalities)).to_numpy()
            read[self._store.read(path, dims=["sample"])] = True
        return read

    # ---- inside

    @cached_property
    def _columns(self) -> dict[str, npt.NDArray[Any]]:
        """The columns of the token table as arrays: what needs few of them does not wait for pandas."""
        from attnscope.capture.check.tokens import check_references

        columns = self._store.table_columns("/tokens")
        for problem in check_references(self._store, columns):
            raise self._store.error(problem.node, problem.message)
        ordered = list(columns.items())
        for place, (name, column) in enumerate(TOKEN_COLUMNS.items()):
            if name not in columns:  # newer than the file
                kind = object if isinstance(column.missing, str) else None
                ordered.insert(place, (name, np.full(self._positions, column.missing, kind)))
        return dict(ordered)

    def _rows(self, layer: Choice) -> Indices:
        return pick(str(self.path), "layer", layer, self.layers)

    def _row(self, layer: int) -> int:
        if not is_one(layer):
            raise RequestError(f"{self.path}: layer {layer!r} is not one layer's number")
        return int(self._rows(layer)[0])

    def _heads(self, head: Choice) -> Indices:
        return pick(str(self.path), "head", head, np.arange(self.heads))

    @cached_property
    def _masks(self) -> list[LayerMask]:
        return read_masks(self._store, len(self.layers), self._positions)

    def _document(self, path: str) -> dict[str, Any]:
        document: dict[str, Any] = self._checked(path)
        return document

    def _checked(self, path: str) -> Any:
        """A document whose fields have the types that readers rely on."""
        from attnscope.capture.check.documents import wrong_types

        document = self._store.json(path)
        for what in wrong_types(path, document):
            raise self._store.error(path, what)
        return document

    def _field(self, path: str, document: dict[str, Any], name: str) -> Any:
        if name not in document:
            raise self._store.error(path, f"field '{name}' is missing")
        return document[name]

    def _strings(self, path: str, columns: list[str]) -> pd.DataFrame:
        import pandas as pd

        table = {column: self._store.strings(f"{path}/{column}") for column in columns}
        if len({len(values) for values in table.values()}) > 1:
            raise self._store.error(path, f"{' and '.join(columns)} are not equally long")
        return pd.DataFrame(table)

    def _missing(self, reading: str) -> FormatError:
        plan = ",".join(name for name in READINGS if name == reading or name in self.readings)
        return FormatError(f"{self.path}: has no '{reading}' reading; capture again with ", Argument("plan", plan))
