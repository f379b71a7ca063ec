"""The questions of this folder for lmms-eval: what is shown, what is asked, and whether an answer is right.

`attnscope export lmms-eval-task` wrote this folder. It needs Python alone, and Pillow for images.
"""

import unicodedata
from pathlib import Path
from typing import Any

_HERE = Path(__file__).resolve().parent


def doc_to_visual(doc: dict[str, Any]) -> list[Any]:
    """The video's path, or the image.

    Raises:
        FileNotFoundError: If it is not there.
    """
    path = _HERE / doc["video"]
    if not path.exists():
        raise FileNotFoundError(f"{doc['id']}: there is no {path}; export the task again where its videos are")
    if doc["kind"] != "image":
        return [str(path)]
    from PIL import Image

    with Image.open(path) as image:
        return [image.convert("RGB")]


def doc_to_text(doc: dict[str, Any], lmms_eval_specific_kwargs: dict[str, Any] | None = None) -> str:
    """The transcript, the question and its options, as attnscope writes them."""
    around = lmms_eval_specific_kwargs or {}
    return f"{around.get('pre_prompt', '')}{doc['prompt']}{around.get('post_prompt', '')}"


def doc_to_target(doc: dict[str, Any]) -> str:
    """The option that is right."""
    return str(doc["answer"])


def process_results(doc: dict[str, Any], results: list[str]) -> dict[str, dict[str, Any]]:
    """Whether the answer is the right option; any text that is no option is wrong, as in `attnscope eval`.

    An answer is an option if they are equal but for white space around and between words, letter case, and the ways in
    which Unicode writes one character. An option of the same letter case goes first.
    """
    said = _plain(results[0])
    options = list(doc["options"])
    exact = next((option for option in options if _plain(option) == said), None)
    alike = next((option for option in options if _plain(option).casefold() == said.casefold()), None)
    chosen = alike if exact is None else exact
    score = float(chosen == doc["answer"])
    return {"accuracy": {"score": score, "id": doc["id"], "clip": doc["video"], "prediction": chosen}}


def mean_score(results: list[dict[str, Any]]) -> float:
    """The share of right answers."""
    return sum(float(result["score"]) for result in results) / len(results)


def _plain(text: str) -> str:
    return unicodedata.normalize("NFC", " ".join(text.split()))
