"""The table of bad inputs: what is typed, what is wrong on disk, the one line that is said, the exit code.

In a command line, `C` stands for `capture model --scene scene.json -o new.h5`. In a message, {here} is the working
directory, {things} the folder of the captures, {model} the checkpoint, and … stands for words of another library.
"""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.bad import CAPTURE, Bad, Spoil, config, cut, hdf5, put
from tests.cli.bad_scenes import MODELS, SCENES, VIDEO

NO_OPTION = "; see attnscope capture --help"

COMMAND_LINE = [
    Bad("nope", "no such command 'nope'; see attnscope --help"),
    Bad("capture", "missing argument '…'" + NO_OPTION),
    Bad("C --nope", "no such option: --nope…" + NO_OPTION),
    Bad("capture model -o new.h5", "capture: give a VIDEO, or a --scene that names one"),
    Bad(
        "C --force --plan nonsense",
        '--plan nonsense: "nonsense" is not a reading; choose from masses, maps, stats, qk, full, hidden',
    ),
    Bad("C --plan ,", "plan: records nothing; choose from masses, maps, stats, qk, full, hidden"),
    Bad("C --max-size lots", "--max-size lots: is not a size such as 2GiB or 500M"),
    Bad("C --coverage 0", "plan: coverage 0.0 is not in (0, 1]"),
    Bad("C --coverage nan", "plan: coverage nan is not in (0, 1]"),
    Bad("C --maps-dtype int8", 'plan: maps_dtype "int8" is neither float32 nor float16'),
    Bad("C --max-new-tokens 0", "--max-new-tokens 0: must be at least 1"),
    Bad(
        "C --layers nonsense",
        '--layers nonsense: "nonsense" is neither numbers like 0-9,20 nor a range of depth like 0.36-0.71',
    ),
    Bad("C --layers 3-1", '--layers 3-1: "3-1" is neither numbers like 0-9,20 nor a range of depth like 0.36-0.71'),
    Bad("C --layers 2-9", "--layers 2-9: layer 4 is not one of the layers with attention, 0-3"),
    Bad("C --layers 0.1-0.12", "--layers 0.1-0.12: chooses no layer of 4"),
    Bad(
        "C --plan full --frames 2 --max-new-tokens 1 --max-size 200k",
        "plan full: 451.6 KiB is over the budget of 200.0 KiB (full alone takes 451.6 KiB);"
        " --plan qk takes 127.5 KiB, which gives the same maps exactly",
    ),
    Bad(
        "C --max-size 1k",
        "plan masses,maps,stats: 394.1 KiB is over the budget of 1.0 KiB (masses alone takes 209.4 KiB);"
        " choose fewer --layers, or raise --max-size",
    ),
]

OUTPUT = [
    Bad("capture model --scene scene.json -o run.h5", "run.h5: already exists; pass --force to replace it"),
    Bad("capture model --scene scene.json -o no/new.h5", "no/new.h5: cannot be written: folder no does not exist"),
    Bad(
        "capture model --scene scene.json --force -o folder",
        "folder: cannot be written: it is a folder",
        spoil=lambda: Path("folder").mkdir(),
    ),
    Bad("correct run.h5 -o clip.mp4", "clip.mp4: cannot be used as the output folder: file exists"),
    Bad(
        "correct run.h5 -o out",
        "out/after.h5: already exists; pass --force to replace it",
        spoil=lambda: [Path("out").mkdir(), put("out/after.h5", "x")()],
    ),
    Bad("analyze run.h5 -o clip.mp4", "clip.mp4: cannot be used as the output folder: file exists"),
    Bad("demo -o .", ".: is not empty and was not made by the demo; choose another folder for --out"),
]

NOT_A_NUMBER = "is neither a number nor a range like 2-5"
DEMO_SCENES = [
    Bad("demo-scenes -o .", ".: is not an empty folder; choose another for --out"),
    Bad("demo-scenes -o clip.mp4", "clip.mp4: is not an empty folder; choose another for --out"),
    Bad("demo-scenes -o clip.mp4/out", "clip.mp4/out: cannot be used as the output folder: not a directory"),
    Bad("demo-scenes -o out --n 0", "--n 0: must be at least 1"),
    Bad("demo-scenes -o out --seed -1", "--seed -1: must be at least 0"),
    Bad("demo-scenes -o out --split dev", "--split dev: choose from train, calibration, test"),
    Bad("demo-scenes -o out --people 5-7", "--people 7: must be from 0 to 6"),
    Bad("demo-scenes -o out --people 0-99999999999", "--people 99999999999: must be from 0 to 6"),
    Bad("demo -o clip.mp4", "clip.mp4: is a file; choose a folder for --out"),
    Bad("demo -o clip.mp4/out", "clip.mp4/out: cannot be used as the output folder: not a directory"),
    Bad("demo-scenes -o out --people many", f'--people "many": "many" {NOT_A_NUMBER}'),
    Bad("demo-scenes -o out --people 3-1", f'--people "3-1": "3-1" {NOT_A_NUMBER}'),
    Bad("demo-scenes -o out --people 1,2-", f'--people "1,2-": "2-" {NOT_A_NUMBER}'),
    Bad("demo-scenes -o out --people 1,-2", f'--people "1,-2": "-2" {NOT_A_NUMBER}'),
    Bad("demo-scenes -o out --people 1-2-3", f'--people "1-2-3": "1-2-3" {NOT_A_NUMBER}'),
    Bad("demo-scenes -o out --people 1,,2", f'--people "1,,2": "" {NOT_A_NUMBER}'),
    Bad("demo-scenes -o out --people 1.5", f'--people "1.5": "1.5" {NOT_A_NUMBER}'),
    Bad("demo-scenes --n 1", "missing option '--out' / '-o'; see attnscope demo-scenes --help"),
]

CAPTURES = [
    Bad("inspect gone.h5", "gone.h5: no such file"),
    Bad("validate gone.h5", "gone.h5: no such file"),
    Bad("analyze gone.h5 -o out", "gone.h5: no such file"),
    Bad("analyze clip.mp4 -o out", "clip.mp4: not an HDF5 file, so not a capture"),
    Bad("analyze . -o out", ".: a folder, not a capture file"),
    Bad("analyze run.h5 -o out", "run.h5: the file is empty", spoil=put("run.h5", b"")),
    Bad("analyze run.h5 -o out", "run.h5: the HDF5 file is damaged (…)", spoil=cut("run.h5", 0.7)),
    Bad(
        "analyze a.h5.part -o out",
        "a.h5.part: an unfinished capture (.part); capture again",
        spoil=lambda: Path("run.h5").rename("a.h5.part"),
    ),
    Bad(
        "analyze a.h5 -o out",
        "a.h5: an HDF5 file, but not a capture (no encoding-type 'attnscope-capture')",
        spoil=lambda: hdf5(),
    ),
    Bad("analyze run.h5 -o out --speaker Eve", "run.h5: no speaker 'Eve' in the scene; it has Ann, Bob"),
    Bad(
        "analyze run.h5 -o out --threshold 2",
        "threshold 2 is out of range; it is a covered fraction, above 0 and at most 1",
    ),
    Bad("analyze run.h5 -o out --denominator max2", "unknown denominator 'max2'; known: max, sum, self"),
    Bad("analyze run.h5 -o out --style poster", "unknown style 'poster'; known: paper, slides"),
    Bad(
        "analyze run.h5 -o out --jitter 10",
        '--jitter "10": is neither a share like 10% nor a number of pixels like 10px',
    ),
    Bad(
        "analyze run.h5 -o out --by speakers",
        "field 'speakers': every capture is in the group '2'; there is none to compare it with",
    ),
    Bad("compare run.h5 gone.h5 -o out", "gone.h5: no such file"),
    Bad(
        "compare run.h5 other.h5 -o out",
        "other.h5: the prompt has 89 tokens, that of run.h5 has 91; only captures of one scene can be compared",
    ),
    Bad("correct gone.h5 -o out", "gone.h5: no such file"),
    Bad("correct run.h5 --method nonsense -o out", 'there is no correction named "nonsense"; choose from adaptvis, …'),
    Bad(
        "correct run.h5 --method pai --edges a:b -o out",
        "--edges a:b: pai has no parameter edges; it has alpha, layers",
    ),
    Bad(
        "correct run.h5 --method pai --method social-bias --alpha 2 -o out",
        "--alpha 2.0: is a parameter of pai and social-bias; say which with --set METHOD.alpha=VALUE",
    ),
    Bad("correct run.h5 --set alpha=much -o out", "--set social-bias.alpha=much: is not a number"),
    Bad("correct run.h5 --set alpha -o out", "--set alpha: is not KEY=VALUE or METHOD.KEY=VALUE"),
    Bad("correct run.h5 --correction gone.json -o out", "gone.json: no such file"),
    Bad(
        "correct run.h5 --correction scene.json -o out",
        "scene.json: is not a correction.json, as attnscope correct writes it",
    ),
    Bad(
        "correct run.h5 --correction c.json -o out",
        'c.json: corrections[0]: pai.alpha="much": is not a number',
        spoil=put("c.json", {"corrections": [{"method": "pai", "params": {"alpha": "much"}}]}),
    ),
    Bad(
        "correct run.h5 --correction c.json --alpha 2 -o out",
        "--correction c.json: says which corrections there are; leave out --alpha 2.0",
    ),
    Bad("correct run.h5 --alpha -1 -o out", "social-bias.alpha=-1.0: must be a number of at least 0"),
    Bad("correct run.h5 --threshold 1 -o out", "social-bias.threshold=1.0: must be in [0, 1)"),
    Bad("correct run.h5 --negative no -o out", 'social-bias.negative="no": choose from paper, clamp, gap'),
    Bad(
        "correct run.h5 --layers x -o out",
        'social-bias.layers="x": "x" is neither numbers like 0-9,20 nor a range of depth like 0.36-0.71',
    ),
    Bad("correct run.h5 --layers 7 -o out", "--layers 7: layer 7 is not one of the layers with attention, 0-3"),
    Bad(
        "correct run.h5 --jitter 10 -o out",
        '--jitter "10": is neither a share like 10% nor a number of pixels like 10px',
    ),
    Bad("correct run.h5 --jitter 101% -o out", '--jitter "101%": is more than 100% of a box'),
    Bad(
        "correct run.h5 --jitter 10% --what-if -o out",
        "--jitter: is of the before/after report; --sweep and --what-if write none",
    ),
    Bad(
        "correct run.h5 --speaker Ada --sweep alpha=1 -o out",
        "--speaker: is of the before/after report; --sweep and --what-if write none",
    ),
    Bad("correct run.h5 --speaker Eve -o out", "run.h5: no speaker 'Eve' in the scene; it has Ann, Bob"),
    Bad(
        "correct boxless.h5 -o new/out",
        "{things}/clip.mp4: social-bias needs speakers with boxes, and the scene has none;"
        " give boxes in scene.json or a file of speakers, see docs/scene.md",
    ),
    Bad(
        "correct no_model.h5 -o out",
        "no_model.h5: its model is no longer at {things}/lost; say where it is with --model",
    ),
    Bad("correct no_video.h5 -o out", "no_video.h5: its video is no longer at {things}/lost.mp4"),
    Bad("correct after.h5 -o out", "after.h5: was itself made under social-bias; correct a plain capture"),
    Bad(
        "correct run.h5 --model bad -o out",
        "run.h5: was captured with another configuration of {model} than the one loaded",
        spoil=config(rope_theta=5.0),
    ),
]


def asks(*lines: object) -> Spoil:
    """Write manifest.jsonl."""
    return put("manifest.jsonl", "".join(json.dumps(line) + "\n" for line in lines))


ONE = {"id": "one", "scene": "scene.json"}
EVAL = "eval . --model model -o out"

EVALUATIONS = [
    Bad("eval .", "missing option '--model'; see attnscope eval --help"),
    Bad(EVAL, "manifest.jsonl: no such file"),
    Bad(EVAL, "manifest.jsonl: the file is empty", spoil=put("manifest.jsonl", "\n")),
    Bad(EVAL, "manifest.jsonl: line 2: scene: is missing", spoil=asks(ONE, {"id": "two"})),
    Bad(EVAL, 'manifest.jsonl: line 2: id: "one" is also the id of line 1', spoil=asks(ONE, ONE)),
    Bad(EVAL, "manifest.jsonl: line 1: scene: gone.json: no such file", spoil=asks({"scene": "gone.json"})),
    Bad("eval gone.jsonl --model ./gone", "gone.jsonl: no such file"),
    Bad("eval . --model ./gone", "./gone: no such model folder", spoil=asks(ONE)),
    Bad(EVAL + " --score best", "--score best: choose from logprob, generate"),
    Bad(EVAL + " --batch 0", "--batch 0: must be at least 1"),
    Bad(EVAL + " --limit 0", "--limit 0: must be at least 1"),
    Bad(EVAL + " --max-new-tokens 0", "--max-new-tokens 0: must be at least 1"),
    Bad(EVAL + " --by task", "--by task: no scene has such a field; the scenes have no fields", spoil=asks(ONE)),
    Bad(EVAL + " --alpha 2", "--alpha 2.0: is about a correction; say which with --method"),
    Bad(EVAL + " --set alpha=2", "--set alpha=2: is about a correction; say which with --method"),
    Bad(EVAL + " --correct nope", 'there is no correction named "nope"; choose from adaptvis, …'),
    Bad(
        EVAL + " --correct pai --correction c.json",
        "--correction c.json: says which corrections there are; leave out --method pai",
    ),
    Bad(EVAL + " --correct social-bias --alpha -1", "social-bias.alpha=-1.0: must be a number of at least 0"),
    Bad(
        EVAL + " --correct social-bias --rows answer --toward Ann --heads 9.9",
        "--heads 9.9: layer 9 is not one of the layers with attention, 0-3",
        spoil=asks(ONE),
    ),
    Bad("eval . --model model -o run.h5", "run.h5: is a file; give a folder"),
    Bad("eval run.h5 --model ./gone", "run.h5: is not a manifest, which has one line of JSON a question, …"),
    Bad("eval clip.mp4 --model ./gone", "clip.mp4: is not a manifest, which has one line of JSON a question, …"),
]


def toml(text: str) -> Spoil:
    """Write run.toml."""
    return put("run.toml", text)


CONFIG = [
    Bad("--config gone.toml inspect run.h5", "--config gone.toml: no such file"),
    Bad(
        "--config run.toml inspect run.h5",
        "--config run.toml: not a TOML file: …",
        spoil=toml("[capture\n"),
    ),
    Bad(
        "--config run.toml inspect run.h5",
        "--config run.toml: [captur] is not a command; commands: "
        "demo, demo-scenes, import, prepare, preview, capture, analyze, heads, correct, compare, view, eval, export,"
        " index, inspect, validate, methods, models, doctor",
        spoil=toml("[captur]\nframes = 8\n"),
    ),
    Bad(
        "--config run.toml inspect run.h5",
        "--config run.toml: capture.farmes: is not an option of capture",
        spoil=toml("[capture]\nfarmes = 8\n"),
    ),
    Bad(
        "--config run.toml " + CAPTURE,
        '--config run.toml: capture.frames: "many" is not a whole number',
        spoil=toml('[capture]\nframes = "many"\n'),
    ),
    *(
        Bad("--config run.toml " + CAPTURE, f"--config run.toml: capture.{said}", spoil=toml(f"[capture]\n{line}\n"))
        for line, said in (
            ("frames = true", "frames: true is not a whole number"),
            ("frames = 2.5", "frames: 2.5 is not a whole number"),
            ("options = [1]", "options: 1 is not text, or a list of such"),
            ("verify = 1", "verify: 1 is not true or false"),
        )
    ),
    Bad(
        "--config run.toml " + CAPTURE,
        "--config run.toml: holds a number of more digits than can be read",
        spoil=toml(f"[capture]\nframes = {'9' * 5000}\n"),
    ),
    Bad(
        "--config run.toml " + CAPTURE,
        "--config run.toml: not a TOML file: nested too deeply",
        spoil=toml(f"[capture]\nframes = {'[' * 5000}{']' * 5000}\n"),
    ),
]


TABLE = [*COMMAND_LINE, *OUTPUT, *DEMO_SCENES, *VIDEO, *SCENES, *MODELS, *CAPTURES, *EVALUATIONS, *CONFIG]
