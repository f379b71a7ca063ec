"""The index of a folder of reports: what it lists, in which order, and what it leaves alone."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from attnscope.errors import RequestError
from attnscope.report import index
from tests.report.pages import assert_self_contained

HOSTILE = "<script>alert(1)</script>\u202e"


def put(folder: Path, document: Any, name: str = "report.json") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.html").write_text("a page")
    (folder / name).write_text(json.dumps(document))
    return folder


def about(**own: Any) -> dict[str, Any]:
    return {"title": "A title", "question": "Who?", "answers": [], "sentence": "It is so.", **own}


def test_reports_of_all_kinds_in_the_order_of_their_paths(tmp_path: Path) -> None:
    answers = [
        {"name": "before", "answer": "Ben", "verdict": "wrong"},
        {"name": "after", "answer": "Eva", "verdict": ""},
    ]
    put(tmp_path / "b", {"kind": "before-after", "about": about(answers=answers)})
    put(tmp_path / "a" / "deep", {"kind": "evaluation", "about": about(title="Accuracy")})
    put(tmp_path / "old", {"kind": "analysis"}, "summary.json")  # of an earlier version, which says less
    put(tmp_path / "no report", {"kind": "a cake"})
    put(tmp_path / ".hidden", {"kind": "analysis"})
    facts = index(tmp_path)
    assert [(one["path"], one["kind"], one["title"]) for one in facts["reports"]] == [
        ("a/deep/report.html", "evaluation", "Accuracy"),
        ("b/report.html", "before-after", "A title"),
        ("old/report.html", "analysis", "old"),
    ]
    assert facts["reports"][1]["answers"] == answers
    page = assert_self_contained(tmp_path / "index.html")
    assert [text for text in ("It is so.", "Who?", "Ben", "✗ wrong", "Eva") if text not in page.text] == []
    assert [a for a in page.anchors if not a.startswith("#")] == [one["path"] for one in facts["reports"]]


def test_an_index_is_written_anew_and_nothing_of_others_is(tmp_path: Path) -> None:
    put(tmp_path / "a", {"kind": "analysis", "about": about()})
    assert index(tmp_path) == index(tmp_path)
    (tmp_path / "index.html").write_text("mine")
    with pytest.raises(RequestError, match="attnscope did not write it"):
        index(tmp_path)
    assert (tmp_path / "index.html").read_text() == "mine"
    index(tmp_path, force=True)
    assert "A title" in (tmp_path / "index.html").read_text()


def test_hostile_names_and_texts_are_text(tmp_path: Path) -> None:
    strange = tmp_path / "javascript:alert(1)" / "#a?b%20"
    put(strange, {"kind": "analysis", "about": about(title=HOSTILE, question=HOSTILE, sentence=HOSTILE)})
    put(tmp_path / "wrong", {"kind": "analysis", "about": {"title": 3, "answers": ["x", {"answer": []}]}})
    index(tmp_path)
    source = (tmp_path / "index.html").read_text("utf-8")
    assert "<script" not in source and "\u202e" not in source
    assert 'href="javascript%3Aalert%281%29/%23a%3Fb%2520/report.html"' in source


@pytest.mark.parametrize("text", ["[]", "no JSON", '{"kind": 3}'])
def test_a_folder_without_reports_is_refused(tmp_path: Path, text: str) -> None:
    put(tmp_path / "a", {})
    (tmp_path / "a" / "report.json").write_text(text)
    with pytest.raises(RequestError, match="no report is below it"):
        index(tmp_path)
    assert not (tmp_path / "index.html").exists()
    with pytest.raises(RequestError, match="no such folder"):
        index(tmp_path / "nowhere")


def test_a_folder_whose_name_is_no_text(tmp_path: Path) -> None:
    strange = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    put(strange, {"kind": "analysis"})
    facts = index(tmp_path)
    assert facts["reports"][0]["path"] == "caf\ufffd/report.html"
    assert 'href="caf%E9/report.html"' in (tmp_path / "index.html").read_text("utf-8")
