"""The table of bad inputs: what is typed, what is wrong on disk, the one line that is said, the exit code.

In a command line, `C` stands for `capture model --scene scene.json -o new.h5`. In a message, {here} is the working
directory, {things} the folder of the captures, {model} the checkpoint, and … stands for words of another library.
"""

from __future__ import annotations

import copy
import json
import shutil
import wave
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cli.conftest import SCENE

CAPTURE = "capture model --scene scene.json -o new.h5"
NAN = float("nan")
Spoil = Callable[[], object]


@dataclass(frozen=True)
class Bad:
    """One row.

    Attributes:
        command: Words after `attnscope`, split at spaces.
        message: What stderr says after "attnscope: ", and nothing else.
        code: Exit code: 2 the request was wrong, 1 the work failed.
        spoil: Makes what is wrong on disk; the working directory is the test's own.
    """

    command: str
    message: str
    code: int = 2
    spoil: Spoil | None = None

    @property
    def words(self) -> list[str]:
        """The command line."""
        line = self.command
        if line == "C" or line.startswith("C "):
            line = CAPTURE + line[1:]
        return line.split(" ")


def put(name: str, content: object) -> Spoil:
    """Write a file (bytes, text, or anything as JSON) in place of what is there."""

    def write() -> None:
        path = Path(name)
        path.unlink(missing_ok=True)  # it may be a link to what other tests use
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")

    return write


def scene(change: Callable[[dict[str, Any]], object]) -> Spoil:
    """Write scene.json with something changed."""
    document = copy.deepcopy(SCENE)
    change(document)
    return put("scene.json", document)


def box(*xyxy: float) -> Spoil:
    """Write scene.json with another box of Ann's."""
    return scene(lambda s: s["speakers"]["Ann"]["segments"][0]["keyframes"][0].update(xyxy=list(xyxy)))


def turn(**fields: object) -> Spoil:
    """Write scene.json with another second turn."""
    return scene(lambda s: s["transcript"][1].update(fields))


def cut(name: str, share: float) -> Spoil:
    """Keep the first part of a file."""

    def write() -> None:
        content = Path(name).read_bytes()
        put(name, content[: int(len(content) * share)])()

    return write


def sound_only() -> None:
    """A .wav file."""
    with wave.open("a.wav", "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(bytes(16000))


def film_that_plays_while_cut() -> None:
    """A fragmented film, of which the second half is missing."""
    from tests.scene.films import film

    film(Path("a.mkv"), frames=60)
    cut("a.mkv", 0.6)()


def model(spoil: Callable[[Path], object]) -> Spoil:
    """Make `bad`, a copy of the checkpoint, and spoil it."""

    def make() -> None:
        shutil.copytree("model", "bad")
        spoil(Path("bad"))

    return make


def without(name: str) -> Spoil:
    """`bad` lacks a file."""
    return model(lambda folder: (folder / name).unlink())


def config(**fields: object) -> Spoil:
    """`bad` has another config.json."""

    def edit(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | fields))

    return model(edit)


def encoder_decoder(folder: Path) -> None:
    """The weights of `bad` are those of a class with an encoder and a decoder."""
    from transformers import Florence2Config, Florence2ForConditionalGeneration
    from transformers.utils import logging

    text = {"model_type": "bart", "vocab_size": 800, "d_model": 32, "encoder_layers": 1, "decoder_layers": 1}
    text |= {f"{part}_attention_heads": 2 for part in ("encoder", "decoder")}
    text |= {"encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
    vision = {name: [1] * 4 for name in ("num_heads", "num_groups", "depths")}
    vision |= {"embed_dim": [16] * 4, "projection_dim": 32}
    logging.disable_progress_bar()
    Florence2ForConditionalGeneration(Florence2Config(text_config=text, vision_config=vision)).save_pretrained(folder)


BAD_CAPTURE = "capture bad --scene scene.json -o new.h5"
NO_OPTION = "; see attnscope capture --help"
UNREADABLE = "not a video or image that can be read, or cut short (Invalid data found when processing input)"
KEYFRAME = "scene.json: speakers.Ann.segments[0].keyframes[0]"

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
        "plan masses,maps,stats: 369.1 KiB is over the budget of 1.0 KiB (masses alone takes 184.4 KiB);"
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

VIDEO = [
    Bad("capture model gone.mp4 -o new.h5", "gone.mp4: no such file"),
    Bad("capture model a.mp4 -o new.h5", "{here}/a.mp4: the file is empty", spoil=put("a.mp4", b"")),
    Bad("capture model a.mp4 -o new.h5", "{here}/a.mp4: " + UNREADABLE, spoil=put("a.mp4", "hello\n" * 99)),
    Bad("C", "{here}/clip.mp4: " + UNREADABLE, spoil=cut("clip.mp4", 0.5)),
    Bad(
        "capture model a.mkv -o new.h5",
        "{here}/a.mkv: the file is cut short: 2.4 s of 6 s can be read; give an end inside that",
        spoil=film_that_plays_while_cut,
    ),
    Bad("capture model a.wav -o new.h5", "{here}/a.wav: no video stream in it", spoil=sound_only),
    Bad(
        "capture model a.png -o new.h5",
        "{here}/a.png: the image cannot be read (not an image)",
        spoil=put("a.png", "x"),
    ),
    Bad(
        "capture model frames -o new.h5",
        "{here}/frames: holds no image (.bmp, .jpeg, .jpg, .png, .tif, .tiff, .webp)",
        spoil=lambda: Path("frames").mkdir(),
    ),
    Bad("C --frames 0", "sampling: frames: 0 is less than 1"),
    Bad("C --fps 0", "sampling: fps: 0.0 is not greater than 0"),
    Bad("C --fps -2", "sampling: fps: -2.0 is not greater than 0"),
    Bad("C --fps 2 --frames 4", "sampling: fps: 2 is given beside frames = 4; give one of them"),
    Bad("C --start 2 --end 1", "sampling: end: 1 is not after start 2"),
    Bad("C --start 1 --end 1", "sampling: end: 1 is not after start 1"),
    Bad("C --start -1", "sampling: start: -1.0 is less than 0"),
    Bad("C --start 3.5", "{here}/clip.mp4: start: 3.5 s is beyond the end at 3 s"),
]

SCENES = [
    Bad("capture model --scene gone.json -o new.h5", "gone.json: no such file"),
    Bad("C", "scene.json: not valid JSON: Expecting value at line 1, column 1", spoil=put("scene.json", "hello")),
    Bad("C", "scene.json: speakrs: is not a field of this format", spoil=scene(lambda s: s.update(speakrs={}))),
    Bad("C", "scene.json: speakers: [] is not an object", spoil=scene(lambda s: s.update(speakers=[]))),
    Bad("C", "scene.json: video: gone.mp4: no such file", spoil=scene(lambda s: s.update(video="gone.mp4"))),
    Bad("C", KEYFRAME + ".xyxy[2]: nan is not a finite number", spoil=box(1, 2, NAN, 40)),
    Bad("C", KEYFRAME + ".xyxy[2]: x2 = 30 is not greater than x1 = 40", spoil=box(40, 2, 30, 40)),
    Bad("C", "scene.json: transcript[1].start: -1 is less than 0", spoil=turn(start=-1)),
    Bad("C", "transcript[1]: 1.4 to 4 s is beyond the end of clip.mp4 at 3 s", spoil=turn(end=4)),
    Bad(
        "C",
        'scene.json: speakers[" Ann"]: names the same speaker as another entry',
        spoil=scene(lambda s: s["speakers"].update({" Ann": s["speakers"]["Bob"]})),
    ),
    Bad(
        "C",
        'scene.json: answer: "Eve" is not one of the options "Ann", "Bob"',
        spoil=scene(lambda s: s.update(answer="Eve")),
    ),
    Bad("C --answer Eve", 'scene: answer: "Eve" is not one of the options "Ann", "Bob"'),
    Bad("C --options A --options A", 'scene: options[1]: "A" is given twice'),
    Bad(
        "C --transcript a.ass",
        'a.ass: a transcript is .srt, .vtt or .json, not ".ass"',
        spoil=put("a.ass", "x"),
    ),
    Bad(
        "C --transcript a.srt",
        "a.srt: not a .srt file (it must begin with a cue number and a line of times)",
        spoil=put("a.srt", "hello"),
    ),
    Bad(
        "C --transcript a.vtt",
        'a.vtt: line 3: "00:01" has no fraction, and milliseconds have 3 digits',
        spoil=put("a.vtt", "WEBVTT\n\n00:01 --> 00:02.000\nhi\n"),
    ),
    Bad("C --transcript gone.srt", "gone.srt: no such file"),
    Bad(
        "C --speakers a.json",
        "a.json: [] is not an object; a speakers' file maps names to segments",
        spoil=put("a.json", []),
    ),
    Bad("C --speakers a.json", "a.json: Ann.segments: is missing", spoil=put("a.json", {"Ann": {}})),
    Bad(
        "C",
        "scene.transcript[1].text: contains '<|im_end|>', a special token of {model}; take it out",
        spoil=turn(text="Yes.<|im_end|>"),
    ),
    Bad(
        "C --template {speaker}",
        "template '{{speaker}}' lacks the field {{text}}; it takes speaker, text, start, end, number",
    ),
    Bad(
        "C --template {who}:{text}",
        "template '{{who}}:{{text}}' has an unknown field {{who}}; it takes speaker, text, start, end, number",
    ),
]

MODELS = [
    Bad("capture ./gone --scene scene.json -o new.h5", "./gone: no such model folder"),
    Bad(
        "capture clip.mp4 --scene scene.json -o new.h5",
        "clip.mp4: is a file; a model is a folder with config.json, or a name on the model hub",
    ),
    Bad(BAD_CAPTURE, "{here}/bad: no config.json, so this is not a model folder", spoil=without("config.json")),
    Bad(
        BAD_CAPTURE,
        "{here}/bad: no processor (neither processor_config.json nor preprocessor_config.json is there)",
        spoil=without("processor_config.json"),
    ),
    Bad(BAD_CAPTURE, "{here}/bad: no tokenizer (tokenizer.json is missing)", spoil=without("tokenizer.json")),
    Bad(BAD_CAPTURE, "{here}/bad: no weights (model.safetensors is missing)", spoil=without("model.safetensors")),
    Bad(
        BAD_CAPTURE,
        "{here}/bad: cannot load the model (Error while deserializing header: header too small)",
        spoil=model(lambda folder: (folder / "model.safetensors").write_bytes(b"short")),
    ),
    Bad(
        BAD_CAPTURE,
        "{here}/bad: model type 'llama' does not take images or video with text",
        spoil=config(model_type="llama"),
    ),
    Bad(
        BAD_CAPTURE,
        "{here}/bad: model type 'nope' is not known to transformers {transformers}",
        spoil=config(model_type="nope"),
    ),
    Bad(
        BAD_CAPTURE,
        "Florence2ForConditionalGeneration is an encoder-decoder model: its cross-attention does not pass through one "
        "decoder stream",
        spoil=model(encoder_decoder),
    ),
    Bad(
        "C --attn nonsense",
        "model: attn 'nonsense' is not known; choose from eager, flash_attention_2, flash_attention_3, "
        "flash_attention_4, flex_attention, sdpa",
    ),
    Bad("C --dtype nonsense", "model: dtype must be one of auto, float32, float16, bfloat16, not 'nonsense'"),
    Bad("C --device nonsense", "model: unknown device 'nonsense'; try cpu, cuda, cuda:0 or mps"),
    Bad("C --device cpu --device-map auto", "model: give device or device_map, not both (device='cpu')"),
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
        "demo, demo-scenes, capture, analyze, heads, correct, compare, eval, inspect, validate, methods, models,"
        " doctor",
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


def hdf5() -> None:
    """Some HDF5 file."""
    import h5py

    h5py.File("a.h5", "w").close()
