"""Videos, scene files and models that are wrong; see tests/cli/bad_inputs.py."""

from __future__ import annotations

from pathlib import Path

from tests.cli.bad import (
    NAN,
    Bad,
    box,
    config,
    cut,
    encoder_decoder,
    film_that_plays_while_cut,
    model,
    put,
    scene,
    sound_only,
    turn,
    without,
)

BAD_CAPTURE = "capture bad --scene scene.json -o new.h5"
UNREADABLE = "not a video or image that can be read, or cut short (Invalid data found when processing input)"
KEYFRAME = "scene.json: speakers.Ann.segments[0].keyframes[0]"

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
        "C --transcript a.doc",
        'a.doc: a transcript is .ass, .eaf, .srt, .ssa, .textgrid, .vtt or .json, not ".doc"',
        spoil=put("a.doc", "x"),
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
