"""Write the prompt, and know by construction which characters of it are whose.

The user's message is one block of text after the media. Where the chat template puts that block (and its own
system prompt) is learnt by rendering once more with a single private character in its place: spans are
exact, and nothing is ever searched for in the text.
"""

from __future__ import annotations

import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from attnscope.errors import ModelError, RequestError, SceneError
from attnscope.vocabulary import QUESTION, SYSTEM, TRANSCRIPT

if TYPE_CHECKING:
    from attnscope.model.load import LoadedModel
    from attnscope.scene import Scene

DEFAULT_TEMPLATE = "{speaker}: {text}"
_FIELDS = ("speaker", "text", "start", "end", "number")


@dataclass(frozen=True)
class Span:
    """A run of characters of the prompt with one role.

    Attributes:
        start: First character.
        end: One past the last character.
        role: "system", "transcript" or "question".
        turn: Index of the turn, -1 none.
    """

    start: int
    end: int
    role: str
    turn: int = -1


@dataclass(frozen=True)
class Rendered:
    """The prompt as text, before media placeholders are expanded.

    Attributes:
        text: The prompt.
        spans: Who wrote what, in order, not overlapping; the rest is the chat template's own text.
        block: First and one past the last character of the user's text.
    """

    text: str
    spans: list[Span]
    block: tuple[int, int]


def render(loaded: LoadedModel, scene: Scene, media: Sequence[str], template: str = DEFAULT_TEMPLATE) -> Rendered:
    """Render a scene with the model's chat template.

    Args:
        loaded: The model.
        scene: Transcript, question and options.
        media: Types of the media parts, in order: "video" or "image".
        template: How one turn is written; fields {speaker}, {text}, {start}, {end}, {number}. A turn without
            a speaker is written as its text alone.

    Raises:
        RequestError: `template` is wrong.
        SceneError: The scene's text holds a special token of this model.
        ModelError: The chat template cannot be rendered, or changes the text.
    """
    check_template(template)
    block, spans = _write(scene, template)
    for where, text in _texts(scene):
        _refuse_special_tokens(loaded, where, text)
    mark = _private_character(block + (scene.system or ""))
    form = _system_prompt(loaded, media, block, mark)
    if scene.system is not None and form is None:
        raise ModelError(f"{loaded.id}: the chat template does not take a system message (scene.system)")
    plain = form is not None and form[0]
    text = _apply(loaded, scene.system, media, block, plain=plain)
    before, after = _around(loaded, _apply(loaded, scene.system, media, mark, plain=plain), mark, "the user's text")
    if text != before + block + after:
        raise ModelError(f"{loaded.id}: the chat template changes the user's text, so its tokens cannot be placed")
    start = len(before)
    shifted = [Span(start + s.start, start + s.end, s.role, s.turn) for s in spans]
    if form is not None and text.startswith(form[1]) and text.endswith(form[2]) and len(text) > len(form[1] + form[2]):
        shifted.insert(0, Span(len(form[1]), len(text) - len(form[2]), SYSTEM))
    return Rendered(text, shifted, (start, start + len(block)))


def _write(scene: Scene, template: str) -> tuple[str, list[Span]]:
    """Write the user's text: turns, a blank line, the question, the options."""
    parts: list[tuple[str, str, int]] = []  # text, role, turn
    for number, turn in enumerate(scene.transcript):
        if parts:
            parts.append(("\n", TRANSCRIPT, -1))
        parts.append((_line(template, turn, number), TRANSCRIPT, number))
    asked = scene.question or ""
    if scene.options:
        options = "\n".join(f"- {option}" for option in scene.options)
        asked = f"{asked}\nOptions:\n{options}\nAnswer with one of the options.".strip()
    if asked:
        if parts:
            parts.append(("\n\n", TRANSCRIPT, -1))
        parts.append((asked, QUESTION, -1))
    spans, position = [], 0
    for text, role, number in parts:
        spans.append(Span(position, position + len(text), role, number))
        position += len(text)
    return "".join(text for text, _, _ in parts), spans


def check_template(template: str) -> None:
    """Refuse a turn template with an unknown field or without {text}, before a model is loaded for it.

    Raises:
        RequestError: `template` is wrong.
    """
    try:
        parsed = [name for _, name, _, _ in string.Formatter().parse(template) if name is not None]
    except ValueError as error:
        raise RequestError(f"template {template!r} cannot be read: {error}") from None
    names = {name.split(".")[0].split("[")[0] for name in parsed}
    unknown = sorted(names - set(_FIELDS))
    if unknown:
        problem = f"has an unknown field {{{unknown[0]}}}"
    elif "text" not in names:
        problem = "lacks the field {text}"
    else:
        return
    raise RequestError(f"template {template!r} {problem}; it takes {', '.join(_FIELDS)}")


def _line(template: str, turn: Any, number: int) -> str:
    if turn.speaker is None:
        return str(turn.text)
    values = {
        "speaker": turn.speaker,
        "text": turn.text,
        "start": turn.start,
        "end": turn.end,
        "number": number,
    }
    try:
        line = template.format(**values)
    except (KeyError, ValueError, TypeError, AttributeError, IndexError) as error:
        missing = [name for name, value in values.items() if value is None and name in template]
        reason = f"{missing[0]} is not known" if missing else str(error)
        raise RequestError(f"template {template!r} cannot write transcript turn {number}: {reason}") from None
    return " ".join(line.split())  # one turn a line


def _texts(scene: Scene) -> Iterator[tuple[str, str]]:
    """All the text that the scene brings into the prompt, and where it comes from."""
    for number, turn in enumerate(scene.transcript):
        yield f"transcript[{number}].speaker", turn.speaker or ""
        yield f"transcript[{number}].text", turn.text
    yield "question", scene.question or ""
    for number, option in enumerate(scene.options):
        yield f"options[{number}]", option
    yield "system", scene.system or ""


def _refuse_special_tokens(loaded: LoadedModel, where: str, text: str) -> None:
    """Refuse text that the tokenizer would read as control tokens, for it could end the message."""
    for token in _special_tokens(loaded):
        if token in text:
            raise SceneError(f"scene.{where}: contains {token!r}, a special token of {loaded.id}; take it out")
    bad = next((c for c in text if c == "\0" or "\ud800" <= c <= "\udfff"), None)
    if bad is not None:
        raise SceneError(f"scene.{where}: contains the character U+{ord(bad):04X}, which no prompt can hold")


def _special_tokens(loaded: LoadedModel) -> list[str]:
    tokenizer, processor = loaded.tokenizer, loaded.processor
    tokens = {str(token) for token in tokenizer.all_special_tokens}
    tokens |= {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
    media = (getattr(processor, name, None) for name in ("image_token", "video_token", "audio_token"))
    return sorted(tokens | {token for token in media if isinstance(token, str) and token})


def _private_character(text: str) -> str:
    """Return a character that the text does not hold and no template writes."""
    return next(chr(code) for code in range(0xE000, 0xF8FF) if chr(code) not in text)


def _apply(loaded: LoadedModel, system: str | None, media: Sequence[str], block: str, *, plain: bool = False) -> str:
    """Render the chat template; `plain` gives the system message as a string instead of a list of parts."""
    content = [*({"type": kind} for kind in media), {"type": "text", "text": block}]
    messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
    if system is not None:
        messages.insert(0, {"role": "system", "content": system if plain else [{"type": "text", "text": system}]})
    of_tokenizer = getattr(loaded.tokenizer, "chat_template", None)
    own = {} if getattr(loaded.processor, "chat_template", None) else {"chat_template": of_tokenizer}
    try:
        return str(loaded.processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False, **own))
    except Exception as error:
        raise ModelError(
            f"{loaded.id}: the chat template cannot be rendered ({' '.join(str(error).split())[:200]})"
        ) from None


def _around(loaded: LoadedModel, text: str, mark: str, what: str) -> tuple[str, str]:
    if text.count(mark) != 1:
        raise ModelError(f"{loaded.id}: the chat template writes {what} {text.count(mark)} times instead of once")
    before, _, after = text.partition(mark)
    return before, after


def _system_prompt(loaded: LoadedModel, media: Sequence[str], block: str, mark: str) -> tuple[bool, str, str] | None:
    """Find how a system message is taken: as a string?, the text before and after it; None if not at all."""
    for plain in (False, True):
        try:
            probe = _apply(loaded, mark, media, block, plain=plain)
        except ModelError:
            continue
        before, written, after = probe.partition(mark)
        printed_as_list = before.endswith("'text': '")
        if written and mark not in after and not printed_as_list:
            return plain, before, after
    return None
