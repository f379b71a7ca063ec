"""Boxes from the tools that people annotate with: hand-worked examples, and a thousand records that add up."""

from __future__ import annotations

import json
import pickle
import random
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attnscope.errors import SceneError
from attnscope.scene import BoxRecord, LeftOut, Note, SpeechRecord
from attnscope.scene.importers import boxes as boxes
from attnscope.scene.importers.registry import IMPORTERS

DATA = Path(__file__).parent / "data" / "boxes"


def read(name: str, path: Path, **options: Any) -> list[Any]:
    return list(IMPORTERS[name](path, **options))


def shown(records: list[Any]) -> list[tuple[Any, ...]]:
    """Who, where in percent or pixels, when, and what follows, of each box."""
    return [
        (b.name, tuple(round(side * (100 if b.units == "fraction" else 1), 2) for side in b.xyxy))
        + (("frame", b.frame) if b.time is None else ("time", round(b.time, 4)))
        for b in records
        if isinstance(b, BoxRecord)
    ]


def left_out(records: list[Any]) -> list[tuple[str, str]]:
    return [(r.where, r.reason) for r in records if isinstance(r, LeftOut)]


def notes(records: list[Any]) -> list[str]:
    return [r.text for r in records if isinstance(r, Note)]


CVAT = [
    ("Ada", (10.0, 10.0, 20.0, 50.0), "frame", 10),
    ("Ada", (15.0, 10.0, 25.0, 50.0), "frame", 15),
    ("Ada", (15.0, 10.0, 25.0, 50.0), "frame", 60),
    # 64 x 128 around (352, 184), turned by 90 degrees: 128 x 64
    ("person 1", (45.0, 31.67, 65.0, 45.0), "frame", 20),
    ("Eva", (-1.56, 0.0, 5.0, 10.0), "frame", 510),
]


def test_cvat_for_video(tmp_path: Path) -> None:
    records = read("cvat", DATA / "cvat_video.xml")
    assert shown(records) == CVAT
    found = [r for r in records if isinstance(r, BoxRecord)]
    assert {r.clip for r in found} == {"talk.mp4"}
    assert [r.ends for r in found] == [False, False, True, False, False]
    assert all(r.keyframe for r in found)
    assert [r.track for r in found] == [":0", ":0", ":0", ":1", ":2"]
    assert left_out(records) == [
        ("track 3 frame 10", "a shape <polygon> is no box"),
        ("track 3 frame 11", "a side of the box is no number"),
        ("track 3 frame x", "the box has no number of a frame"),
        ("track 4 frame 10", "a shape <skeleton> is no box"),
        ("track 4 frame 10", "a shape <points> is no box"),
        ("track 4 frame 15", "a shape <points> is no box"),
        ("<tag> of frame 500", "an element <tag> is no box"),
    ]
    assert notes(records) == [
        'cvat_video.xml: several tracks of a clip are called "person": each is a person of its own, such as '
        '"person 1"; an attribute "name" may name them, and naming=label makes one person of them'
    ]
    with zipfile.ZipFile(tmp_path / "task.zip", "w") as archive:
        archive.write(DATA / "cvat_video.xml", "annotations.xml")
    assert shown(read("cvat", tmp_path / "task.zip")) == CVAT
    labels = {b.name for b in read("cvat", DATA / "cvat_video.xml", naming="label") if isinstance(b, BoxRecord)}
    assert labels == {"Ada", "person", "Eva"}
    with pytest.raises(SceneError, match=r"cvat_video.xml: naming: who is not one of auto, label, track"):
        read("cvat", DATA / "cvat_video.xml", naming="who")


TASK = (
    "<task><id>{id}</id><name>t</name><size>{size}</size><subset>{subset}</subset><start_frame>{start}</start_frame>"
    "<stop_frame>{stop}</stop_frame><frame_filter>{filter}</frame_filter><original_size><width>100</width>"
    "<height>100</height></original_size><source>clip{id}.mp4</source></task>"
)


def task(id: int, size: int, start: int = 0, step: int = 1, subset: str = "default") -> str:
    stop, chosen = start + (size - 1) * step, f"step={step}" if step > 1 else ""
    return TASK.format(id=id, size=size, start=start, stop=stop, filter=chosen, subset=subset)


def box(frame: int, left: int = 10, name: str = "", outside: int = 0) -> str:
    inner = f'<attribute name="name">{name}</attribute>' if name else ""
    sides = f'xtl="{left}" ytl="0" xbr="{left + 10}" ybr="50"'
    return f'<box frame="{frame}" outside="{outside}" {sides}>{inner}</box>'


def export(path: Path, meta: str, inside: str) -> Path:
    path.write_text(f"<annotations><meta>{meta}</meta>{inside}</annotations>")
    return path


def test_cvat_says_until_when_its_task_goes(tmp_path: Path) -> None:
    track = f'<track id="0" label="Ada">{box(10)}{box(16)}</track>'
    for meta, until in ((task(1, 25, 10), 35), (task(1, 4, 10, 3), 22), ("<task><source>a.mp4</source></task>", None)):
        found = read("cvat", export(tmp_path / "a.xml", meta, track))
        assert [b.until for b in found] == [until, until]
    job = task(1, 25, 10).replace("task>", "job>")
    assert read("cvat", export(tmp_path / "a.xml", job, track))[0].until == 35


def test_a_cvat_track_whose_name_changes_is_two_people(tmp_path: Path) -> None:
    track = f'<track id="7" label="person">{box(0, 10, "Ada")}{box(24, 30, "Ben")}{box(30, 40)}</track>'
    found = read("cvat", export(tmp_path / "a.xml", task(1, 275), track))
    assert shown(found) == [
        ("Ada", (10.0, 0.0, 20.0, 50.0), "frame", 0),
        ("Ada", (30.0, 0.0, 40.0, 50.0), "frame", 24),  # so that she moves until the change
        ("Ben", (30.0, 0.0, 40.0, 50.0), "frame", 24),
        ("Ben", (40.0, 0.0, 50.0, 50.0), "frame", 30),
    ]
    assert [r.until for r in found if isinstance(r, BoxRecord)] == [275, 24, 275, 275]
    assert notes(found) == [
        "a.xml: the name of a track changes: track 7 (Ada, Ben); the box at the change counts for both names"
    ]
    gone = f'<track id="7" label="person">{box(0, 10, "Ada")}{box(9, 10, outside=1)}{box(24, 30, "Ben")}</track>'
    assert notes(read("cvat", export(tmp_path / "a.xml", task(1, 275), gone))) == []


def test_frames_of_a_cvat_project_follow_those_of_the_tasks_before(tmp_path: Path) -> None:
    tasks = task(1, 275) + task(2, 10, 5, 3) + task(3, 20) + task(9, 50, subset="other")
    # offsets by hand: 0; 275; 275 + 5 + 3 * 10 = 310; 0 in the next subset
    tracks = "".join(
        f'<track id="{at}" label="Ada" task_id="{of}">{box(frame)}</track>'
        for at, (of, frame) in enumerate([(1, 30), (2, 275 + 8), (3, 310), (9, 49), (3, 30)])
    )
    meta = f"<project><id>1</id><tasks>{tasks}</tasks></project>"
    found = read("cvat", export(tmp_path / "a.xml", meta, tracks))
    boxes_ = [(r.clip, r.frame, r.until) for r in found if isinstance(r, BoxRecord)]
    assert boxes_ == [("clip1.mp4", 30, 275), ("clip2.mp4", 8, 35), ("clip3.mp4", 0, 20), ("clip9.mp4", 49, 50)]
    assert left_out(found) == [("track 4 frame 30", "the frame is none of those that its task shows")]


def test_images_of_cvat_whose_names_and_ids_contradict(tmp_path: Path) -> None:
    def images(*names: str) -> Path:
        one = '<image id="{}" name="{}" width="100" height="100">{}</image>'
        inside = "".join(
            one.format(at, name, box(0).replace("<box", '<box label="Ada"')) for at, name in enumerate(names)
        )
        return export(tmp_path / "a.xml", "<task><name>stage</name></task>", inside)

    def frames(path: Path, **options: Any) -> list[int]:
        return [row[-1] for row in shown(read("cvat", path, **options))]

    assert frames(images("f_0000.png", "f_0001.png")) == [0, 1]
    from_1 = images("f_0001.png", "f_0002.png")
    assert frames(from_1) == [0, 1]
    assert notes(read("cvat", from_1)) == [
        "a.xml: images are numbered from 1 in their names and from 0 by their ids; they are frames from 0"
    ]
    tenths = images("f_0010.png", "f_0020.png", "f_0030.png")
    with pytest.raises(SceneError, match=r'a.xml: image "f_0020.png" has the id 1: which of the two .* frames_by=name'):
        read("cvat", tenths)
    assert frames(tenths, frames_by="name") == [10, 20, 30]
    assert notes(read("cvat", tenths, frames_by="name")) == [
        "a.xml: the lowest number of an image is 10, so images are taken to count from 0; first_frame=1 makes them "
        "count from 1"
    ]
    assert frames(tenths, frames_by="name", first_frame=1) == [9, 19, 29]
    assert frames(tenths, frames_by="id") == [0, 1, 2]
    with pytest.raises(SceneError, match=r"image .* has the id 0"):  # a part of the frames, from 100 on?
        read("cvat", images("f_0100.png", "f_0101.png"))


def test_an_empty_zip_holds_no_annotations(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w"):
        pass
    with pytest.raises(SceneError, match=r"a.zip: holds no annotations.xml; one is read at a time"):
        read("cvat", tmp_path / "a.zip")


def test_files_of_coco_that_count_from_1(tmp_path: Path) -> None:
    def data(first: int) -> Path:
        files = [f"v/img_{n:07}.jpg" for n in range(first, first + 3)]
        video = {"id": 1, "name": "v", "width": 100, "height": 100, "file_names": files}
        annotation = {"id": 1, "video_id": 1, "category_id": 1, "bboxes": [[0, 0, 10, 10]] * 3}
        path = tmp_path / "a.json"
        path.write_text(json.dumps({"videos": [video], "annotations": [annotation], "categories": []}))
        return path

    def found(first: int, **options: Any) -> tuple[list[int], list[str]]:
        records = read("coco", data(first), **options)
        return [r.frame for r in records if isinstance(r, BoxRecord)], [n for n in notes(records) if "lowest" in n]

    assert found(0) == ([0, 1, 2], [])
    assert found(1) == (
        [0, 1, 2],
        [
            "a.json: the lowest number of a file is 1, so files are taken to count from 1; "
            "first_frame=0 makes them count from 0"
        ],
    )
    assert found(1, first_frame=0) == ([1, 2, 3], [])
    assert found(10)[0] == [10, 11, 12] and "first_frame=1" in found(10)[1][0]
    assert found(10, frames_by="order") == ([0, 1, 2], [])
    images = [{"id": n, "video_id": 1, "file_name": f"frame_{n:06}.png"} for n in (1, 4)]
    annotations = [{"id": n, "image_id": n, "track_id": 1, "bbox": [0, 0, 1, 1]} for n in (1, 4)]
    path = tmp_path / "b.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations, "videos": [{"id": 1, "name": "v"}]}))
    assert [row[-1] for row in shown(read("coco", path))] == [0, 3]


def test_ids_of_coco_that_several_objects_have(tmp_path: Path) -> None:
    images = [{"id": n, "video_id": 1, "frame_id": n} for n in range(4)]
    images += [images[0], {"id": 1, "video_id": 1, "frame_id": 9}]  # the same again, and another one
    videos = [{"id": 1, "name": "v"}, {"id": 2, "name": "w"}, {"id": 2, "name": "x"}]
    images.append({"id": 7, "video_id": 2, "frame_id": 0})
    tracks = [{"id": 5, "name": "Ada"}, {"id": 5, "name": "Ben"}, {"id": 6, "name": "Cleo"}]
    places = [(0, 6), (1, 6), (7, 6), (2, 5), (3, 6)]
    annotations = [{"image_id": image, "track_id": track, "bbox": [0, 0, 1, 1]} for image, track in places]
    annotations.append({"video_id": 2, "id": 8, "bboxes": [[0, 0, 1, 1]]})
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"images": images, "videos": videos, "tracks": tracks, "annotations": annotations}))
    records = read("coco", path)
    assert [(r.name, r.frame) for r in records if isinstance(r, BoxRecord)] == [("Cleo", 0), ("Cleo", 3)]
    assert [reason for _, reason in left_out(records)] == [
        "the id of its image is given to several",
        "the id of its video is given to several",
        "the id of its track is given to several",
        "the id of its video is given to several",
    ]


def test_what_is_left_out_of_coco_gives_nobody_a_number(tmp_path: Path) -> None:
    fields = ({"track_id": 1}, {}, {"track_id": 2, "iscrowd": 1})
    annotations = [{"image_id": 0, "category_id": 1, "bbox": [0, 0, 1, 1]} | more for more in fields]
    path = tmp_path / "a.json"
    categories = [{"id": 1, "name": "Ada"}]
    path.write_text(
        json.dumps({"images": [{"id": 0, "frame_id": 0}], "categories": categories, "annotations": annotations})
    )
    assert [r.name for r in read("coco", path) if isinstance(r, BoxRecord)] == ["Ada"]
    polygon = f'<track id="1" label="Ada">{box(0).replace("<box", "<polygon").replace("/box", "/polygon")}</track>'
    found = read("cvat", export(tmp_path / "a.xml", task(1, 9), f'<track id="0" label="Ada">{box(0)}</track>{polygon}'))
    assert [r.name for r in found if isinstance(r, BoxRecord)] == ["Ada"]


def test_a_job_of_cvat_has_the_size_of_its_frames_beside_it(tmp_path: Path) -> None:
    job = "<job><id>4</id><size>9</size><start_frame>0</start_frame><stop_frame>8</stop_frame></job>"
    size = "<original_size><width>200</width><height>100</height></original_size>"
    path = export(tmp_path / "a.xml", job + size, f'<track id="0" label="Ada">{box(3)}</track>')
    assert shown(read("cvat", path)) == [("Ada", (5.0, 0.0, 10.0, 50.0), "frame", 3)]


def test_cvat_for_images() -> None:
    records = read("cvat", DATA / "cvat_images.xml")
    assert shown(records) == [
        ("Ada", (10.0, 10.0, 30.0, 90.0), "frame", 5),
        ("Ben", (10.0, 10.0, 30.0, 90.0), "frame", 7),
    ]
    assert [reason for _, reason in left_out(records)] == [
        "several boxes of the image have one label, and no attribute tells who they are",
        "a shape <tag> is no box",
        "the image is no frame of a video: its name does not end in a number",
    ]
    assert not any(r.keyframe for r in records if isinstance(r, BoxRecord))


def test_cvat_of_a_project_has_several_videos(tmp_path: Path) -> None:
    def task(number: int, width: int) -> str:
        return (
            f"<task><id>{number}</id><name>t{number}</name><source>clip{number}.mp4</source>"
            f"<original_size><width>{width}</width><height>100</height></original_size></task>"
        )

    track = '<track id="{0}" label="Ada" task_id="{1}"><box frame="0" xtl="10" ytl="0" xbr="20" ybr="50"/></track>'
    text = f"<annotations><meta><project><id>1</id><tasks>{task(4, 100)}{task(5, 200)}</tasks></project></meta>"
    path = tmp_path / "project.xml"
    path.write_text(text + track.format(0, 4) + track.format(1, 5) + "</annotations>")
    found = read("cvat", path)
    assert shown(found) == [("Ada", (10.0, 0.0, 20.0, 50.0), "frame", 0), ("Ada", (5.0, 0.0, 10.0, 50.0), "frame", 0)]
    assert [b.clip for b in found] == ["clip4.mp4", "clip5.mp4"]


def test_label_studio() -> None:
    records = read("label-studio", DATA / "label_studio.json")
    assert shown(records) == [
        ("Ada", (10.0, 20.0, 30.0, 70.0), "time", 0.0),  # frame 1 is what is shown from the beginning
        ("Ada", (10.0, 20.0, 30.0, 70.0), "time", 0.48),  # 12 frames at 25 a second
        ("Ada", (30.0, 20.0, 50.0, 70.0), "time", 1.25),
        ("person 3", (60.0, -5.0, 80.0, 45.0), "time", 1.0),
    ]
    found = [r for r in records if isinstance(r, BoxRecord)]
    assert [r.keyframe for r in found] == [True, True, False, True]
    assert {(r.clip, r.track) for r in found} == {("talk.mp4", "aB1"), ("talk.mp4", "cD2")}
    assert left_out(records) == [
        ("[0].annotations[0].result[0].sequence[3]", "the keyframe is not enabled, and neither is the one before"),
        (
            "[0].annotations[0].result[2].sequence[1]",
            "the box is rotated, and the file does not say how large the picture is",
        ),
        ("[0].annotations[0].result[2].sequence[2]", "a side of the box is no number"),
        ("[0].annotations[0].result[3]", "a result 'textarea' is no box of a video"),
        ("[0].annotations[1].result[0].sequence[0]", "the annotation is cancelled"),
    ]


def test_label_studio_turns_rotated_boxes_about_their_corner(tmp_path: Path) -> None:
    key = {"frame": 1, "enabled": True, "x": 50, "y": 50, "width": 20, "height": 10, "rotation": 90, "time": 0}
    region = {"id": "a", "type": "videorectangle", "original_width": 200, "original_height": 100}
    region["value"] = {"labels": ["Ada"], "sequence": [key]}
    path = tmp_path / "a.json"
    path.write_text(json.dumps([{"annotations": [{"result": [region]}], "data": {"clip": "s3://b/d/a%20b.mp4"}}]))
    (box,) = read("label-studio", path)
    # 40 x 10 pixels at (100, 50) go to x 90..100, y 50..90
    assert shown([box]) == [("Ada", (45.0, 50.0, 50.0, 90.0), "time", 0.0)]
    assert box.clip == "a b.mp4"
    path.write_text(json.dumps([{"video": "a.mp4", "box": [{"sequence": [key]}]}]))
    with pytest.raises(SceneError, match=r"\[0\]: has neither annotations nor predictions; export as JSON"):
        read("label-studio", path)


def test_coco_of_images() -> None:
    records = read("coco", DATA / "coco_images.json")
    assert shown(records) == [
        ("Ada", (10.0, 10.0, 20.0, 30.0), "frame", 30),
        ("Ada", (10.0, 10.0, 20.0, 30.0), "frame", 60),
        ("person 6", (50.0, 10.0, 60.0, 30.0), "frame", 30),
        ("Eva", (0.0, 0.0, 10.0, 10.0), "frame", 30),
    ]
    assert {r.clip for r in records if isinstance(r, BoxRecord)} == {"talk.mp4"}
    assert [reason for _, reason in left_out(records)] == [
        "the annotation names no track",
        "the image does not say which frame it is",
        "the image of the box is unknown",
        "the box is not four numbers",
        "a crowd is no single person",
    ]
    assert [r.score for r in records if isinstance(r, BoxRecord)] == [None, None, 0.5, None]


def test_coco_of_tracks() -> None:
    records = read("coco", DATA / "coco_tracks.json")
    assert shown(records) == [
        ("person 1", (0.0, 0.0, 10.0, 10.0), "frame", 0),
        ("person 1", (10.0, 10.0, 20.0, 20.0), "frame", 10),
        ("person 2", (10.0, 10.0, 20.0, 20.0), "frame", 5),
    ]
    assert left_out(records) == [
        ("annotations[1].bboxes[3]", "the video has no file for the box"),
        ("annotations[2].bboxes[0]", "the video of the track is unknown"),
    ]
    assert notes(records)[0] == (
        "coco_tracks.json: frames are numbered as their files are, and those of 0043f083b5 leave numbers out; "
        "frames_by=order counts the files instead"
    )
    counted = read("coco", DATA / "coco_tracks.json", frames_by="order")
    assert [row[-1] for row in shown(counted)] == [0, 2, 1]
    with pytest.raises(SceneError, match="is no object with annotations"):
        read("coco", DATA / "label_studio.json")


def test_mot() -> None:
    records = read("mot", DATA / "mot-seq")
    assert shown(records) == [
        ("pedestrian 3", (41.37, 22.93, 45.08, 39.12), "time", 0.0),
        ("pedestrian 3", (41.67, 22.93, 45.38, 39.12), "time", 1.0),
        ("car 5", (0.52, 1.85, 2.08, 5.56), "time", 0.04),
    ]
    assert {r.clip for r in records} == {"mot-seq"}
    assert left_out(records) == [
        ("line 3", "marked to be ignored (confidence 0)"),
        ("line 5", "frames are whole numbers from 1 on"),
        ("line 6", "the detection belongs to nobody (its id is negative)"),
        ("line 7", "a value is no number"),
        ("line 8", "the line has fewer than 6 values with commas between them"),
    ]


def test_mot_without_information(tmp_path: Path) -> None:
    path = tmp_path / "talk.txt"
    path.write_text("3,1,10,20,30,40,0.5,-1,-1,-1\n")
    (box,) = read("mot", path)
    assert (box.clip, box.name, box.xyxy, box.frame, box.score) == ("talk", "person 1", (10, 20, 40, 60), 2, 0.5)
    path.write_text("hello\n")
    with pytest.raises(SceneError, match=r'talk.txt: line 1: "hello" is not frame, id, left, top, width, height'):
        read("mot", path)
    with pytest.raises(SceneError, match=r"holds neither gt/gt.txt nor det/det.txt"):
        read("mot", tmp_path)


def test_mot_counts_from_0_where_there_is_a_frame_0(tmp_path: Path) -> None:
    path = tmp_path / "talk.txt"
    path.write_text("0,1,10,20,30,40,1\n1,1,10,20,30,40,1\n2,2.5,10,20,30,40,1\n")
    records = read("mot", path)
    assert [row[-1] for row in shown(records)] == [0, 1]
    assert left_out(records) == [("line 3", "the id is no whole number")]
    assert notes(records) == ["talk.txt: has a frame 0, so its frames count from 0; first_frame=1 says otherwise"]
    assert [row[-1] for row in shown(read("mot", path, first_frame=1))] == [0]
    path.write_text("1,1,10,20,30,40,1\n3,1,10,20,30,40,1\n")  # a task that shows every fifth frame from 100 on
    assert [row[-1] for row in shown(read("mot", path, step=5, start_frame=100))] == [100, 110]


def test_ava_without_a_beginning_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("v,902.02,0.1,0.2,0.3,0.4,NOT_SPEAKING,v:1\n")
    assert notes(read("ava", path)) == [
        "a.csv: its times begin at 902.02 s of the film; where the videos are clips cut from it, start=900 (or where "
        "they begin) is subtracted"
    ]
    (box,) = read("ava", path, start=900)
    assert box.time == 2.02


def test_ava() -> None:
    records = read("ava", DATA / "ava.csv", start=900)
    assert len(shown(records)) == 7
    assert shown(records)[0] == ("video_a_0000_60:1", (10.0, 20.0, 30.0, 40.0), "time", 0.0)
    speech = [
        (r.clip, r.speaker, round(r.start or 0, 2), round(r.end or 0, 2), r.text)
        for r in records
        if isinstance(r, SpeechRecord)
    ]
    a, b = "video_a_0000_60:1", "video_b_0000_60:1"
    assert speech == [
        ("video_a", a, 0.04, 0.16, None),  # to the line that is labelled otherwise
        ("video_a", a, 2.0, 2.04, None),  # for the usual step of the entity
        ("video_b", b, 10.0, 10.04, None),
    ]
    assert [reason for _, reason in left_out(records)] == [
        "a value is no number",
        "the label is not one of SPEAKING_AUDIBLE, SPEAKING_NOT_AUDIBLE, NOT_SPEAKING",
        "before the beginning of the clip",
        "the line has fewer than 8 values",
    ]


def test_ava_with_a_header(tmp_path: Path) -> None:
    columns = (
        "video_id,frame_timestamp,entity_box_x1,entity_box_y1,entity_box_x2,entity_box_y2,label,entity_id,label_id"
    )
    path = tmp_path / "a.csv"
    path.write_text(f"{columns}\nv,1.5,0.1,0.2,0.3,0.4,NOT_SPEAKING,v:1,0\n")
    assert shown(read("ava", path)) == [("v:1", (10.0, 20.0, 30.0, 40.0), "time", 1.5)]
    path.write_text(columns.replace(",label,", ",") + "\n")
    with pytest.raises(SceneError, match=r"a.csv: line 1: column label is missing"):
        read("ava", path)
    path.write_text("name,age\n")
    with pytest.raises(SceneError, match=r"a.csv: line 1: .* is not video_id, frame_timestamp"):
        read("ava", path)


def talknet(folder: Path, tracks: Any, scores: Any = None, protocol: int = 4) -> Path:
    work = folder / "talk" / "pywork"
    work.mkdir(parents=True, exist_ok=True)
    (work / "tracks.pckl").write_bytes(pickle.dumps(tracks, protocol))
    if scores is not None:
        (work / "scores.pckl").write_bytes(pickle.dumps(scores, protocol))
    return work


def track(first: int, count: int) -> dict[str, Any]:
    boxes_ = np.tile(np.array([10.0, 20.0, 30.0, 60.0]), (count, 1)) + np.arange(count)[:, None]
    sizes = {"x": [1.0] * count, "y": np.ones(count), "s": np.ones(count, np.float32)}
    return {"track": {"frame": np.arange(first, first + count), "bbox": boxes_}, "proc_track": sizes}


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_talknet(tmp_path: Path, protocol: int) -> None:
    scores = [np.array([-1.0, -1, -1, -1, 4, 4, 4, 4, -9, -9, -9]), [np.float64(2.0)] * 3]
    path = talknet(tmp_path, [track(50, 12), track(0, 3)], scores, protocol)
    records = read("talknet", path)
    assert len(shown(records)) == 15
    assert shown(records)[1] == ("face 0", (11.0, 21.0, 31.0, 61.0), "time", 2.04)
    assert {r.clip for r in records} == {"talk"}
    means = [np.mean(np.array(scores[0])[max(i - 2, 0) : i + 3]) for i in range(11)]
    speaks = [i for i, mean in enumerate(means) if mean >= 0]
    assert speaks == list(range(speaks[0], speaks[-1] + 1))
    speech = [(r.speaker, r.start, r.end) for r in records if isinstance(r, SpeechRecord)]
    assert speech == [
        ("face 0", pytest.approx((50 + speaks[0]) / 25), pytest.approx((51 + speaks[-1]) / 25)),
        ("face 1", 0.0, pytest.approx(3 / 25)),
    ]
    assert read("talknet", path.parent) == records  # the folder of the video


def test_a_thousand_boxes_of_talknet_add_up(tmp_path: Path) -> None:
    tracks = [track(10 * n, 100) for n in range(10)]
    for one in tracks:
        one["track"]["bbox"][::10, 2] = np.nan
    scores = [np.random.default_rng(n).normal(size=98) for n in range(10)]
    records = read("talknet", talknet(tmp_path, tracks, scores))
    kinds = Counter(type(r).__name__ for r in records)
    assert (kinds["BoxRecord"], kinds["LeftOut"]) == (900, 100)
    marks = [np.array([np.mean(s[max(i - 2, 0) : i + 3]) >= 0 for i in range(98)]) for s in scores]
    starts = sum(int(m[0]) + int(np.sum(m[1:] & ~m[:-1])) for m in marks)
    assert kinds["SpeechRecord"] == starts
    spoken = sum((r.end or 0) - (r.start or 0) for r in records if isinstance(r, SpeechRecord))
    assert spoken == pytest.approx(sum(m.sum() for m in marks) / 25)


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (__import__("os").system, ("touch /tmp/must-not-exist",))


def test_a_pickle_runs_nothing(tmp_path: Path) -> None:
    path = talknet(tmp_path, [Evil()])
    with pytest.raises(SceneError, match=r"tracks.pckl: names posix.system, which is no array of numbers"):
        read("talknet", path)
    objects = np.empty(1, object)
    objects[0] = 3
    for tracks in ([{"track": {"frame": objects, "bbox": objects}}], [np.dtype([("a", "f8")])], Path("a"), "text"):
        with pytest.raises(SceneError, match=r"tracks.pckl: "):
            read("talknet", talknet(tmp_path, tracks))
    (path / "tracks.pckl").write_bytes(b"\x80\x04\x95\xff")
    with pytest.raises(SceneError, match=r"tracks.pckl: not a pickle of numbers that can be read"):
        read("talknet", path)
    big = track(0, 2)
    big["track"]["frame"] = np.arange(2).astype(">i8")
    assert [row[-1] for row in shown(read("talknet", talknet(tmp_path, [big])))] == [0.0, 0.04]
    with pytest.raises(SceneError, match=r"scores.pckl: has scores of 0 tracks, and there are 1"):
        read("talknet", talknet(tmp_path, [big], []))


def side(rng: random.Random, good: bool) -> float | str:
    return round(rng.uniform(-50, 700), 2) if good else rng.choice(["nan", "", "x", "inf"])


def thousand(rng: random.Random) -> list[dict[str, Any]]:
    """A thousand boxes, unsorted, some outside the picture or without area, a tenth with a side that is no number."""
    rows = []
    for at in range(1000):
        good = at % 10 != 9
        left, top = rng.uniform(-50, 700), rng.uniform(-50, 500)
        wide, high = rng.choice([0, 40, 5000]), rng.uniform(1, 90)
        rows.append(
            {
                "frame": rng.randrange(5000),
                "track": rng.randrange(20),
                "left": left,
                "top": top,
                "wide": wide,
                "high": high,
            }
            | ({} if good else {"left": side(rng, False)})
        )
    return rows


def write_cvat(path: Path, rows: list[dict[str, Any]]) -> None:
    by: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        by.setdefault(row["track"], []).append(row)
    with path.open("w") as file:
        file.write("<annotations><meta><task><source>a.mp4</source></task></meta>")
        for number, own in by.items():
            file.write(f'<track id="{number}" label="{["person", "PERSON"][number % 2]}">')
            for r in own:
                right = r["left"] + r["wide"] if isinstance(r["left"], float) else 0
                file.write(
                    f'<box frame="{r["frame"]}" outside="0" keyframe="1" xtl="{r["left"]}" ytl="{r["top"]}" '
                    f'xbr="{right}" ybr="{r["top"] + r["high"]}"><attribute name="n">x</attribute></box>'
                )
            file.write("</track>")
        file.write("</annotations>")


def write_label_studio(path: Path, rows: list[dict[str, Any]]) -> None:
    def key(row: dict[str, Any]) -> dict[str, Any]:
        sides = {"x": row["left"], "y": row["top"], "width": row["wide"], "height": row["high"]}
        return {"frame": row["frame"] + 1, "enabled": True, "rotation": 0} | sides

    regions = [
        {
            "id": f"r{n}",
            "type": "videorectangle",
            "value": {
                "labels": ["person"],
                "framesCount": 5000,
                "duration": 200,
                "sequence": [key(r) for r in rows if r["track"] == n],
            },
        }
        for n in range(20)
    ]
    path.write_text(json.dumps([{"annotations": [{"result": regions}], "data": {"video": "a.mp4"}}]))


def write_coco(path: Path, rows: list[dict[str, Any]]) -> None:
    data = {
        "annotations": [
            {
                "id": n,
                "image_id": r["frame"],
                "track_id": r["track"],
                "bbox": [r["left"], r["top"], r["wide"], r["high"]],
            }
            for n, r in enumerate(rows)
        ],
        "images": [{"id": n, "video_id": 1, "frame_id": n, "file_name": f"{n}.jpg"} for n in range(5000)],
        "videos": [{"id": 1, "name": "a.mp4"}],
    }
    path.write_text(json.dumps(data))


def write_mot(path: Path, rows: list[dict[str, Any]]) -> None:
    lines = [f"{r['frame'] + 1},{r['track']},{r['left']},{r['top']},{r['wide']},{r['high']},1,1,1" for r in rows]
    path.write_text("\n".join(lines) + "\n")


def write_ava(path: Path, rows: list[dict[str, Any]]) -> None:
    lines = [
        f"a,{r['frame'] / 25},{r['left']},{r['top']},{r['left'] + r['wide'] if isinstance(r['left'], float) else 1},"
        f"{r['top'] + r['high']},{['NOT_SPEAKING', 'SPEAKING_AUDIBLE'][r['frame'] % 2]},a:{r['track']}"
        for r in rows
    ]
    path.write_text("\r\n".join(lines))


WRITERS = {
    "cvat": write_cvat,
    "label-studio": write_label_studio,
    "coco": write_coco,
    "mot": write_mot,
    "ava": write_ava,
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_thousand_records_add_up(tmp_path: Path, name: str) -> None:
    rows = thousand(random.Random(7))
    path = tmp_path / "a.txt"
    WRITERS[name](path, rows)
    records = read(name, path)
    kinds = Counter(type(r).__name__ for r in records)
    assert kinds["BoxRecord"] + kinds["LeftOut"] == 1000
    assert kinds["LeftOut"] == 100
    assert len({r.where for r in records if isinstance(r, BoxRecord | LeftOut)}) >= (1000 if name != "cvat" else 900)
    found = [r for r in records if isinstance(r, BoxRecord)]
    assert len({r.name for r in found}) == 20
    assert {r.clip for r in found} == {"a" if name in ("mot", "ava") else "a.mp4"}
    good = [r for r in rows if isinstance(r["left"], float)]
    frames = Counter(r["frame"] for r in good)
    if name == "label-studio":  # the player shows frame 1 from the beginning, frame 2 at 2 / 25 s
        frames = Counter((f + 1 if f else 0) for f in frames.elements())
    times = Counter(b.frame if b.frame is not None else round((b.time or 0) * 25) for b in found)
    assert times == frames
    scale = {"label-studio": 100}.get(name, 1)
    assert sum(b.xyxy[0] for b in found) * scale == pytest.approx(sum(r["left"] for r in good))
    assert sum(b.xyxy[3] - b.xyxy[1] for b in found) * scale == pytest.approx(sum(r["high"] for r in good))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("cvat", "<html></html>", "begins with <html>, and <annotations> was expected"),
        ("cvat", "hello", "not valid XML"),
        ("cvat", "<annotations><track>", "not valid XML"),
        ("label-studio", '[{"annotations": [', "not valid JSON"),
        ("coco", "{", "not valid JSON"),
        ("coco", '{"images": []}', "is no object with annotations and videos or images"),
        ("mot", "1 2 3 4 5 6\n", "is not frame, id, left, top"),
        ("ava", "1,2,3\n", "is not video_id, frame_timestamp"),
        ("talknet", "hello", "not a pickle of numbers"),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    path = tmp_path / "a.x"
    path.write_text(text)
    with pytest.raises(SceneError) as caught:
        read(name, path)
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
