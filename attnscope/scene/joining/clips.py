"""Which names of clips mean one clip: sources are joined by the name of the video, without its folder and suffix.

Folders tell clips apart only where one source has the same file name in several folders (rule: ours).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from attnscope.errors import SceneError
from attnscope.scene.names import clean_name, name_key
from attnscope.scene.problems import show

VIDEO_SUFFIXES = frozenset(
    (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".mts", ".m2ts", ".ts", ".vob", ".wmv", ".flv")
) | {".ogv", ".3gp", ".gif"}
IMAGE_SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"))
_SOUND = frozenset((".wav", ".mp3", ".flac", ".m4a", ".aac", ".ogg", ".opus"))  # diarisation names the video's sound
_KNOWN = VIDEO_SUFFIXES | IMAGE_SUFFIXES | _SOUND


@dataclass
class Clip:
    """A clip that at least one source has.

    Attributes:
        name: Its video as the first source names it.
        fullest: The name that says most about its folder.
        numbers: Its names in the spool.
        sources: Numbers of the sources that have it.
    """

    name: str
    fullest: str
    numbers: list[int] = field(default_factory=list)
    sources: set[int] = field(default_factory=set)


def clip_path(name: str) -> tuple[str, ...]:
    """What is compared of a name: folders and the file's name without a known suffix, spelled as names are."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    if not parts:
        return ("",)
    return tuple(name_key(part) for part in [*parts[:-1], without_suffix(parts[-1])])


def without_suffix(name: str) -> str:
    """A file's name without a suffix of a video, picture or sound; other dots belong to the name."""
    path = PurePosixPath(name)
    return path.stem if path.suffix.lower() in _KNOWN and path.stem else name


def clips(names: Sequence[tuple[int, str]], titles: Sequence[str]) -> list[Clip]:
    """Join the names of all sources.

    Args:
        names: Number of a source, and a name in it.
        titles: What messages call each source.

    Returns:
        Clips in the order in which the sources name them first.

    Raises:
        SceneError: If a name without a folder may be two clips of another source.
    """
    same: dict[str, list[int]] = {}
    for number, (_, name) in enumerate(names):
        same.setdefault(clip_path(name)[-1], []).append(number)
    joined: list[tuple[int, Clip]] = []
    for group in same.values():
        for numbers in _apart(names, titles, group):
            called = [names[number][1] for number in numbers]
            fullest = max(called, key=lambda name: len(clip_path(name)))
            clip = Clip(clean_name(called[0]), fullest, numbers, {names[number][0] for number in numbers})
            joined.append((numbers[0], clip))
    return [clip for _, clip in sorted(joined, key=lambda pair: pair[0])]


def _apart(names: Sequence[tuple[int, str]], titles: Sequence[str], group: list[int]) -> list[list[int]]:
    """Names of one file name, those of one clip together."""
    paths = {number: clip_path(names[number][1]) for number in group}
    of_source: dict[int, set[tuple[str, ...]]] = {}
    for number in group:
        of_source.setdefault(names[number][0], set()).add(paths[number])
    if all(len(_longest(several)) == 1 for several in of_source.values()):
        return [group]
    longest = _longest(dict.fromkeys(paths.values()))
    together: dict[tuple[str, ...], list[int]] = {}
    for number in group:
        fits = [path for path in longest if _ends(path, paths[number])]
        if len(fits) > 1:
            source, name = names[number]
            raise SceneError(
                f"{titles[source]}: {show(name)} may be {' or '.join(show('/'.join(path)) for path in fits[:2])}; "
                "name it with its folder"
            )
        together.setdefault(fits[0], []).append(number)
    return list(together.values())


def _longest(paths: Iterable[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Those of some paths that are not the end of another one."""
    several = list(paths)
    return [path for path in several if not any(_ends(other, path) for other in several if other != path)]


def _ends(path: tuple[str, ...], end: tuple[str, ...]) -> bool:
    return len(end) <= len(path) and path[len(path) - len(end) :] == end
