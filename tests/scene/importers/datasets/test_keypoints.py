"""Key points are read as NumPy reads them, and a file that would run code is refused."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attnscope.errors import SceneError
from attnscope.scene.importers.datasets.keypoints import people, read_keypoints


class Harm:
    """A pickle that makes a folder when it is read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.folder),)


def frames(*people: Any) -> Any:
    array = np.empty(len(people), dtype=object)
    for number, person in enumerate(people):
        array[number] = person
    return array


@pytest.mark.parametrize(
    "points",
    [
        [1.5, 2.5, 0.9] * 17,
        np.arange(51, dtype=np.float32),
        [np.float64(3.5)] * 51,
        list(range(51)),
        tuple(range(51)),
    ],
    ids=["floats", "array", "scalars", "ints", "tuple"],
)
def test_as_numpy_reads_them(points: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", frames([{"idx": 0, "keypoints": points}], []), allow_pickle=True)
    ours, theirs = read_keypoints(tmp_path / "a.npy"), np.load(tmp_path / "a.npy", allow_pickle=True)
    assert len(ours) == len(theirs) == 2
    assert ours[1] == theirs[1] == []
    assert ours[0][0]["idx"] == 0
    read = ours[0][0]["keypoints"]
    assert np.array_equal(getattr(read, "values", read), np.asarray(theirs[0][0]["keypoints"]))
    assert list(people(ours[0], 0.5, 0.0)) == list(people(theirs[0], 0.5, 0.0))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_of_every_protocol(protocol: int, tmp_path: Path) -> None:
    """Older versions of NumPy wrote older pickles."""
    array = frames([{"idx": np.int64(2), "keypoints": np.ones(51)}])
    with (tmp_path / "a.npy").open("wb") as file:
        header = {"descr": "|O", "fortran_order": False, "shape": (1,)}
        np.lib.format.write_array_header_1_0(file, header)
        if protocol < 5:
            pickle.dump(array, file, protocol)
        else:
            pickle.dump(array, file, 4)
    assert read_keypoints(tmp_path / "a.npy")[0][0]["idx"] == 2


def test_code_is_not_run(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", frames([Harm(tmp_path / "harm")]), allow_pickle=True)
    with pytest.raises(SceneError, match="which is no array of numbers; it is not loaded"):
        read_keypoints(tmp_path / "a.npy")
    assert not (tmp_path / "harm").exists()
    np.load(tmp_path / "a.npy", allow_pickle=True)
    assert (tmp_path / "harm").exists(), "the file is harmless, and the test shows nothing"


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        (("numpy", "ndarray"), ((10**13,),)),
        (("numpy", "load"), ("a.npy",)),
        (("builtins", "eval"), ("1",)),
        (("numpy.core.multiarray", "scalar"), (1, b"")),
        (("_codecs", "encode"), ("a", "rot13")),
    ],
)
def test_known_names_cannot_be_used_for_other_things(name: Any, arguments: Any, tmp_path: Path) -> None:
    from io import BytesIO

    pickled = BytesIO()
    pickled.write(b"c" + "\n".join(name).encode() + b"\n")
    pickled.write(pickle.dumps(arguments, 0)[:-1] + b"R.")
    with (tmp_path / "a.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": (1,)})
        file.write(pickled.getvalue())
    with pytest.raises(SceneError) as problem:
        read_keypoints(tmp_path / "a.npy")
    assert str(problem.value).startswith(str(tmp_path / "a.npy"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is no .npy file"),
        (b"nothing of the kind", "is no .npy file"),
        (None, "is an array [3] of float64, and not one list of people for each frame"),
        ("cut", "not a pickle of numbers that can be read"),
    ],
)
def test_other_files(content: Any, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    if content is None:
        np.save(path, np.ones(3))
    elif content == "cut":
        np.save(path, frames([{"idx": 0, "keypoints": [1.0] * 51}]), allow_pickle=True)
        path.write_bytes(path.read_bytes()[:-20])
    else:
        path.write_bytes(content)
    with pytest.raises(SceneError) as problem:
        read_keypoints(path)
    assert message in str(problem.value)


def test_a_box_covers_the_sure_points_and_a_margin() -> None:
    """From 10 to 30 and from 20 to 60, and a tenth of these extents on each side."""
    points = [10, 20, 0.9, 30, 60, 0.5, 500, 500, 0.2, float("nan"), 3, 0.9]
    assert list(people([{"idx": 4, "keypoints": points}], 0.5, 0.1)) == [(4, (8.0, 16.0, 32.0, 64.0))]
    assert list(people([{"idx": 4, "keypoints": points}], 0.6, 0.1)) == []
