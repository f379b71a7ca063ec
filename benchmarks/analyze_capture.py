"""A capture as large as a real model's: 28 layers x 28 heads, 8192 tokens. The weights are random, the rest is real.

`python -m benchmarks.analyze_capture run.h5`: five people move about a room and speak in turn. A Qwen2.5-VL of 28
layers with heads of 16 channels reads the clip and the transcript, and `attnscope` records it as it records any model.
What random weights lack is planted in the logits: an attention sink, and in a fifth of the heads a preference of each
speaker's words for that speaker's pixels.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import attnscope
from attnscope.attention import AttentionCall, add_bias, tapped
from attnscope.capture.run import capture_prompts
from attnscope.demo.film import write_film
from attnscope.model import LoadedModel, Prompt, build_prompt
from attnscope.scene import Sampling, Scene, read_scene_frames
from tests.support.checkpoint import build_tiny_qwen2_5_vl
from training.checkpoint import init_weights

LAYERS, HEADS, TOKENS, GENERATED = 28, 28, 8192, 16
NAMES = ("Ada", "Ben", "Cleo", "Dan", "Eve")
TURNS, FRAMES, SECONDS, FPS = 14, 44, 22, 4
SIZE = (640, 360)  # 23 x 13 visual tokens for every two frames
READINGS = "masses,maps,stats,hidden"
SINK, SOCIAL = 6.0, 1.5  # added to logits


def build(path: Path, folder: Path) -> None:
    """Write the model and the clip into a folder, and the capture to `path`."""
    loaded = _model(folder / "model")
    scene = _scene(folder)
    frames = read_scene_frames(scene, Sampling(frames=FRAMES))
    prompt = build_prompt(loaded, scene, frames)
    more = _words(TOKENS - len(prompt.tokens))
    last = scene.transcript[-1]
    turns = [*scene.transcript[:-1], last.model_copy(update={"text": f"{last.text}{more}"})]
    prompt = build_prompt(loaded, scene.model_copy(update={"transcript": turns}), frames)
    plan = attnscope.Plan.parse(READINGS)
    with tapped(loaded.model, edits=[Planted(prompt)]):
        # without the self-check, which would run the model once more
        capture_prompts(loaded, [prompt], [path], plan=plan, max_new_tokens=GENERATED + 1, verify=False)[0].close()


class Planted:
    """Logits that random weights do not have: of the first token, and of words on the cells of who says them."""

    def __init__(self, prompt: Prompt) -> None:
        rng = np.random.default_rng(0)
        tokens = prompt.tokens
        self.says = np.stack([(tokens["speaker"] == name).to_numpy() for name in NAMES], 1)  # [N, S]
        covered = [tokens[f"covered:{name}"].to_numpy() >= 0.5 for name in NAMES]
        self.keys = np.stack([*covered, np.arange(len(tokens)) == 0], 1)  # [N, S + 1]
        social = rng.random((LAYERS, HEADS)) < 0.2
        self.social = np.where(social, rng.uniform(0.2, SOCIAL, social.shape), 0.0)
        self.sink = rng.uniform(0, SINK, social.shape)

    def __call__(self, call: AttentionCall) -> AttentionCall:
        """Add them to the prompt's; the tokens of the answer are left as they are."""
        if call.query.shape[2] != len(self.keys):
            return call
        towards = self.social[call.layer][:, None, None] * self.says  # [H, N, S]
        sink = np.broadcast_to(self.sink[call.layer][:, None, None], (*towards.shape[:2], 1))
        table = torch.from_numpy(np.concatenate([towards, sink], -1).astype(np.float32))
        return add_bias(call, table[None], torch.from_numpy(self.keys.astype(np.float32))[None])


def _model(folder: Path) -> LoadedModel:
    from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor

    tiny = build_tiny_qwen2_5_vl(folder / "tiny")
    config = AutoConfig.from_pretrained(tiny)
    sizes = {"hidden_size": 16 * HEADS, "intermediate_size": 512, "num_hidden_layers": LAYERS}
    for name, value in (sizes | {"num_attention_heads": HEADS, "num_key_value_heads": 4}).items():
        setattr(config.text_config, name, value)
    config.text_config.layer_types = ["full_attention"] * LAYERS
    config.vision_config.out_hidden_size = 16 * HEADS
    model = AutoModelForImageTextToText.from_config(config)
    init_weights(model, seed=0, query_key_gain=1.5)
    model.generation_config.eos_token_id = None  # the answer has its full length
    model.save_pretrained(folder)
    AutoProcessor.from_pretrained(tiny).save_pretrained(folder)
    loaded = attnscope.load(folder)
    loaded.processor.video_processor.size = {"shortest_edge": 4 * 784, "longest_edge": 10**9}
    return loaded


def _words(tokens: int) -> str:
    """So many tokens of text."""
    return " you" * tokens


def _scene(folder: Path) -> Scene:
    """The clip, and who is where and says what."""
    rng = np.random.default_rng(1)
    times = np.arange(0, SECONDS + 1, 2.0)
    width = SIZE[0]
    seats = (np.arange(len(NAMES)) + 0.5) / len(NAMES) * width
    centres = seats + rng.normal(0, 25, (len(times), len(NAMES)))  # [K, S]
    half, top, bottom = 55.0, 90.0, 330.0
    images = [_picture(np.array([np.interp(n / FPS, times, c) for c in centres.T])) for n in range(SECONDS * FPS)]
    write_film(folder / "clip.mp4", images, FPS)
    speakers = {
        name: {
            "segments": [
                {
                    "start": 0.0,
                    "end": float(SECONDS),
                    "keyframes": [
                        {"t": float(t), "xyxy": [max(0.0, x - half), top, min(width - 1.0, x + half), bottom]}
                        for t, x in zip(times, centre, strict=True)
                    ],
                }
            ]
        }
        for name, centre in zip(NAMES, centres.T, strict=True)
    }
    step = SECONDS / TURNS
    transcript = [
        {
            "speaker": NAMES[turn % len(NAMES)],
            "start": round(turn * step, 3),
            "end": round((turn + 0.9) * step, 3),
            "text": f"Yes{_words(60)}",
        }
        for turn in range(TURNS)
    ]
    document: dict[str, Any] = {"video": "clip.mp4", "speakers": speakers, "transcript": transcript}
    document |= {"question": "Who did Ben look at?", "options": list(NAMES), "answer": "Cleo"}
    path = folder / "scene.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return Scene.read(path)


def _picture(centres: NDArray[np.float64]) -> NDArray[np.uint8]:
    """One frame [H, W, 3]: a person is a block of colour before a wall."""
    width, height = SIZE
    image = np.empty((height, width, 3), np.uint8)
    image[:] = np.linspace(200, 90, height, dtype=np.uint8)[:, None, None]
    for number, x in enumerate(centres):
        image[90:330, max(0, int(x) - 55) : int(x) + 55] = np.array([40 * number + 20, 150 - 20 * number, 120])
    return image


def main() -> None:
    """Write the capture."""
    import tempfile

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("capture", type=Path)
    with tempfile.TemporaryDirectory() as folder:
        build(parser.parse_args().capture, Path(folder))


if __name__ == "__main__":
    main()
