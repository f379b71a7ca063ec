"""Reading JSON, and turning whatever is wrong with it into one line that names file, field and value."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from attnscope.errors import SceneError
from attnscope.errors import show as show
from attnscope.files import read_bytes

_SURROGATE = re.compile("[\ud800-\udfff]")
_PLAIN_KEY = re.compile(r"[\w-]+")

# pydantic's error types, said the way a person who wrote the file would say it; {value} is what the file
# holds
_MESSAGES = {
    "missing": "is missing",
    "extra_forbidden": "is not a field of this format",
    "finite_number": "{value} is not a finite number",
    "float_type": "{value} is not a number",
    "int_type": "{value} is not a whole number",
    "int_from_float": "{value} is not a whole number",
    "string_type": "{value} is not text",
    "string_unicode": "holds a lone surrogate, which is half a character",
    "string_too_short": "is empty",
    "path_type": "{value} is not a path",
    "list_type": "{value} is not a list",
    "tuple_type": "{value} is not a list",
    "dict_type": "{value} is not an object",
    "model_type": "{value} is not an object",
    "too_short": "is empty",
    "too_long": "holds {actual_length} items, at most {max_length} fit",
    "greater_than": "{value} is not greater than {gt:g}",
    "greater_than_equal": "{value} is less than {ge:g}",
    "less_than_equal": "{value} is more than {le:g}",
    "literal_error": "{value} is not one of {expected}",
}


class _Repeated(dict[str, Any]):
    """A JSON object in which one key was written twice."""

    key: str = ""


def seconds(value: float) -> str:
    """A time or rate as a message shows it: at most three decimals, no trailing zeros."""
    return f"{value:.3f}".rstrip("0").rstrip(".")


def field_path(location: Sequence[str | int]) -> str:
    """The name of a field inside a file, such as `speakers.Guest.segments[0].start`."""
    path = ""
    for part in location:
        if part == "[key]":  # pydantic's mark for "the key itself is wrong"
            continue
        if isinstance(part, int):
            path += f"[{part}]"
        elif _PLAIN_KEY.fullmatch(part):
            path += f".{part}" if path else part
        else:
            path += f"[{json.dumps(part, ensure_ascii=False)}]"
    return path.encode("utf-8", "backslashreplace").decode()  # a lone surrogate as its number


def one_line(source: str, error: ValidationError, root: Sequence[str | int] = ()) -> str:
    """The first problem of a pydantic error in one line, and how many more there are.

    Args:
        source: The file (or "scene", "sampling") that was read.
        error: What pydantic raised.
        root: Where in the file the value that was validated stands, put before its paths.

    Returns:
        For example `scene.json: speakers.Guest.segments[0].start: -1 is less than 0`.
    """
    problems = located(error, root)
    path, message = problems[0]
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    line = ": ".join(part for part in (source, path, message) if part) + more
    return " ".join(line.encode("utf-8", "backslashreplace").decode().split())


def located(error: ValidationError, root: Sequence[str | int] = ()) -> list[tuple[str, str]]:
    """All problems of a pydantic error: the field of each, and what is wrong there.

    Args:
        error: What pydantic raised.
        root: As in `one_line`.
    """
    return [_located(problem, root) for problem in error.errors(include_url=False)]


def _located(problem: Any, root: Sequence[str | int]) -> tuple[str, str]:
    path, context = field_path((*root, *problem["loc"])), problem.get("ctx", {})
    if problem["type"] != "value_error":
        message = _MESSAGES.get(problem["type"], problem["msg"])
        return path, message.format(**{**context, "value": show(problem["input"])})
    message = str(context["error"])
    if not message.startswith((".", "[")):
        return path, message
    inner, _, message = message.partition(": ")  # a validator of an object names the field inside it
    return (path + inner if path else inner.removeprefix(".")), message


def read_text(path: Path) -> str:
    """Read a text file in UTF-8, or in UTF-16 if it says so with a byte order mark.

    Raises:
        SceneError: The file is missing, no regular file, unreadable, empty, in another encoding, or larger than
            `attnscope.files.TEXT_LIMIT`.
    """
    return decoded(path, read_bytes(path, error=SceneError))


def decoded(path: Path, raw: bytes) -> str:
    """The text in the bytes of a file; see `read_text`."""
    encoding = "utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as error:
        raise SceneError(
            f"{path}: not UTF-8 text (byte 0x{raw[error.start]:02x} at offset {error.start}); save it as UTF-8"
        ) from None
    if not text.strip():
        raise SceneError(f"{path}: the file is empty")
    return text


def read_json(path: Path, half_characters: bool = False) -> Any:
    """Read a JSON file; a key that is written twice in one object is an error, not a silent choice.

    Args:
        path: The file.
        half_characters: Let texts hold lone surrogates, which no file can; see `has_half_character`.

    Raises:
        SceneError: The file cannot be read, is not JSON, repeats a key, or holds text that no file can.
    """
    try:
        data = json.loads(read_text(path), object_pairs_hook=_object)
        repeated, surrogate = _find_repeated(data, ()), None if half_characters else _find_surrogate(data, ())
    except json.JSONDecodeError as error:
        raise SceneError(f"{path}: not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise SceneError(f"{path}: not valid JSON: nested too deeply") from None
    except ValueError:  # Python's limit, against numbers that take quadratic time
        raise SceneError(f"{path}: holds a number of more digits than can be read") from None
    if repeated is not None:
        raise SceneError(f"{path}: {field_path(repeated)}: is given twice")
    if surrogate is not None:
        raise SceneError(f"{path}: {field_path(surrogate)}: holds a lone surrogate, which is half a character")
    return data


def has_half_character(data: Any) -> bool:
    """Whether a text in a JSON value holds a lone surrogate."""
    return _find_surrogate(data, ()) is not None


def _find_surrogate(data: Any, location: tuple[str | int, ...]) -> tuple[str | int, ...] | None:
    """Where the first text stands that JSON's escapes have made of half a character."""
    if isinstance(data, str):
        return location if _SURROGATE.search(data) else None
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        if isinstance(key, str) and _SURROGATE.search(key):
            return (*location, key)
        where = _find_surrogate(value, (*location, key))
        if where is not None:
            return where
    return None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    plain = dict(pairs)
    if len(plain) == len(pairs):
        return plain
    marked = _Repeated(plain)
    names = [key for key, _ in pairs]
    marked.key = next(key for number, key in enumerate(names) if key in names[:number])
    return marked


def _find_repeated(data: Any, location: tuple[str | int, ...]) -> tuple[str | int, ...] | None:
    if isinstance(data, _Repeated):
        return (*location, data.key)
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        place = _find_repeated(value, (*location, key))
        if place is not None:
            return place
    return None


def written(value: Any) -> str:
    """The value of an option as a user would write it."""
    if value is None or value == "":
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)
