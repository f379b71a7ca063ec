"""Questions in tables and in datasets on disk: the same questions as in lines of a manifest, and errors with a place.

`data/` was written by the library `datasets` (4.x): `DatasetDict.save_to_disk` of three rows and of its last two, and
`Dataset.save_to_disk` of three rows whose column of videos holds the files themselves.
"""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from attnscope.errors import RequestError
from attnscope.evaluate import read_manifest
from attnscope.scene.importers.datasets.columnar import Embedded, dataset_files, rows
from attnscope.scene.manifests.checking import check_manifest
from tests.scene.films import film

DATA = Path(__file__).with_name("data")
ROWS: list[dict[str, Any]] = [
    {"id": "a", "video": "x.mp4", "question": "Q1", "options": ["yes", "no"], "answer": "yes", "task": "t"},
    {"id": "b", "video": "x.mp4", "question": "Q2", "options": ["yes", "no"], "answer": "no", "task": "u"},
    {"id": "c", "video": "y.mp4", "question": "Q3", "options": ["yes", "no"], "answer": "yes", "task": "t"},
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    film(tmp_path / "x.mp4")
    shutil.copy(tmp_path / "x.mp4", tmp_path / "y.mp4")
    return tmp_path


def read(path: Path, **options: Any) -> list[tuple[Any, ...]]:
    manifest = read_manifest(path, **options)
    return [
        (q.id, q.line, q.clip, q.scene.question, q.scene.options, q.scene.answer, q.scene.fields, q.scene.window)
        for q in manifest.questions
    ]


def expected(first: int, numbers: range = range(3)) -> list[tuple[Any, ...]]:
    return [
        (r["id"], line, r["video"], r["question"], r["options"], r["answer"], {"task": r["task"]}, None)
        for line, r in enumerate((ROWS[n] for n in numbers), first)
    ]


def write_csv(path: Path, rows: list[dict[str, Any]], delimiter: str = ",") -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows({k: "|".join(v) if isinstance(v, list) else v for k, v in row.items()} for row in rows)
    return path


def shard(path: Path, rows: list[dict[str, Any]], **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path, **options)


def test_tables_and_datasets_hold_the_questions_of_a_manifest(folder: Path) -> None:
    lines = [{k: v for k, v in row.items() if k not in ("video", "task")} for row in ROWS]
    lines = [
        line | {"scene": {"video": row["video"]}, "fields": {"task": row["task"]}}
        for line, row in zip(lines, ROWS, strict=True)
    ]
    (folder / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    manifest = read_manifest(folder / "manifest.jsonl")
    assert read(folder / "manifest.jsonl") == expected(1)
    table = write_csv(folder / "q.csv", ROWS)
    assert read(table) == expected(2)  # the header is line 1
    assert read(write_csv(folder / "q.tsv", ROWS, "\t")) == expected(2)
    # what is shown and asked is the same, so that the hash that a run is continued by is, too
    assert read_manifest(table).scenes_sha256 == manifest.scenes_sha256
    assert read_manifest(table).sha256 == hashlib.sha256(table.read_bytes()).hexdigest()
    shard(folder / "q.parquet", ROWS)
    assert read(folder / "q.parquet") == expected(0)
    # what `datasets` wrote
    assert read(DATA / "dict" / "train", videos=folder)[0][3:] == expected(0)[0][3:]
    saved = shutil.copytree(DATA / "dict", folder / "set")
    for name in ("x.mp4", "y.mp4"):
        shutil.copy(folder / name, saved / name)  # beside the splits
    assert read(saved / "train") == expected(0)
    assert read(saved / "test") == expected(0, range(1, 3))


def test_parquet_as_on_the_hub(folder: Path) -> None:
    hub = folder / "hub"
    shard(hub / "data" / "test-00000-of-00002.parquet", ROWS[:1])
    shard(hub / "data" / "test-00001-of-00002.parquet", ROWS[1:])
    assert [q[:2] for q in read(hub, videos=folder)] == [("a", 0), ("b", 1), ("c", 2)]  # numbers run on
    shard(hub / "data" / "train-00000-of-00001.parquet", ROWS[2:])
    with pytest.raises(RequestError, match=r'has several splits, "test", "train": name one, as in .*hub/data/test$'):
        read(hub)
    assert len(read(hub / "data" / "test", videos=folder)) == 3
    assert check_manifest(hub / "data" / "train", videos=folder).questions == 1
    with pytest.raises(RequestError, match="no such file"):
        read(hub / "data" / "validation")


@pytest.mark.parametrize("statistics", [True, False])
def test_videos_by_path_are_read_and_embedded_ones_refused(folder: Path, statistics: bool) -> None:
    paths = [row | {"video": {"bytes": None, "path": row["video"]}} for row in ROWS]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.Table.from_pylist(paths)
    table = table.set_column(
        table.schema.get_field_index("video"), "video", pa.array([p["video"] for p in paths], kind)
    )
    table = table.append_column("poster", pa.array([b"1", None, b"3"]))
    pq.write_table(table, folder / "q.parquet", write_statistics=statistics)
    assert read(folder / "q.parquet") == expected(0)  # a poster is no label
    inside = [row | {"video": {"bytes": b"film", "path": row["video"]}} for row in ROWS]
    shard(folder / "inside.parquet", inside, write_statistics=statistics)
    for path in (folder / "inside.parquet", DATA / "inside"):
        with pytest.raises(
            RequestError, match=r"inside.*: row 0: clip: holds the video itself, and videos are read from files"
        ):
            read(path)
    assert [row["video"] for _, row in rows(dataset_files(DATA / "inside"))] == [Embedded("x.mp4")] * 3


def test_a_column_of_scenes_and_windows(folder: Path) -> None:
    (folder / "scene.json").write_text(json.dumps({"video": "x.mp4", "transcript": [{"speaker": "Ann", "text": "Hi"}]}))
    asked = {"scene": "scene.json", "question": "Who?", "a0": "Ann", "a1": "Bob", "answer": "Ann"}
    path = write_csv(folder / "q.csv", [asked | {"start": 0.5, "end": 1}, asked | {"start": "", "end": ""}])
    manifest = read_manifest(path)
    assert [question.id for question in manifest.questions] == ["line 2", "line 3"]
    assert [question.scene.window for question in manifest.questions] == [(0.5, 1), None]
    assert manifest.questions[1].scene.transcript[0].speaker == "Ann"
    assert manifest.questions[1].scene.options == ["Ann", "Bob"] and not manifest.questions[0].scene.fields


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"answer": "maybe"}, 'line 3: answer: "maybe": its answer is none of its options'),
        ({"answer": "1"}, 'line 3: answer: "1": its answer is none of its options'),
        ({"answer": ""}, "line 3: answer: is missing"),
        ({"options": "yes|yes"}, 'line 3: options: "yes|yes": two of its options are the same'),
        ({"options": "no"}, 'line 3: options: ["no"] are fewer than two to choose from'),
        ({"question": ""}, "line 3: question: has no question"),
        ({"video": ""}, "line 3: clip: has no clip"),
        ({"id": "a"}, 'line 3: id: "a" is also the id of line 2'),
        ({"video": "z.mp4"}, "line 3: scene: video: z.mp4: no such file"),
    ],
)
def test_errors_name_line_and_column(folder: Path, change: dict[str, Any], message: str) -> None:
    path = write_csv(folder / "q.csv", [ROWS[0], ROWS[1] | change, ROWS[2]])
    with pytest.raises(RequestError) as raised:
        read(path)
    found = str(raised.value)
    assert found.startswith(f"{path}: {message}"), found
    assert "\n" not in found
    if "z.mp4" not in change.values():
        problems = check_manifest(path).problems
        assert problems and problems[0].startswith(f"{path}: {message}")


def test_a_table_of_something_else(folder: Path) -> None:
    path = write_csv(folder / "q.csv", [{"clip": "x.mp4", "speaker": "Ann", "start": 1}])
    with pytest.raises(RequestError, match="line 2: question: has no question"):
        read(path)
    path = write_csv(folder / "q.csv", [{"question": "Who?", "options": "a|b", "answer": "a"}])
    with pytest.raises(RequestError, match=r"line 2: neither a column of clips .* nor one called scene"):
        read(path)
    (folder / "q.csv").write_text("question,answer\n")
    with pytest.raises(RequestError, match=r"q\.csv: holds no row"):
        read(folder / "q.csv")
    (folder / "q.parquet").write_text("PAR1")
    with pytest.raises(RequestError, match=r"q\.parquet: cannot be read"):
        read(folder / "q.parquet")
    (folder / "bad").mkdir()
    (folder / "bad" / "state.json").write_text('{"_data_files": [{"filename": "../x.arrow"}]}')
    with pytest.raises(RequestError, match="names no files of rows"):
        read(folder / "bad")
