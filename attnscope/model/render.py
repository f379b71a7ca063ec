"""Write the prompt, and know by construction which characters of it are whose.

The first message holds the media, then one block of text; earlier turns of a chat (`Scene.history`) and the question
follow as messages of their own. Where the chat template puts each text (and its own system prompt) is learnt by
rendering once more with a private character in place of each: spans are exact, and nothing is ever searched for in the
text.
"""

from __future__ import annotations

import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from attnscope.errors import ModelError, RequestError, SceneError
from attnscope.vocabulary import HISTORY, QUESTION, SYSTEM, TRANSCRIPT

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
        role: "system", "transcript", "history" or "question".
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
        blocks: First and one past the last character of what each message of user and assistant says.
    """

    text: str
    spans: list[Span]
    blocks: list[tuple[int, int]]


class _SystemForm(NamedTuple):
    """How a chat template takes a system message: as a string?, and the prompt before and after it."""

    plain: bool
    before: str
    after: str


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
    messages = _write(scene, template)
    for where, text in _texts(scene):
        _refuse_special_tokens(loaded, where, text)
    texts = ["".join(text for text, _, _ in parts) for parts in messages]
    marks = _private_characters("".join(texts) + (scene.system or ""), len(texts) + 1)
    text, around, form = _filled(loaded, scene.system, media, texts, marks)
    spans, blocks, position = list[Span](), list[tuple[int, int]](), 0
    for before, parts in zip(around, messages, strict=False):  # one more stands behind the last message
        position += len(before)
        start = position
        for written, role, turn in parts:
            spans.append(Span(position, position + len(written), role, turn))
            position += len(written)
        blocks.append((start, position))
    if form is not None:
        start, end = len(form.before), len(text) - len(form.after)
        if text.startswith(form.before) and text.endswith(form.after) and start < end:
            spans.insert(0, Span(start, end, SYSTEM))
    return Rendered(text, spans, blocks)


def _write(scene: Scene, template: str) -> list[list[tuple[str, str, int]]]:
    """What the messages of the chat say, from a user's on: parts with their text, role and turn.

    The first holds the turns, a blank line and what was asked first; the last the question with its options.
    """
    first: list[tuple[str, str, int]] = []
    for number, turn in enumerate(scene.transcript):
        if first:
            first.append(("\n", TRANSCRIPT, -1))
        first.append((_line(template, turn, number), TRANSCRIPT, number))
    asked = scene.question or ""
    if scene.options:
        options = "\n".join(f"- {option}" for option in scene.options)
        asked = f"{asked}\nOptions:\n{options}\nAnswer with one of the options.".strip()
    messages = [[(message.text, HISTORY, -1)] for message in scene.history]
    messages.append([(asked, QUESTION, -1)] if asked else [])
    if first and messages[0]:
        first.append(("\n\n", TRANSCRIPT, -1))
    messages[0] = first + messages[0]
    return messages


def user_text(scene: Scene, template: str = DEFAULT_TEMPLATE) -> str:
    """What the user's message says of a scene without earlier messages, before any chat template."""
    return "".join(text for text, _, _ in _write(scene, template)[0])


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
    for number, message in enumerate(scene.history):
        yield f"history[{number}].text", message.text
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


def _private_characters(text: str, count: int) -> list[str]:
    """Characters that the text does not hold and no template writes."""
    free = (chr(code) for code in range(0xE000, 0xF8FF) if chr(code) not in text)
    return [next(free) for _ in range(count)]


def _filled(
    loaded: LoadedModel, system: str | None, media: Sequence[str], texts: Sequence[str], marks: Sequence[str]
) -> tuple[str, list[str], _SystemForm | None]:
    """The prompt, what the chat template writes around each message, and how it takes a system message.

    Args:
        loaded: The model.
        system: The system message, None for none.
        media: Types of the media parts of the first message.
        texts: What user and assistant say, in turns.
        marks: A character for each of them, and one for the system message.

    Raises:
        ModelError: The template does not write each message once and as it is.
    """
    if len(texts) == 1:
        return _filled_as(loaded, system, media, texts, marks, flat=False)
    problem: ModelError | None = None
    for flat in (False, True):  # templates take later messages as lists of parts, as strings, or both
        try:
            return _filled_as(loaded, system, media, texts, marks, flat=flat)
        except ModelError as error:
            problem = problem or error
    why = str(problem).removeprefix(f"{loaded.id}: ")
    raise ModelError(f"{loaded.id}: cannot take earlier messages (scene.history): {why}")


def _filled_as(
    loaded: LoadedModel,
    system: str | None,
    media: Sequence[str],
    texts: Sequence[str],
    marks: Sequence[str],
    *,
    flat: bool,
) -> tuple[str, list[str], _SystemForm | None]:
    form = _system_form(loaded, media, texts, marks[-1], flat=flat)
    if system is not None and form is None:
        raise ModelError(f"{loaded.id}: the chat template does not take a system message (scene.system)")
    plain = form is not None and form.plain
    text = _apply(loaded, system, media, texts, plain=plain, flat=flat)
    rest = _apply(loaded, system, media, marks[:-1], plain=plain, flat=flat)
    what = "the user's text" if len(texts) == 1 else "a message"
    around = []
    for mark in marks[:-1]:
        before, rest = _around(loaded, rest, mark, what)
        around.append(before)
    around.append(rest)
    if text != "".join(part for pair in zip(around, [*texts, ""], strict=True) for part in pair):
        raise ModelError(f"{loaded.id}: the chat template changes {what}, so its tokens cannot be placed")
    return text, around, form


def _apply(
    loaded: LoadedModel,
    system: str | None,
    media: Sequence[str],
    texts: Sequence[str],
    *,
    plain: bool = False,
    flat: bool = False,
) -> str:
    """Render the chat template.

    Args:
        loaded: The model.
        system: The system message, None for none.
        media: Types of the media parts of the first message.
        texts: What user and assistant say, in turns; the user begins.
        plain: Give the system message as a string instead of a list of parts.
        flat: Likewise the later messages.
    """
    messages: list[dict[str, Any]] = []
    for number, text in enumerate(texts):
        parts = [{"type": "text", "text": text}]
        content: Any = text if flat and number else [*({"type": kind} for kind in media if not number), *parts]
        messages.append({"role": ("user", "assistant")[number % 2], "content": content})
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


def _system_form(
    loaded: LoadedModel, media: Sequence[str], texts: Sequence[str], mark: str, *, flat: bool
) -> _SystemForm | None:
    """Find how a system message is taken; None if not at all."""
    for plain in (False, True):
        try:
            probe = _apply(loaded, mark, media, texts, plain=plain, flat=flat)
        except ModelError:
            continue
        before, written, after = probe.partition(mark)
        printed_as_list = before.endswith("'text': '")
        if written and mark not in after and not printed_as_list:
            return _SystemForm(plain, before, after)
    return None
