"""`attnscope prepare`: a scene for a clip with nothing."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import typer

from attnscope_cli import _choices
from attnscope_cli._choices import list_of, one_of
from attnscope_cli._common import print_json, print_lines, progress_bar, quiet_transformers, setup_logging
from attnscope_cli._options import Force, Json, Quiet, option


@dataclass(frozen=True)
class PartOptions:
    """Which parts are made."""

    panel: ClassVar[str] = "Which parts are made"
    only: Annotated[
        str | None,
        option(
            "Make these alone, comma-separated: shots, people, words, speech, speaking.",
            "PARTS",
            complete=list_of(_choices.PARTS),
        ),
    ] = None
    no_shots: Annotated[bool, option("Look for no cuts: the clip is one shot.", None, "--no-shots")] = False
    no_people: Annotated[bool, option("Look for no people.", None, "--no-people")] = False
    no_speech: Annotated[bool, option("Look for no speech.", None, "--no-speech")] = False
    no_speaking: Annotated[bool, option("Do not guess who speaks.", None, "--no-speaking")] = False

    def parts(self) -> dict[str, list[str]]:
        """As the library takes them."""
        only = [] if self.only is None else [part.strip() for part in self.only.split(",")]
        without = [part for part in _choices.PARTS if getattr(self, f"no_{part}", False)]
        return {"only": only, "without": without}


@dataclass(frozen=True)
class GivenOptions:
    """Parts that are there already, or made by something else."""

    panel: ClassVar[str] = "Parts that you have, or make with a model of your own"
    shots: Annotated[Path | None, option("A shots.json.", "FILE")] = None
    people: Annotated[
        str | None, option("A people.json, a scene, or boxes in any format: FORMAT:PATH (mot:tracks.txt).", "SOURCE")
    ] = None
    words: Annotated[
        str | None, option("What is said: .srt, .vtt, .json, or FORMAT:PATH (whisperx:clip.json).", "SOURCE")
    ] = None
    speech: Annotated[
        str | None, option("When somebody speaks: a speech.json, or FORMAT:PATH (rttm:clip.rttm).", "SOURCE")
    ] = None
    detector: Annotated[
        str | None, option("Object detection model of transformers that finds people, in place of faces.", "MODEL")
    ] = None
    recogniser: Annotated[
        str | None, option("Whisper model of transformers that writes down the words; none is used otherwise.", "MODEL")
    ] = None


@dataclass(frozen=True)
class LookOptions:
    """How it is looked."""

    panel: ClassVar[str] = "How it is made"
    boxes: Annotated[
        str,
        option("What boxes are around: person or face.", "KIND", complete=one_of(_choices.PERSON_BOXES)),
    ] = "person"
    fps: Annotated[float, option("Frames a second in which people are looked for.", "RATE")] = 5.0
    cut: Annotated[float, option("Score (0 to 100) from which a change of the picture is a cut.", "SCORE")] = 8.0
    most: Annotated[int, option("People of the scene at most: those seen largest and longest.", "N")] = 12
    frame_rate: Annotated[float | None, option("Frames a second of a folder of images.", "RATE")] = None


def run(
    video: Annotated[Path, typer.Argument(metavar="VIDEO", help="Video, image or folder of numbered images.")],
    out: Annotated[
        Path, option("Folder for scene.json and the parts; new or empty without --force.", "DIR", "--out", "-o")
    ],
    *,
    parts: PartOptions,
    given: GivenOptions,
    look: LookOptions,
    force: Force = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Propose a scene for a clip: shots, people, speech, and a first guess who speaks.

    Everything is a guess to be edited: scene.json holds it, prepare.json says how sure each part is and what made it,
    and shots.json, people.json, words.json and speech.json hold the parts, which can be given again after they are
    edited. People and speech need `pip install 'attnscope[prepare]'`. Nothing is downloaded unless --detector or
    --recogniser names a model of the hub.

    Example: `attnscope prepare clip.mp4 --words clip.srt -o scene/`
    """
    setup_logging(quiet)
    quiet_transformers()
    from attnscope.prepare import prepare_scene

    how: dict[str, Any] = asdict(given) | asdict(look) | parts.parts()
    with progress_bar(quiet) as progress:
        prepared = prepare_scene(video, out, **how, force=force, progress=progress)
    print_json(prepared.to_dict()) if json else print_lines(*prepared.describe().splitlines())
