"""The heads file: it comes back as it was, and what is wrong with one is told in one line."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from attnscope.errors import RequestError, RunError
from attnscope.metrics.choosing import headlist


def test_a_heads_file_comes_back_as_it_was(three, chosen, tmp_path):
    found = chosen
    found.write(tmp_path / "heads.json")
    again = headlist.read(tmp_path / "heads.json")
    assert again.model_dump() == found.model_dump()
    assert again.text == found.text and len(found.text.split(",")) == 3
    document = json.loads((tmp_path / "heads.json").read_text())
    assert (document["format"], document["version"], document["model"]["id"]) == ("attnscope heads", 1, "drawn/by-hand")
    assert (document["model"]["layers"], document["model"]["heads"]) == (8, 3)
    assert document["heads"][0]["effect"] is None
    assert document["captures"] == [str(cap.path) for cap in three]
    assert not list(tmp_path.glob("*.part"))


def test_a_heads_file_that_cannot_be_written(chosen, tmp_path, monkeypatch):
    with pytest.raises(RequestError, match=re.escape("heads.txt: the name of a heads file ends in .json")):
        chosen.write(tmp_path / "heads.txt")
    with pytest.raises(RequestError, match=re.escape(f"heads.json: there is no folder {tmp_path / 'gone'}")):
        chosen.write(tmp_path / "gone" / "heads.json")
    (tmp_path / "old.json").mkdir()
    with pytest.raises(RequestError, match=r"old.json: is a folder, not a heads file"):
        chosen.write(tmp_path / "old.json")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(RunError, match=r"heads.json: cannot be written: no space left on device"):
        chosen.write(tmp_path / "heads.json")
    assert [path.name for path in tmp_path.iterdir()] == ["old.json"]


BAD = {
    "model.config_sha256: is missing": lambda d: d["model"].pop("config_sha256"),
    "version: 2 is not one of 1": lambda d: d.update(version=2),
    'format: "tunes" is not one of': lambda d: d.update(format="tunes"),
    "heads: is empty": lambda d: d.update(heads=[]),
    'heads[1].layer: "7" is not a whole number': lambda d: d["heads"][1].update(layer="7"),
    "heads[0].layer: 8 is more than 7, the model's last": lambda d: d["heads"][0].update(layer=8),
    "heads[0].head: 3 is more than 2, the model's last": lambda d: d["heads"][0].update(head=3),
    "headz: is not a field of this format": lambda d: d.update(headz=[]),
    "heads[0].value: nan is not a finite number": lambda d: d["heads"][0].update(value=float("nan")),
}


@pytest.mark.parametrize("message", BAD)
def test_a_heads_file_that_is_wrong_is_one_line(chosen, tmp_path, message):
    document = chosen.model_dump()
    BAD[message](document)
    (tmp_path / "h.json").write_text(json.dumps(document))
    with pytest.raises(RequestError) as caught:
        headlist.read(tmp_path / "h.json")
    assert str(caught.value).startswith(f"{tmp_path / 'h.json'}: {message}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("id", "config", "same"),
    [
        ("drawn/by-hand", "0" * 64, True),
        ("drawn/by-hand", "1" * 64, False),
        ("drawn/otherwise", "0" * 64, False),
        ("/a/folder", "0" * 64, True),  # which may be a copy of it
        ("/a/folder", "1" * 64, False),
    ],
)
def test_heads_are_of_one_model(chosen, tmp_path, id, config, same):
    chosen.write(tmp_path / "h.json")
    found = headlist.read(tmp_path / "h.json")
    if same:
        found.check_model(id, config)
        return
    here = f"heads={tmp_path / 'h.json'}: model: the heads are of drawn/by-hand (config 000000000000), and the model is"
    with pytest.raises(RequestError, match=re.escape(f"{here} {id} (config {config[:12]})")):
        found.check_model(id, config)
