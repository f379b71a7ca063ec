"""What a reader is told when the file or the request is wrong: one line that names it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from attnscope.capture.read.capture import Capture
from attnscope.capture.read.capture import open as open_capture
from attnscope.errors import FormatError, RequestError
from tests.capture.by_hand import build, write_json

MUST = (
    *(
        "model",
        "scene",
        "run",
        "prompt",
        "layers",
        "tokens",
        "frames",
        "frames/jpeg",
        "key_groups",
        "query_groups",
    ),
    *("key_groups/member", "mask", "answer", "check"),
)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("original") / "run.h5"
    build(path)
    return path


@pytest.fixture
def path(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(original, tmp_path / "run.h5"))


def message(error: pytest.ExceptionInfo[BaseException]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


def test_files_that_are_no_captures(tmp_path: Path) -> None:
    (tmp_path / "text.h5").write_text("not a capture, by far\n" * 99)
    (tmp_path / "empty.h5").touch()
    (tmp_path / "folder.h5").mkdir()
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    with h5py.File(tmp_path / "anndata.h5", "w") as file:
        file.attrs["encoding-type"] = "anndata"
    build(tmp_path / "unfinished.h5.part")
    for name, kind, what in (
        ("none.h5", RequestError, "no such file"),
        ("folder.h5", RequestError, "a folder, not a capture file"),
        ("text.h5", FormatError, "not an HDF5 file, so not a capture"),
        ("empty.h5", FormatError, "the file is empty"),
        ("other.h5", FormatError, "an HDF5 file, but not a capture (no encoding-type 'attnscope-capture')"),
        ("anndata.h5", FormatError, "an HDF5 file, but not a capture (no encoding-type 'attnscope-capture')"),
        ("unfinished.h5.part", FormatError, "an unfinished capture (.part); capture again"),
    ):
        with pytest.raises(kind) as error:
            open_capture(tmp_path / name)
        assert message(error) == f"{tmp_path / name}: {what}"


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9, 0.999])
def test_truncated_files(path: Path, share: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(FormatError, match=r"run\.h5: the HDF5 file is damaged \(.*truncated") as error:
        open_capture(path)
    message(error)


def test_no_permission(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(h5py, "File", refuse)  # root reads whatever chmod says
    with pytest.raises(RequestError, match=r"run\.h5: no permission to read it"):
        open_capture(path)


def test_incomplete_and_unknown_versions(path: Path) -> None:
    def attribute(node: str, name: str, value: object) -> str:
        with h5py.File(path, "r+") as file:
            old = file[node].attrs[name]
            file[node].attrs[name] = value
        with pytest.raises(FormatError) as error:
            open_capture(path)
        with h5py.File(path, "r+") as file:
            file[node].attrs[name] = old
        return message(error).removeprefix(f"{path}: ")

    assert attribute("/", "complete", False) == "/: complete is not true: the capture was cut short; capture again"
    assert attribute("/", "complete", "yes") == "/: complete is not true: the capture was cut short; capture again"
    assert attribute("/", "encoding-version", "2.0") == "/: encoding-version is '2.0'; this attnscope reads 1.x"
    wrong = attribute("/tokens", "encoding-version", "7.1")
    assert wrong == "/tokens: encoding-version is '7.1'; this attnscope reads 1.x"
    wrong = attribute("/mask", "encoding-type", "json")
    assert wrong == "/mask: encoding-type is 'json', not 'mask'"
    with h5py.File(path, "r+") as file:
        file.attrs["encoding-version"] = "1.9"  # a later minor version adds, it does not change
        file.create_group("invented_later")
        file["masses"].attrs["invented"] = 3
    open_capture(path).close()
    with h5py.File(path, "r+") as file:
        del file.attrs["complete"]
    with pytest.raises(FormatError, match="/: attribute 'complete' is missing"):
        open_capture(path)


@pytest.mark.parametrize("node", MUST)
def test_missing_nodes(path: Path, node: str) -> None:
    with h5py.File(path, "r+") as file:
        del file[node]
    with pytest.raises(FormatError) as error:
        open_capture(path)
    assert message(error) == f"{path}: /{node}: is missing"


READS: dict[str, Callable[[Capture], object]] = {
    "layer 7 is not in the capture; it has layers 0-3": lambda c: c.attention(7),
    "layer -1 is not in the capture; it has layers 0-3": lambda c: c.masses(-1),
    "layer 9 is not in the capture; it has layers 0-3 ": lambda c: c.maps([0, 9]),
    "layer 4 is not in the capture; it has layers 0-3": lambda c: c.allowed(4),
    "layer [0, 1] is not one layer's number": lambda c: c.attention([0, 1]),  # type: ignore[arg-type]
    "layer 5 is not in the capture; it has layers 0-3": lambda c: c.qk(5),
    "head 4 is not in the capture; it has heads 0-3": lambda c: c.attention(0, 4),
    "head -1 is not in the capture; it has heads 0-3": lambda c: c.stat("lse", 0, -1),
    "no head is chosen; it has heads 0-3": lambda c: c.flow(0, []),
    "head 0.5 is not a whole number or a list of them": lambda c: c.masses(0, 0.5),  # type: ignore[arg-type]
    "query 62 is out of range; positions are 0-61": lambda c: c.attention(0, 0, 62),
    "query -1 is out of range; positions are 0-61": lambda c: c.allowed(0, [3, -1]),
    "key 99 is out of range; positions are 0-61": lambda c: c.attention(0, 0, 0, [0, 99]),
    "a key mask of shape (3,), not (62,)": lambda c: c.attention(0, 0, 0, np.ones(3, bool)),
    "no query group 'turn:9'; the groups are turn:0, turn:1, turn:2, speaker:Ann, speaker:Ben, question, "
    "answer_position, generated:0, generated:1": lambda c: c.maps(0, 0, "turn:9"),
    "frame 4 is out of range; frames are 0-3": lambda c: c.frames.image(4),
}


@pytest.mark.parametrize("what", READS)
def test_requests_out_of_range(original: Path, what: str) -> None:
    with open_capture(original) as cap, pytest.raises(RequestError) as error:
        READS[what](cap)
    assert message(error) == f"{original}: {what.strip()}"


def test_ranges_of_layers_are_told_with_their_gaps(tmp_path: Path) -> None:
    build(tmp_path / "run.h5", numbers=[2, 3, 5, 9])
    with (
        open_capture(tmp_path / "run.h5") as cap,
        pytest.raises(RequestError, match="it has layers 2-3, 5, 9"),
    ):
        cap.masses(4)


def test_unknown_names(original: Path) -> None:
    with open_capture(original) as cap:
        with pytest.raises(RequestError, match=r"'mass' is no reading; the readings are masses, maps, stats, qk, full"):
            cap.has("mass")
        with pytest.raises(
            RequestError, match=r"'mean' is no stat; the stats are entropy, lse, sink_mass, max, allowed"
        ):
            cap.stat("mean")


def test_readings_that_are_not_there(tmp_path: Path) -> None:
    build(tmp_path / "run.h5", readings=("maps",))
    with open_capture(tmp_path / "run.h5") as cap:
        for read, plan in (
            (lambda: cap.masses(), "'masses' reading; capture again with plan=\"masses,maps\""),
            (lambda: cap.flow(), "'masses' reading; capture again with plan=\"masses,maps\""),
            (lambda: cap.stat("max"), "'stats' reading; capture again with plan=\"maps,stats\""),
            (lambda: cap.attention(0), "'qk' reading; capture again with plan=\"maps,qk\""),
            (lambda: cap.qk(0), "'qk' reading; capture again with plan=\"maps,qk\""),
        ):
            with pytest.raises(FormatError) as error:
                read()
            assert message(error) == f"{tmp_path / 'run.h5'}: has no {plan}"


def test_a_reading_that_breaks_the_specification(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file["full"]
        file["qk/0"].attrs["logical-dtype"] = "bfloat16"
        del file["qk/1"].attrs["scale"]
        file["maps/rows"].attrs["dims"] = ["layer", "head", "key", "query_group"]
        del file["stats/lse"]
        file["key_groups/name"].attrs["sha256"] = "0" * 64
        del file["tokens/role"]
        del file["scene"]
        write_json(file, "scene", {"speakers": 3})
        del file["model"]
        write_json(file, "model", ["a list"])
    with open_capture(path) as cap:
        for read, what in (
            (lambda: cap.heads, "/model: is a JSON list, not an object"),
            (lambda: cap.scene, "/scene: field 'speakers' is 3: "),
            (lambda: cap.tokens, "/tokens/role: is missing"),
            (
                lambda: cap.key_groups,
                "/key_groups/name: sha256 does not match its content, the file is damaged",
            ),
        ):
            with pytest.raises(FormatError) as error:
                read()
            assert message(error).startswith(f"{path}: {what}")
        cap.__dict__["heads"] = 4
        for read, what in (
            (lambda: cap.attention(0), "/qk/0/q: holds float32, but logical-dtype is 'bfloat16'"),
            (lambda: cap.qk(1), "/qk/1: attribute 'scale' is missing"),
            (lambda: cap.stat("lse"), "/stats/lse: is missing"),
            (
                lambda: cap.maps(0),
                "/maps/rows: dims are ['layer', 'head', 'key', 'query_group'], "
                "not ['layer', 'head', 'query_group', 'key']",
            ),
        ):
            with pytest.raises(FormatError) as error:
                read()
            assert message(error) == f"{path}: {what}"


def tokens(cap: Capture) -> object:
    return cap.tokens


DOCUMENTS: dict[str, tuple[str, object, Callable[[Capture], object]]] = {
    "/correction: is a JSON dict, not a list": ("correction", {"method": "pai"}, lambda c: c.correction),
    "/correction: is a JSON str, not a list": ("correction", "pai", lambda c: c.correction),
    "/correction: field '0' is 3: ": ("correction", [3], lambda c: c.correction),
    "/correction: field '0.params' is [1]: ": ("correction", [{"params": [1]}], lambda c: c.correction),
    "/correction: field '0.active.0' is 'all': ": ("correction", [{"active": ["all"]}], lambda c: c.correction),
    "/answer: field 'tokens.0.logprob' is 'high': ": ("answer", {"tokens": [{"logprob": "high"}]}, lambda c: c.answer),
    "/answer: field 'options.0' is None: ": ("answer", {"options": [None]}, lambda c: c.answer),
    "/model: field 'heads' is 4.5: ": ("model", {"heads": 4.5}, lambda c: c.heads),
    "/model: field 'heads' is True: ": ("model", {"heads": True}, lambda c: c.heads),
    "/run: field 'plan' is ['masses']: ": ("run", {"plan": ["masses"]}, lambda c: c.run),
    "/check: field 'checks.0.value' is 'small': ": ("check", {"checks": [{"value": "small"}]}, lambda c: c.check),
    "/scene: field 'transcript.0' is 'Hello': ": ("scene", {"transcript": ["Hello"]}, lambda c: c.scene_dict),
    "/tokens/turn: 0 is out of range -1--1": ("scene", {"speakers": {"Ann": {}, "Ben": {}}, "transcript": []}, tokens),
    "/tokens: column 'covered:Zoe' is missing": ("scene", {"speakers": {"Zoe": {}}, "transcript": []}, tokens),
}


@pytest.mark.parametrize("what", DOCUMENTS)
def test_documents_that_do_not_fit(path: Path, what: str) -> None:
    """Whoever analyzes the file gets one line, whatever the document holds."""
    name, document, read = DOCUMENTS[what]
    with h5py.File(path, "r+") as file:
        if name in file:
            del file[name]
        write_json(file, name, document)
    with pytest.raises(FormatError) as error, open_capture(path) as cap:
        read(cap)
    assert message(error).startswith(f"{path}: {what}")
