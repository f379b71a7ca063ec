"""The models that come with the package: ordinary checkpoints, known by name."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import attnscope
from attnscope.demo import walkthrough
from attnscope.demo.questions import TASKS
from attnscope.demo.scenes import write_scenes
from attnscope.errors import ModelError
from attnscope.evaluate import evaluate
from attnscope.model.folder import EMBEDDED, embedded_folder
from attnscope.scene import Scene, read_scene_frames
from training.recipes import RECIPES

LIMIT = 8 * 10**6  # bytes of a folder


def folder_of(name: str) -> Path:
    folder = embedded_folder(name)
    assert folder is not None
    return folder


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Scene]:
    """One question of each task about one clip of three people, and one of things."""
    folder = tmp_path_factory.mktemp("asked")
    write_scenes(folder, count=2, seed=1, people=(3, 0))
    found = [Scene.read(path) for path in sorted((folder / "scenes").iterdir())]
    return {str(scene.fields["task"]): scene for scene in found}


def written(scene: Scene) -> str:
    """The user's text, by hand."""
    turns = [f"{turn.speaker}: {turn.text}" if turn.speaker else turn.text for turn in scene.transcript]
    said = "\n".join(turns) + "\n\n" if turns else ""
    options = "".join(f"\n- {option}" for option in scene.options)
    return f"{said}{scene.question}\nOptions:{options}\nAnswer with one of the options."


def by_transformers(folder: Path, scene: Scene) -> dict[str, float]:
    """Log-probability of each option after the prompt, by transformers alone."""
    from transformers import AutoModelForImageTextToText, AutoProcessor
    from transformers.video_utils import VideoMetadata

    model, processor = (auto.from_pretrained(folder) for auto in (AutoModelForImageTextToText, AutoProcessor))
    content = [{"type": "video"}, {"type": "text", "text": written(scene)}]
    messages = [{"role": "user", "content": content}]
    images = read_scene_frames(scene).images
    inputs = processor(
        text=[processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)],
        videos=[images],
        video_metadata=[VideoMetadata(total_num_frames=8, fps=2.0, duration=4.0, frames_indices=list(range(8)))],
        do_sample_frames=False,
        return_mm_token_type_ids=True,
        return_tensors="pt",
    )
    with torch.inference_mode():
        logprobs = model(**inputs).logits[0, -1].float().log_softmax(-1)
    ids = {option: processor.tokenizer(option)["input_ids"] for option in scene.options}
    assert all(len(found) == 1 for found in ids.values())
    return {option: float(logprobs[found[0]]) for option, found in ids.items()}


@pytest.mark.parametrize("task", ["count", "thing"])
@pytest.mark.parametrize("name", EMBEDDED)
def test_plain_transformers_gives_the_same_probabilities(
    name: str, task: str, scenes: dict[str, Scene], tmp_path: Path
) -> None:
    model = attnscope.load(name, device="cpu")
    plan = attnscope.Plan(masses=False, maps=False)
    with attnscope.capture(model, scenes[task], tmp_path / "run.h5", plan=plan, max_new_tokens=1) as cap:
        found = {option["text"]: option["logprob"] for option in cap.answer["options"]}
        assert cap.model["id"] == name
    wanted = by_transformers(folder_of(name), scenes[task])
    assert found == pytest.approx(wanted, abs=1e-4)
    assert np.ptp(list(wanted.values())) > 0.01


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fixed sample of test scenes: 12 clips each of things alone, of one person, of three and of six."""
    return write_scenes(tmp_path_factory.mktemp("sample") / "scenes", count=48, seed=11, people=(0, 1, 3, 6))


@pytest.mark.slow
@pytest.mark.parametrize("name", EMBEDDED)
def test_accuracy_on_a_fixed_sample(name: str, sample: Path, tmp_path: Path) -> None:
    found = evaluate(attnscope.load(name, device="cpu"), sample, tmp_path / "out").samples
    right = found.groupby("fields.people")["plain.correct"].mean()
    assert found.groupby("fields.people").size().min() >= 24
    assert right[0] >= 0.95 and right[1] >= 0.95 and right[3] >= 0.9
    # more people than it was trained on is where one fails and the other does not
    asked = found["fields.task"].isin(["pointing", "count", "speaks"]) & (found["fields.people"] == 6)
    crowd = found[asked]["plain.correct"].mean()
    assert crowd <= 0.5 if name == "roundtable" else crowd >= 0.85


def test_the_example_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", readme, flags=re.DOTALL)
    monkeypatch.chdir(tmp_path)
    write_scenes("demo-out/scenes", count=1, seed=walkthrough.SEED, people=(walkthrough.PEOPLE,))  # as `make demo` does
    code, answers = re.subn(
        r"^    (block\.answer\(\))  # (\".+\");.*$", r"    answer, said = \1, \2", code, flags=re.MULTILINE
    )
    names: dict[str, Any] = {}
    exec(compile(code, "README.md", "exec"), names)
    assert (tmp_path / "run.h5").exists()
    assert answers == 1 and names["answer"] == names["said"]


@pytest.mark.parametrize("name", EMBEDDED)
def test_a_name_is_enough(name: str) -> None:
    model = attnscope.load(name, device="cpu")
    assert (model.id, model.revision, model.family) == (name, None, "qwen2_5_vl")
    assert model.model.dtype == torch.float32
    assert model.describe()["id"] == model.load_args["model"] == name


@pytest.mark.parametrize("name", EMBEDDED)
def test_the_folder_is_small_flat_and_has_its_card(name: str) -> None:
    files = list(folder_of(name).rglob("*"))
    assert all(path.is_file() and path.parent == folder_of(name) for path in files)  # else it is not installed
    assert sum(path.stat().st_size for path in files) <= LIMIT
    facts = json.loads((folder_of(name) / "training.json").read_text(encoding="utf-8"))
    assert facts["recipe"] == json.loads(json.dumps(asdict(RECIPES[name])))
    card = (folder_of(name) / "README.md").read_text(encoding="utf-8")
    assert f"# {name}\n" in card and all(f"| {task} |" in card for task in TASKS)


@pytest.mark.parametrize("name", ["roundtables", "./roundtable", "models/roundtable", "Roundtable", ""])
def test_other_names_are_not_embedded(name: str) -> None:
    assert embedded_folder(name) is None


def test_a_folder_of_ones_own_is_told_by_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=r"^\./roundtable: no such model folder$"):
        attnscope.load("./roundtable")
    (tmp_path / "roundtable").mkdir()
    with pytest.raises(ModelError, match=r"roundtable: no config\.json"):
        attnscope.load("./roundtable")
