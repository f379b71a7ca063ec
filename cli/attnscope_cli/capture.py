"""`attnscope capture`: show a model a scene and record how it attends."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from attnscope_cli._common import (
    Force,
    Json,
    Quiet,
    print_json,
    progress_bar,
    quiet_transformers,
    refuse_existing,
    setup_logging,
)

_SCENE, _FRAMES, _PLAN, _MODEL = "What is shown", "Which frames", "What is recorded", "How the model is loaded"


def run(
    model: Annotated[str, typer.Argument(help="Checkpoint folder or model id.")],
    video: Annotated[Path | None, typer.Argument(help="Video, image, or folder of numbered frames; may be left out when --scene names it.")] = None,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="Capture to write.")] = Path("run.h5"),
    scene: Annotated[Path | None, typer.Option(help="scene.json: speakers' boxes, transcript, question.", rich_help_panel=_SCENE)] = None,
    transcript: Annotated[Path | None, typer.Option(help=".srt, .vtt or .json.", rich_help_panel=_SCENE)] = None,
    speakers: Annotated[Path | None, typer.Option(help=".json with the speakers' boxes.", rich_help_panel=_SCENE)] = None,
    question: Annotated[str | None, typer.Option(help="What the model is asked.", rich_help_panel=_SCENE)] = None,
    options: Annotated[list[str] | None, typer.Option(help="An answer to choose from; repeat for each.", rich_help_panel=_SCENE)] = None,
    answer: Annotated[str | None, typer.Option(help="The right answer.", rich_help_panel=_SCENE)] = None,
    template: Annotated[str, typer.Option(help="How a turn is written.", rich_help_panel=_SCENE)] = "{speaker}: {text}",
    frames: Annotated[int | None, typer.Option(help="So many frames, evenly spread (8 unless --fps is given).", rich_help_panel=_FRAMES)] = None,
    fps: Annotated[float | None, typer.Option(help="So many frames a second, instead of --frames.", rich_help_panel=_FRAMES)] = None,
    start: Annotated[float | None, typer.Option(help="Start of the window, seconds.", rich_help_panel=_FRAMES)] = None,
    end: Annotated[float | None, typer.Option(help="End of the window, seconds.", rich_help_panel=_FRAMES)] = None,
    plan: Annotated[str, typer.Option(help="Any of masses,maps,stats,qk,full.", rich_help_panel=_PLAN)] = "masses,maps,stats",
    layers: Annotated[str | None, typer.Option(help="Numbers (0-9,20) or a range of depth (0.36-0.71); all if not given.", rich_help_panel=_PLAN)] = None,
    max_size: Annotated[str, typer.Option(help="Refuse a larger capture (before compression).", rich_help_panel=_PLAN)] = "4GiB",
    maps_dtype: Annotated[str, typer.Option(help="float32 or float16.", rich_help_panel=_PLAN)] = "float32",
    coverage: Annotated[float, typer.Option(help="Part of a visual token that a speaker's box must cover.", rich_help_panel=_PLAN)] = 0.5,
    max_new_tokens: Annotated[int, typer.Option(help="Most tokens of the greedy answer.", rich_help_panel=_PLAN)] = 16,
    verify: Annotated[bool, typer.Option("--verify/--no-verify", help="Check that recording changed nothing.", rich_help_panel=_PLAN)] = True,
    dtype: Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.", rich_help_panel=_MODEL)] = "auto",
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, mps; chosen by itself if not given.", rich_help_panel=_MODEL)] = None,
    device_map: Annotated[str | None, typer.Option(help='"auto" spreads the model over devices.', rich_help_panel=_MODEL)] = None,
    revision: Annotated[str | None, typer.Option(help="Revision of a model id.", rich_help_panel=_MODEL)] = None,
    attn: Annotated[str | None, typer.Option(help="sdpa, flash_attention_2, flash_attention_3, flex_attention or eager; the model's own if not given.", rich_help_panel=_MODEL)] = None,
    trust_remote_code: Annotated[bool, typer.Option(help="Run code that comes with the model.", rich_help_panel=_MODEL)] = False,
    force: Force = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Show a model a scene and record how every layer and head attends.

    Example: `attnscope capture Qwen/Qwen2.5-VL-7B-Instruct --scene scene.json --plan masses,maps,stats,qk -o run.h5`
    """
    setup_logging(quiet)
    refuse_existing(out, force)
    from attnscope.capture.plan import Plan, parse_bytes
    from attnscope.scene import Sampling
    from attnscope.scene.flags import scene_from_flags

    chosen = Plan.parse(plan, layers=layers, coverage=coverage, maps_dtype=maps_dtype, max_size=parse_bytes(max_size))
    sampling = Sampling(frames=frames, fps=fps, start=start, end=end)
    shown = scene_from_flags(
        scene, video, transcript=transcript, speakers=speakers, question=question, options=options or (), answer=answer
    )
    from attnscope.capture.run import capture, summary
    from attnscope.model import load

    quiet_transformers()
    loader = partial(
        load, model, dtype=dtype, device=device, device_map=device_map, revision=revision, attn=attn, trust_remote_code=trust_remote_code
    )
    with progress_bar(quiet) as progress:
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
        print_json(summary(cap)) if json else print(out)
