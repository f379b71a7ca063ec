"""Names of clips: which of them mean one video, and where that video is."""

from __future__ import annotations

from pathlib import Path

import pytest

from attnscope.errors import RequestError, SceneError
from attnscope.scene.joining.clips import clips, without_suffix
from attnscope.scene.joining.videos import Videos


def joined(*names: tuple[int, str]) -> list[list[str]]:
    return [[names[number][1] for number in clip.numbers] for clip in clips(names, ["a.csv", "b.xml", "c.rttm"])]


def test_names_are_joined_without_folder_and_suffix_as_names_are_compared() -> None:
    assert joined((0, "v/clip.mp4"), (1, "clip"), (0, "other.mkv"), (2, "other.wav"), (1, "C:\\films\\clip.MP4")) == [
        ["v/clip.mp4", "clip", "C:\\films\\clip.MP4"],
        ["other.mkv", "other.wav"],
    ]
    assert joined((0, "Zoe\u0301.mp4"), (1, "Zo\u00e9")) == [["Zoe\u0301.mp4", "Zo\u00e9"]]
    assert joined((0, "clip"), (0, "Clip"), (0, "clip.v2"), (0, "clip.v2.mp4")) == [
        ["clip"],
        ["Clip"],
        ["clip.v2", "clip.v2.mp4"],
    ]


def test_folders_count_where_one_source_needs_them() -> None:
    assert joined((0, "train/1.mp4"), (0, "test/1.mp4"), (1, "sets/test/1"), (1, "train/1.avi")) == [
        ["train/1.mp4", "train/1.avi"],
        ["test/1.mp4", "sets/test/1"],
    ]
    with pytest.raises(SceneError) as error:
        joined((0, "train/1.mp4"), (0, "test/1.mp4"), (1, "1"))
    assert str(error.value) == 'b.xml: "1" may be "train/1" or "test/1"; name it with its folder'


def test_a_clip_knows_its_sources_and_is_called_as_the_first_calls_it() -> None:
    first, second = clips([(1, "b"), (0, "v/a.mp4"), (2, "a")], ["", "", ""])
    assert (first.name, first.sources, second.name, second.sources) == ("b", {1}, "v/a.mp4", {0, 2})


@pytest.mark.parametrize(
    ("name", "bare"), [("a.mp4", "a"), ("a.b", "a.b"), (".mp4", ".mp4"), ("a.wav", "a"), ("s01.e02.mkv", "s01.e02")]
)
def test_only_known_suffixes_are_taken_off(name: str, bare: str) -> None:
    assert without_suffix(name) == bare


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files = (
        "a.mp4",
        "deep/b.mkv",
        "train/1.mp4",
        "test/1.mp4",
        "c.mp4",
        "c.avi",
        "notes.txt",
        "i/x.jpg",
        ".hidden.mp4",
    )
    for name in (*files, "frames/e01_clip_00/00001.jpg", "frames/e01_clip_00/a.jpg", "d.mp4", "d.jpg"):
        (tmp_path / "v" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "v" / name).touch()
    return tmp_path / "v"


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("a", "a.mp4"),
        ("a.avi", "a.mp4"),
        ("some/where/b.mp4", "deep/b.mkv"),
        ("test/1", "test/1.mp4"),
        ("../data/train/1.mov", "train/1.mp4"),
        ("c.avi", "c.avi"),
        ("e01_clip_00", "frames/e01_clip_00"),
        ("d", "d.mp4"),
        ("d.jpg", "d.jpg"),
        ("notes", None),
        ("00001", None),  # a frame of a clip is none
        ("hidden", None),
        ("A", None),
    ],
)
def test_videos_are_found_by_name(folder: Path, name: str, where: str | None) -> None:
    assert Videos(folder).find(name) == (None if where is None else folder / where)


def test_what_may_be_two_videos_is_not_guessed(folder: Path) -> None:
    for name in ("1", "c", "other/1.mp4"):
        with pytest.raises(SceneError, match="several videos have its name"):
            Videos(folder).find(name)
    with pytest.raises(RequestError, match="no such folder"):
        Videos(folder / "gone")
