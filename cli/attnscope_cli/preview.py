"""`attnscope preview`: look at a scene before any model runs."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from attnscope.errors import RequestError
from attnscope_cli import _choices
from attnscope_cli._common import (
    print_json,
    print_lines,
    quiet_transformers,
    refuse_existing,
    setup_logging,
)
from attnscope_cli._options import (
    COVERAGE,
    TEMPLATE,
    Coverage,
    OutDir,
    OutputOptions,
    SamplingOptions,
    Template,
    option,
)
from attnscope_cli.capture import SceneOptions


def run(
    source: Annotated[
        Path | None,
        typer.Argument(
            metavar="SCENE", help="Scene file (.json); or a video, image or folder of numbered images, as for capture."
        ),
    ] = None,
    out: OutDir = Path("preview-out"),
    *,
    shown: SceneOptions,
    frames: SamplingOptions,
    model: Annotated[
        str | None,
        option(
            "Show frames and cells as this model gets them; only its processor is loaded.",
            "MODEL",
            complete=_choices.model,
        ),
    ] = None,
    template: Template = TEMPLATE,
    coverage: Coverage = COVERAGE,
    revision: Annotated[str | None, option("Branch, tag or commit on the model hub.", "REVISION")] = None,
    trust_remote_code: Annotated[
        bool, option("Run Python code that comes with the checkpoint.", None, "--trust-remote-code")
    ] = False,
    output: OutputOptions,
) -> None:
    """Show the sampled frames, boxes, turns and the question of a scene on one page, with warnings.

    No model runs. The page shows the frames with everybody's box, who speaks when beside the frames that are sampled,
    and the words. It warns of turns without a frame or a speaker, of speakers without a box, of boxes outside the
    picture or on top of each other, and of names that look alike. With --model it shows the cells (visual tokens) of
    each frame and whose they are, and warns of boxes that cover none and of people who share most of theirs.

    Example: `attnscope preview scene.json --model Qwen/Qwen2.5-VL-7B-Instruct -o preview/`
    """
    setup_logging(output.quiet)
    from attnscope.files.folders import claimed
    from attnscope.files.reports import PAGE
    from attnscope.report.preview import check_folder, preview

    check_folder(out)
    refuse_existing(out / PAGE, output.force)
    sampling = frames.sampling()
    if source is None and shown.scene is None:
        raise RequestError("preview: give a SCENE")
    video = source
    if source is not None and source.suffix.lower() == ".json" and shown.scene is None:
        shown, video = replace(shown, scene=source), None
    scene = shown.read(video)
    from attnscope.scene import preview_scene

    with claimed(out):
        looked = preview_scene(scene, sampling)
        cells: Any = None
        if model is not None:
            quiet_transformers()
            from attnscope.model import load_skeleton, preview_model

            skeleton = load_skeleton(model, revision=revision, trust_remote_code=trust_remote_code)
            cells = preview_model(skeleton, looked, coverage=coverage, template=template)
        facts = preview(looked, out, model=cells, source=str((source or scene.video).name))
    for warning in facts["warnings"]:
        logging.getLogger("attnscope").warning("%s", warning["text"])
    print_json(facts) if output.json else print_lines(facts["report"])
