"""The model card: what the checkpoint is, how it was made, how well it answers, and its limits."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import jinja2
import torch
import transformers

from attnscope.demo.questions import TASKS
from training.recipes import Recipe

Marks = Mapping[tuple[str, int], tuple[int, int]]  # (task, people): right answers, questions


def write_card(folder: Path, recipe: Recipe, marks: Marks, curve: Sequence[Mapping[str, str]]) -> None:
    """Write README.md and training.json into a checkpoint folder.

    Args:
        folder: The checkpoint.
        recipe: What it was made by.
        marks: Right answers and questions by (task, people).
        curve: Rows of the training curve; about a dozen a stage are shown.
    """
    from safetensors import safe_open

    with safe_open(folder / "model.safetensors", "pt") as file:
        parameters = sum(file.get_tensor(name).numel() for name in file.keys())  # noqa: SIM118
    facts = {
        "recipe": asdict(recipe),
        "commit": commit(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "parameters": parameters,
        "minutes": round(float(curve[-1]["seconds"]) / 60),
        "marks": [[task, people, *counts] for (task, people), counts in sorted(marks.items())],
    }
    (folder / "training.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    template = (Path(__file__).parent / "card.md").read_text(encoding="utf-8")
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, autoescape=False)
    text = environment.from_string(template).render(
        **facts | {"recipe": recipe, "marks": marks, "curve": _thin(curve), "tasks": TASKS, "units": 96},
        columns=sorted({people for _, people in marks}),
    )
    (folder / "README.md").write_text(text, encoding="utf-8")


def _thin(curve: Sequence[Mapping[str, str]]) -> list[Mapping[str, str]]:
    out: list[Mapping[str, str]] = []
    for stage in dict.fromkeys(row["stage"] for row in curve):
        rows = [row for row in curve if row["stage"] == stage]
        step = max(1, len(rows) // 10)
        out += [row for number, row in enumerate(rows, 1) if number % step == 0 or number in (1, len(rows))]
    return out


def commit() -> str:
    """The commit of the code, marked if files differ from it; "unknown" outside a clone."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        output = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return output.stdout.strip()
