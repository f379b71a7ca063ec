"""What the pages of these tests show: the embedded model on one drawn scene, and everything the commands write of it.

Each is made when first asked for, once for all processes of a test run.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from typer.testing import CliRunner

import attnscope
from attnscope.correct import Correction, rerun
from attnscope.correct.controls import control
from attnscope.demo.scenes import write_scenes
from attnscope.demo.walkthrough import CONTROL, CORRECTION, MODEL, PEOPLE, SEED, TASK
from attnscope.model import LoadedModel
from attnscope_cli.main import app
from tests.browser import hostile


def command(*words: object) -> None:
    """Run a command line in this process; it has to succeed."""
    done = CliRunner().invoke(app, [*map(str, words), "--quiet"], prog_name="attnscope")
    assert done.exit_code == 0, f"attnscope {' '.join(map(str, words))}:\n{done.stderr}"


def _clear(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


class Made:
    """Captures and pages by name, in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / ".made").mkdir(parents=True, exist_ok=True)

    def once(self, name: str, make: Callable[[Path], object]) -> Path:
        """The file or folder `name`, which `make` writes if no process has made it yet."""
        path = self.folder / name
        with (self.folder / ".made" / name).open("a+") as done:
            fcntl.flock(done, fcntl.LOCK_EX)
            if not done.seek(0, os.SEEK_END):  # its size now: another process may have written while this one waited
                _clear(path)  # what a try that was cut has left
                make(path)
                done.write("made")
        return path

    @cached_property
    def model(self) -> LoadedModel:
        return attnscope.load(MODEL)

    def scene(self) -> Path:
        """The scene of the demo: five people, and a question about one of them."""
        scenes = self.once("scenes", lambda path: write_scenes(path, count=1, seed=SEED, people=(PEOPLE,)))
        (path,) = (scenes / "scenes").glob(f"*-{TASK}.json")
        return path

    def before(self) -> Path:
        """A plain capture with queries and keys."""
        scene = attnscope.Scene.read(self.scene())
        plan = attnscope.Plan(qk=True)
        return self.once(
            "before.h5",
            lambda path: attnscope.capture(self.model, scene, path, plan=plan, max_new_tokens=4).close(),
        )

    def after(self) -> Path:
        return self._corrected("after.h5", [CORRECTION])

    def control(self) -> Path:
        return self._corrected("control.h5", control([CORRECTION], CONTROL))

    def _corrected(self, name: str, corrections: list[Correction]) -> Path:
        before = self.before()
        return self.once(name, lambda path: rerun(before, corrections, path, model=self.model).close())

    def _page(self, folder: Path) -> Path:
        """The one page in a folder."""
        (page,) = folder.glob("*.html")
        return page

    def hostile(self) -> Path:
        """A capture of a scene whose every field holds hostile text."""
        scenes = self.once("hostile", lambda path: hostile.write(path, self.scene()))
        (scene,) = scenes.glob("*.json")
        shown, plan = attnscope.Scene.read(scene), attnscope.Plan(qk=True)
        return self.once(
            "<img src=x onerror=alert(1)>.h5",
            lambda path: attnscope.capture(
                self.model, shown, path, plan=plan, sampling=attnscope.Sampling(frames=2), max_new_tokens=2
            ).close(),
        )

    def hostile_corrected(self) -> Path:
        """The same under a correction."""
        before = self.hostile()
        return self.once(
            "<b onclick=alert(1)>.h5", lambda path: rerun(before, [CORRECTION], path, model=self.model).close()
        )

    def analysis(self) -> Path:
        """The page of one capture."""
        folder = self.once("analysis", lambda path: command("analyze", self.before(), "-o", path))
        return self._page(folder)

    def comparison(self) -> Path:
        """The page of two captures, and a control."""
        captures = (self.before(), self.after(), "--control", self.control())
        folder = self.once("comparison", lambda path: command("compare", *captures, "-o", path))
        return self._page(folder)

    def preview(self) -> Path:
        """The page of a scene."""
        folder = self.once("preview", lambda path: command("preview", self.scene(), "--model", MODEL, "-o", path))
        return self._page(folder)

    def sweep(self) -> Path:
        """The page of doses of a correction."""
        heads = ("--heads", "2.0,2.1,2.2,2.3", "--strength", "constant", "--rows", "answer", "--toward", "asked")
        doses = ("--method", "social-bias", *heads, "--sweep", "alpha=0.5,4,8")
        return self._page(self.once("sweep", lambda path: command("correct", self.before(), *doses, "-o", path)))

    def what_if(self) -> Path:
        """The page of a correction on stored queries and keys."""
        folder = self.once("what-if", lambda path: command("correct", self.before(), "--what-if", "-o", path))
        return self._page(folder)

    def heads(self) -> Path:
        """The page of ranked heads."""
        folder = self.once("heads", lambda path: command("heads", self.before(), "--by", "answer-lift", "-o", path))
        return self._page(folder)

    def evaluation(self) -> Path:
        """The page of a few questions, plain, corrected and under a control of each kind."""
        few = {"count": 2, "seed": 1, "people": (4,), "tasks": ("target", "pronoun", "pointing", "cup")}
        scenes = self.once("questions", lambda path: write_scenes(path, **few))  # type: ignore[arg-type]
        how = ("--method", "social-bias", "--rows", "answer", "--strength", "constant", "--alpha", 8, "--controls")
        asked = (scenes / "manifest.jsonl", "--model", MODEL, "--heads", "2.0,2.1,2.2,2.3", *how)
        return self._page(self.once("evaluation", lambda path: command("eval", *asked, "-o", path)))

    def index(self) -> Path:
        """The page of a folder of reports."""
        kinds = {"analysis": self.analysis(), "comparison": self.comparison(), "preview": self.preview()}

        def make(path: Path) -> None:
            for name, page in kinds.items():
                shutil.copytree(page.parent, path / name)
            command("index", path)

        return self.once("reports", make) / "index.html"

    def hostile_analysis(self) -> Path:
        return self._page(self.once("hostile-analysis", lambda path: command("analyze", self.hostile(), "-o", path)))

    def hostile_comparison(self) -> Path:
        captures = (self.hostile(), self.hostile_corrected())
        return self._page(self.once("hostile-comparison", lambda path: command("compare", *captures, "-o", path)))

    def hostile_preview(self) -> Path:
        self.hostile()
        (scene,) = (self.folder / "hostile").glob("*.json")
        folder = self.once("hostile-preview", lambda path: command("preview", scene, "--model", MODEL, "-o", path))
        return self._page(folder)
