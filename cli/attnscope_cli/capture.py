"""`attnscope capture`: show a model a scene and record how it attends."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from attnscope_cli import _choices
from attnscope_cli._choices import list_of, one_of
from attnscope_cli._common import (
    output_file,
    print_json,
    print_lines,
    progress_bar,
    quiet_transformers,
    refuse_existing,
    setup_logging,
)
from attnscope_cli._options import (
    COVERAGE,
    MODEL,
    Coverage,
    Layers,
    LoadingOptions,
    OutputOptions,
    PromptOptions,
    SamplingOptions,
    Verify,
    option,
)

if TYPE_CHECKING:
    from attnscope.capture.plan import Plan
    from attnscope.scene import Scene


@dataclass(frozen=True)
class SceneOptions:
    """What is shown, unless a scene file holds it."""

    panel: ClassVar[str] = "What is shown"
    scene: Annotated[
        Path | None,
        option("Scene file: video, speakers' boxes, transcript, question; or a manifest, with --id.", "FILE"),
    ] = None
    id: Annotated[str | None, option("The question of a manifest that is asked.", "ID")] = None
    transcript: Annotated[
        Path | None, option("What is said: .srt, .vtt or .json, or FORMAT:PATH (whisperx:talk.json).", "FILE")
    ] = None
    speakers: Annotated[
        Path | None,
        option("Where speakers are seen: .json with their boxes, or FORMAT:PATH (cvat:tracks.xml).", "FILE"),
    ] = None
    question: Annotated[str | None, option("What the model is asked.", "TEXT")] = None
    question_id: Annotated[str | None, option("Which of the scene file's questions is asked, by its id.", "ID")] = None
    options: Annotated[list[str] | None, option("An answer to choose from; repeat it for each.", "TEXT")] = None
    answer: Annotated[str | None, option("The right answer; one of the options if there are any.", "TEXT")] = None
    merge_rolling: Annotated[
        bool,
        option(
            "Keep each line of rolling captions (YouTube's, for example) once.",
            None,
            "--merge-rolling/--no-merge-rolling",
        ),
    ] = True

    def read(self, video: Path | None) -> Scene:
        """The scene; `video` may stand in its file instead."""
        from attnscope.scene.sources import scene_from_flags

        given = asdict(self) | {"options": self.options or ()}
        return scene_from_flags(given.pop("scene"), video, **given)


@dataclass(frozen=True)
class RecordingOptions:
    """What is recorded, and how much of it."""

    panel: ClassVar[str] = "What is recorded"
    plan: Annotated[
        str,
        option(
            "Any of masses, maps, stats, qk, full, hidden, with commas; masses:all, stats:all read every query.",
            "LIST",
            complete=list_of(_choices.READINGS),
        ),
    ] = "masses,maps,stats"
    layers: Layers = None
    max_size: Annotated[str, option("Refuse a larger capture; before compression.", "SIZE")] = "4GiB"
    maps_dtype: Annotated[
        str,
        option("Precision of maps: float32 or float16.", "DTYPE", complete=one_of(_choices.MAPS_DTYPES)),
    ] = "float32"
    coverage: Coverage = COVERAGE
    sample: Annotated[
        int, option("Visual queries (8 or more) whose whole row is read: they stand for the others.", "COUNT")
    ] = 64

    def parse(self) -> Plan:
        """As the library takes it."""
        from attnscope.capture.plan import Plan, parse_bytes

        return Plan.parse(
            self.plan,
            layers=self.layers,
            coverage=self.coverage,
            maps_dtype=self.maps_dtype,
            max_size=parse_bytes(self.max_size),
            sample=self.sample,
        )


def run(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=MODEL, autocompletion=_choices.model)],
    video: Annotated[
        Path | None,
        typer.Argument(metavar="VIDEO", help="Video, image or folder of numbered images; --scene may name it instead."),
    ] = None,
    out: Annotated[Path, option("Capture to write.", "FILE", "--out", "-o")] = Path("run.h5"),
    *,
    source: SceneOptions,
    prompt: PromptOptions,
    frames: SamplingOptions,
    recording: RecordingOptions,
    verify: Verify = True,
    loading: LoadingOptions,
    output: OutputOptions,
) -> None:
    """Show a model a scene and record how every layer and head attends.

    What is recorded: masses (attention on groups of tokens), maps (from every turn, speaker and answer token to every
    token), stats (entropy, log-sum-exp, sinks), qk (queries and keys, from which any attention is recomputed exactly),
    full (all of it), hidden (what each layer receives, summed up: massive activations, rank). Where a number takes
    the whole row of a visual token, a sample of these is read; masses:all and stats:all read them all. The command
    prints the size before the run.

    Example: `attnscope capture Qwen/Qwen2.5-VL-7B-Instruct --scene scene.json --plan masses,maps,stats,qk -o run.h5`
    """
    setup_logging(output.quiet)
    refuse_existing(out, output.force)
    plan = recording.parse()
    sampling = frames.sampling()
    scene = source.read(video)
    from attnscope.capture.run import capture, summary

    quiet_transformers()
    loader = loading.loader(model)
    with output_file(out, output.force), progress_bar(output.quiet) as progress:
        cap = capture(
            loader, scene, out, plan=plan, sampling=sampling, **asdict(prompt), verify=verify, progress=progress
        )
    with cap:
        print_json(summary(cap)) if output.json else print_lines(out)
