"""One spelling for names of a clip: those that differ in letter case or invisible characters alone are one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from pydantic import TypeAdapter, ValidationError

from attnscope.scene.models import Name
from attnscope.scene.names import name_key

_NAME: TypeAdapter[str] = TypeAdapter(Name)


def usable_name(name: str) -> str | None:
    """A name as a scene writes it; None if no scene can hold it."""
    try:
        return _NAME.validate_python(name)
    except ValidationError:
        return None


def one_spelling(counts: Mapping[str, int], given: Iterable[str] = ()) -> tuple[dict[str, str], list[str]]:
    """Choose the spelling that is there most often, of equal ones the first.

    Args:
        counts: How often each name is there, as a scene writes it.
        given: Names whose spelling is chosen already.

    Returns:
        The spelling of each name, and a sentence for each name that is written in several ways.
    """
    same: dict[str, Counter[str]] = {}
    for name, count in counts.items():
        same.setdefault(name_key(name).casefold(), Counter())[name] += count
    chosen, notes = dict[str, str](), []
    fixed = {name_key(name).casefold(): name for name in given}
    for key, spellings in same.items():
        best = fixed.get(key) or spellings.most_common(1)[0][0]
        chosen |= dict.fromkeys(spellings, best)
        others = [name for name in spellings if name_key(name) != name_key(best)]
        if others:
            verb = "is" if len(others) == 1 else "are"
            notes.append(f"names that differ in letter case alone are one speaker: {', '.join(others)} {verb} {best}")
    return chosen, notes
