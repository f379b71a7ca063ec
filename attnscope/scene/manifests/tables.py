"""Tables of questions as manifests: .csv, .tsv, .parquet, and datasets on disk, with the columns of the table importer.

A row is what a line of a manifest is. Its video is in the column of the clip; or a column `scene` names a scene file,
where no column names a clip. A row that cannot be read is a `LeftOut`, which is an error once it is asked for.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attnscope.errors import SceneError
from attnscope.files import exists, is_folder, open_regular
from attnscope.scene.importers.datasets.columnar import dataset_files, is_dataset, is_split
from attnscope.scene.importers.datasets.table import read_table
from attnscope.scene.manifests.fields import MANIFEST, TABLES
from attnscope.scene.records import LeftOut, Note, QuestionRecord

logger = logging.getLogger("attnscope")
_BLOCK = 2**20  # bytes that are hashed at once
Row = dict[str, Any] | LeftOut


@dataclass(frozen=True)
class QuestionTable:
    """A table of questions.

    Attributes:
        path: The file, or the folder of a dataset.
        split: Which part of a dataset; empty where it has one.
    """

    path: Path
    split: str = ""

    @classmethod
    def at(cls, path: Path) -> QuestionTable | None:
        """The table at a path, which may be a dataset's folder with the name of a split behind it; None if none is."""
        if path.suffix.lower() in TABLES and not is_folder(path):
            return cls(path)
        if exists(path):
            whole = is_folder(path) and not exists(path / MANIFEST) and is_dataset(path)
            return cls(path) if whole else None
        return cls(path.parent, path.name) if is_split(path) else None

    @property
    def folder(self) -> Path:
        """What videos and scenes are relative to: the folder of a file, or that of a dataset with all its splits."""
        if not is_folder(self.path):
            return self.path.parent
        return self.path.parent if exists(self.path.parent / "dataset_dict.json") else self.path

    @property
    def unit(self) -> str:
        """What a number counts: lines of text, from 1, or rows, from 0."""
        return "line" if self.path.suffix.lower() in (".csv", ".tsv") else "row"

    def sha256(self) -> str:
        """SHA-256 of the files, one after the other."""
        digest = hashlib.sha256()
        for path in dataset_files(self.path, self.split) if is_folder(self.path) else [self.path]:
            with open_regular(path) as file:
                while block := file.read(_BLOCK):
                    digest.update(block)
        return digest.hexdigest()

    def rows(self) -> Iterator[tuple[int, Row]]:
        """Number and fields of each row, as a line of a manifest has them.

        Raises:
            SceneError: If it cannot be read, or its columns are not those of questions.
        """
        for record in read_table(self.path, rows="questions", split=self.split):
            if isinstance(record, Note):
                logger.info("%s", record.text)
                continue
            number = int(record.where.rpartition(" ")[2])
            yield number, record if isinstance(record, LeftOut) else self._fields(number, record)

    def _fields(self, number: int, record: Any) -> Row:
        assert isinstance(record, QuestionRecord)
        fields = dict(record.fields)
        scene: Any = {"video": record.clip}
        if not record.clip:
            scene = fields.pop("scene", None)
            if not isinstance(scene, str):
                columns = "neither a column of clips (clip, video, ...) nor one called scene says what is shown"
                raise SceneError(f"{self.path}: {self.unit} {number}: {columns}")
        row: dict[str, Any] = {"id": record.id or f"{self.unit} {number}", "scene": scene}
        row |= {"question": record.question, "options": list(record.options), "answer": record.answer}
        if record.window is not None:
            row["window"] = list(record.window)
        return row | ({"fields": fields} if fields else {})
