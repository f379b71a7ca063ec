"""Reading files of any size piece by piece: lines, JSON items, XML elements; one clear line where a file is broken.

The memory is that of the largest piece, never of the file.
"""

from __future__ import annotations

import codecs
import io
import math
import mmap
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any
from xml.etree import ElementTree

from attnscope.errors import SceneError
from attnscope.files import open_regular
from attnscope.scene.problems import show

_LONGEST_LINE = 2**20  # characters; a longer one is no line of text
# A backslash that stands for itself, a pair of surrogates, or (in the group) half of one.
_SURROGATES = re.compile(rb"\\\\|\\u[dD][89abAB]\w\w\\u[dD][c-fC-F]\w\w|(\\u[dD][89a-fA-F]\w\w)")


def text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines of a text file without their ends, and their numbers from 1.

    Text is UTF-8, with or without a byte order mark, or UTF-16 with one.

    Raises:
        SceneError: The file is missing, no regular file, in another encoding, or holds a line of more than 1 MiB.
    """
    with open_regular(path, SceneError) as file:
        start = file.read(2)
        file.seek(0)
        encoding = "utf-16" if start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"
        with io.TextIOWrapper(file, encoding) as text:
            number = 0
            while line := _line(path, text, number + 1):
                number += 1
                if len(line) > _LONGEST_LINE:
                    raise SceneError(f"{path}: line {number}: has more than {_LONGEST_LINE:,} characters")
                yield number, line.rstrip("\r\n")


def _line(path: Path, text: IO[str], number: int) -> str:
    try:
        return text.readline(_LONGEST_LINE + 1)
    except UnicodeError:
        raise SceneError(f"{path}: line {number} or after: not UTF-8 text; save it as UTF-8") from None


def json_items(path: Path, prefix: str) -> Iterator[Any]:
    """The values at a place of a JSON file, one at a time.

    Args:
        path: The file.
        prefix: Where they stand, as ijson writes it: `item` for those of a list, `annotations.item` for those of a
            list inside an object.

    Raises:
        SceneError: The file cannot be read, or is not JSON.
    """
    import ijson

    with open_regular(path, SceneError) as file:
        try:
            yield from ijson.items(_without_mark(file), prefix, use_float=True)
        except (ijson.JSONError, UnicodeDecodeError) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise SceneError(f"{path}: not valid JSON: {reason}") from None


def json_members(path: Path) -> Iterator[tuple[str, Any]]:
    """The keys and values of the object that a JSON file is, one at a time.

    Raises:
        SceneError: As `json_items`, or if it is no object.
    """
    import ijson

    with open_regular(path, SceneError) as file:
        try:
            if next(ijson.basic_parse(_without_mark(file)))[0] != "start_map":
                raise SceneError(f"{path}: is no JSON object")
            file.seek(0)
            yield from ijson.kvitems(_without_mark(file), "", use_float=True)
        except (ijson.JSONError, UnicodeDecodeError) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise SceneError(f"{path}: not valid JSON: {reason}") from None


def json_keys(path: Path) -> list[str] | None:
    """The keys of the object that a JSON file is, None if it is no object; its values are passed over.

    Raises:
        SceneError: As `json_items`.
    """
    import ijson

    keys = []
    with open_regular(path, SceneError) as file:
        try:
            for prefix, event, value in ijson.parse(_without_mark(file), use_float=True):
                if prefix == "" and event == "map_key":
                    keys.append(value)
                elif prefix == "" and event not in ("start_map", "end_map"):
                    return None
        except (ijson.JSONError, UnicodeDecodeError) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise SceneError(f"{path}: not valid JSON: {reason}") from None
    return keys


def has_half_characters(path: Path) -> bool:
    """Whether a JSON file holds escapes of lone surrogates, of which ijson makes question marks.

    Raises:
        SceneError: The file cannot be read.
    """
    with open_regular(path, SceneError) as file:
        if not file.read(1):
            return False
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return any(match[1] for match in _SURROGATES.finditer(data))


def _without_mark(file: IO[bytes]) -> IO[bytes]:
    if file.read(3) != codecs.BOM_UTF8:
        file.seek(0)
    return file


def xml_elements(
    path: Path, file: IO[bytes], root: str, whole: tuple[str, ...] = ()
) -> Iterator[tuple[str, ElementTree.Element, list[str]]]:
    """The beginnings and ends of the elements of an XML file.

    Children and grandchildren of the outermost element are dropped once they have ended, so that neither the file nor
    a long track of it fills the memory.

    Args:
        path: Named in errors.
        file: The file, opened.
        root: Tag of the outermost element.
        whole: Tags of children whose own children are kept until they end.

    Yields:
        "start" or "end", the element, and the tags from the root down to it. Attributes are complete at its start;
        text and children are at its end.

    Raises:
        SceneError: The file is not XML, or its outermost element is another.
    """
    parents: list[ElementTree.Element] = []
    tags: list[str] = []
    try:
        for event, element in ElementTree.iterparse(file, events=("start", "end")):
            if event == "start":
                if not tags and element.tag != root:
                    raise SceneError(f"{path}: begins with <{element.tag}>, and <{root}> was expected")
                tags.append(element.tag)
                parents.append(element)
            yield event, element, tags
            if event == "end":
                parents.pop()
                tags.pop()
                if len(tags) == 1 or (len(tags) == 2 and tags[1] not in whole):
                    parents[-1].remove(element)
    except ElementTree.ParseError as error:
        raise SceneError(f"{path}: not valid XML: {error}") from None


def number(value: Any) -> float | None:
    """A finite number, from a number or from text; None if it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str) and not re.fullmatch(r"\s*[+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?\s*", value):
        return None  # no "nan", "1_000" or digits of other scripts
    try:
        result = float(value)
    except (ValueError, OverflowError):
        return None
    return result if math.isfinite(result) else None


def whole(value: Any) -> int | None:
    """A whole number, from a number or from text such as `12` or `12.0`; None if it is none."""
    result = number(value)
    return int(result) if result is not None and result.is_integer() and abs(result) < 2**53 else None


def name_of(value: Any) -> str:
    """A name as text: that of text without white space at its ends, and a whole number as it is written."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    return str(value).strip()


def not_a_number(field: str, value: Any) -> str:
    """The end of a message about a field that should hold a number."""
    return f"{field} {show(value)} is not a number"
