"""`attnscope capture`: show a model a scene and record how it attends."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from attnscope_cli._choices import READINGS, list_of
from attnscope_cli._choices import model as complete_model
from attnscope_cli._common import (
    Force,
    Json,
    Quiet,
    Verify,
    option,
    output_file,
    print_json,
    print_lines,
    progress_bar,
    quiet_transformers,
    refuse_existing,
    setup_logging,
)

_SCENE, _FRAMES, _PLAN, _MODEL = "What is shown", "Which frames", "What is recorded", "How the model is loaded"

Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL", help="Checkpoint folder, name on the model hub, or roundtable.", autocompletion=complete_model
    ),
]
Video = Annotated[
    Path | None,
    typer.Argument(metavar="VIDEO", help="Video, image or folder of numbered images; --scene may name it instead."),
]
Out = Annotated[Path, option("Capture to write.", "FILE", None, "--out", "-o")]

SceneFile = Annotated[Path | None, option("Scene file: video, speakers' boxes, transcript, question.", "FILE", _SCENE)]
Transcript = Annotated[Path | None, option("What is said: .srt, .vtt or .json.", "FILE", _SCENE)]
Speakers = Annotated[Path | None, option("Where speakers are seen: .json with their boxes.", "FILE", _SCENE)]
MergeRolling = Annotated[
    bool,
    option(
        "Keep each line of rolling captions (YouTube's, for example) once.",
        None,
        _SCENE,
        "--merge-rolling/--no-merge-rolling",
    ),
]
Question = Annotated[str | None, option("What the model is asked.", "TEXT", _SCENE)]
Options = Annotated[list[str] | None, option("An answer to choose from; repeat it for each.", "TEXT", _SCENE)]
Answer = Annotated[str | None, option("The right answer; one of the options if there are any.", "TEXT", _SCENE)]
Template = Annotated[str, option("How a turn is written: {speaker}, {text}, {start}, {end}, {number}.", "TEXT", _SCENE)]

FrameCount = Annotated[int | None, option("Frames, spread evenly; 8 if --fps is not given.", "N", _FRAMES)]
Fps = Annotated[float | None, option("Frames a second, instead of --frames.", "RATE", _FRAMES)]
Start = Annotated[float | None, option("Begin here; the video's begin if not given.", "SECONDS", _FRAMES)]
End = Annotated[float | None, option("End here; the video's end if not given.", "SECONDS", _FRAMES)]

Readings = Annotated[
    str, option("Any of masses, maps, stats, qk, full, hidden, with commas.", "LIST", _PLAN, complete=list_of(READINGS))
]
Layers = Annotated[
    str | None, option("Numbers (0-9,20) or a range of depth (0.36-0.71); all if not given.", "LAYERS", _PLAN)
]
MaxSize = Annotated[str, option("Refuse a larger capture; before compression.", "SIZE", _PLAN)]
MapsDtype = Annotated[str, option("Precision of maps: float32 or float16.", "DTYPE", _PLAN)]
Coverage = Annotated[
    float, option("Fraction (0 to 1) of a visual token that a speaker's box must cover.", "FRACTION", _PLAN)
]
NewTokens = Annotated[int, option("Most tokens of the greedy answer.", "N")]

Dtype = Annotated[str, option("auto (the checkpoint's own), float32, bfloat16 or float16.", "DTYPE", _MODEL)]
Device = Annotated[str | None, option("cpu, cuda, cuda:1 or mps; cuda where there is one.", "DEVICE", _MODEL)]
DeviceMap = Annotated[str | None, option("auto spreads the model over all devices.", "MAP", _MODEL)]
Revision = Annotated[str | None, option("Branch, tag or commit on the model hub.", "REVISION", _MODEL)]
Attn = Annotated[
    str | None,
    option(
        "sdpa, flash_attention_2, flash_attention_3, flex_attention or eager; the model's own if not given.",
        "NAME",
        _MODEL,
    ),
]
Adapter = Annotated[str | None, option("Folder of a LoRA adapter (PEFT) to put into MODEL.", "FOLDER", _MODEL)]
Quantize = Annotated[str | None, option("int8 keeps weights in 8 bits (torchao).", "KIND", _MODEL)]
RemoteCode = Annotated[
    bool,
    option("Run Python code that comes with the checkpoint.", None, _MODEL, "--trust-remote-code"),
]


def run(
    model: Model,
    video: Video = None,
    out: Out = Path("run.h5"),
    scene: SceneFile = None,
    transcript: Transcript = None,
    speakers: Speakers = None,
    question: Question = None,
    options: Options = None,
    answer: Answer = None,
    merge_rolling: MergeRolling = True,
    template: Template = "{speaker}: {text}",
    frames: FrameCount = None,
    fps: Fps = None,
    start: Start = None,
    end: End = None,
    plan: Readings = "masses,maps,stats",
    layers: Layers = None,
    max_size: MaxSize = "4GiB",
    maps_dtype: MapsDtype = "float32",
    coverage: Coverage = 0.5,
    max_new_tokens: NewTokens = 16,
    verify: Verify = True,
    dtype: Dtype = "auto",
    device: Device = None,
    device_map: DeviceMap = None,
    revision: Revision = None,
    attn: Attn = None,
    adapter: Adapter = None,
    quantize: Quantize = None,
    trust_remote_code: RemoteCode = False,
    force: Force = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Show a model a scene and record how every layer and head attends.

    What is recorded: masses (attention on groups of tokens), maps (from every turn, speaker and answer token to every
    token), stats (entropy, log-sum-exp, sinks), qk (queries and keys, from which any attention is recomputed exactly),
    full (all of it), hidden (what each layer receives, summed up: massive activations, rank). The size is told before
    the run.

    Example: `attnscope capture Qwen/Qwen2.5-VL-7B-Instruct --scene scene.json --plan masses,maps,stats,qk -o run.h5`
    """
    setup_logging(quiet)
    refuse_existing(out, force)
    from attnscope.capture.plan import Plan, parse_bytes
    from attnscope.scene import Sampling
    from attnscope.scene.sources import scene_from_flags

    chosen = Plan.parse(plan, layers=layers, coverage=coverage, maps_dtype=maps_dtype, max_size=parse_bytes(max_size))
    sampling = Sampling(frames=frames, fps=fps, start=start, end=end)
    shown = scene_from_flags(
        scene,
        video,
        transcript=transcript,
        speakers=speakers,
        question=question,
        options=options or (),
        answer=answer,
        merge_rolling=merge_rolling,
    )
    from attnscope.capture.run import capture, summary
    from attnscope.model import load

    quiet_transformers()
    loader = partial(
        load,
        model,
        dtype=dtype,
        device=device,
        device_map=device_map,
        revision=revision,
        attn=attn,
        adapter=adapter,
        quantize=quantize,
        trust_remote_code=trust_remote_code,
    )
    with output_file(out, force), progress_bar(quiet) as progress:
        cap = capture(
            loader,
            shown,
            out,
            plan=chosen,
            sampling=sampling,
            max_new_tokens=max_new_tokens,
            template=template,
            verify=verify,
            progress=progress,
        )
    with cap:
        print_json(summary(cap)) if json else print_lines(out)
