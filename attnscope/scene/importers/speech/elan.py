"""Speech from ELAN's .eaf files.

A tier that hangs on no other is somebody's speech: the speaker is its PARTICIPANT, or else its name. Tiers that hang on
another one (translations, glosses, words cut out of sentences) say the same again, so they are left out unless they
are named; an annotation of such a tier has the times of the one that it refers to. Times are milliseconds of time
slots, and the clip is the video that the file names. An empty annotation is no record.

Slots and, where tiers are named, the spans of annotations are kept in a temporary database on disk, so that the memory
does not grow with the file.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote
from xml.etree.ElementTree import Element

from attnscope.errors import SceneError
from attnscope.files import open_regular
from attnscope.scene.importers.registry import importer
from attnscope.scene.importers.speech.textgrid import tiers_are_speakers
from attnscope.scene.importers.streaming import number, xml_elements
from attnscope.scene.problems import show
from attnscope.scene.records import LeftOut, Note, SpeechRecord

_ROOT = "ANNOTATION_DOCUMENT"
_MOST_STEPS = 50  # annotations that refer to one another
Span = tuple[float | None, float | None]


@importer(
    name="elan",
    yields=("turns", "words"),
    suffixes=(".eaf",),
    summary="speech from ELAN's .eaf files; each tier that hangs on no other is a speaker",
    documentation="https://www.mpi.nl/tools/elan/EAF_Annotation_Format_3.0_and_ELAN.pdf",
    unverified="TIME_ORIGIN of a video is added to its times; no file with one was at hand",
    counts_from="sound",
)
def read_elan(path: Path, *, tiers: str = "") -> Iterator[SpeechRecord | LeftOut | Note]:
    """Read the annotations of an .eaf file.

    Args:
        path: The file.
        tiers: Names of the tiers to read, with commas between them; those that hang on no other if empty.
    """
    wanted = {name.strip() for name in tiers.split(",") if name.strip()}
    missing = set(wanted)
    speakers: dict[str, None] = {}
    with closing(sqlite3.connect("")) as database:  # a temporary file that its closing removes
        source = _Source(path, database)
        if wanted:
            source.read_spans()
        for tier, element in source.annotations():
            name = tier.get("TIER_ID", "")
            missing.discard(name.strip())
            value = " ".join((element.findtext("ANNOTATION_VALUE") or "").split())
            if not value:
                continue
            where = f"tier {show(name)} {element.get('ANNOTATION_ID', '')}".strip()
            if wanted and name.strip() not in wanted:
                reason = "the tier is not among those to read"
            elif not wanted and tier.get("PARENT_REF"):
                reason = "the tier hangs on another one"
            else:
                speaker = (tier.get("PARTICIPANT") or name).strip()
                speakers[speaker] = None
                yield source.speech(where, speaker or None, element, value)
                continue
            yield LeftOut(where=where, clip=source.clip, what="turn", reason=reason, name=name)
        if missing:
            raise SceneError(f"{path}: there is no tier {show(sorted(missing)[0])}")
        if speakers and not wanted:
            yield Note(text=tiers_are_speakers(path, filter(None, speakers)))
        if source.origin:
            yield Note(text=f"{path.name}: times are moved by TIME_ORIGIN of the video, {source.origin:g} s")


class _Source:
    """Slots, spans and the head of a file."""

    def __init__(self, path: Path, database: sqlite3.Connection) -> None:
        self.path, self.database = path, database
        self.clip, self.origin, self.unit = "", 0.0, 0.001
        self.is_video = False
        database.execute("CREATE TABLE slots (id TEXT PRIMARY KEY, time REAL)")
        database.execute("CREATE TABLE spans (id TEXT PRIMARY KEY, start TEXT, stop TEXT, parent TEXT)")

    def annotations(self) -> Iterator[tuple[Element, Element]]:
        """The tier and the inner element of every annotation; slots and head are read on the way."""
        tier = Element("TIER")
        with open_regular(self.path, SceneError) as file:
            for event, element, tags in xml_elements(self.path, file, _ROOT):
                if event == "start":
                    tier = element if element.tag == "TIER" else tier
                    if element.tag == "HEADER":
                        self._header(element)
                elif element.tag == "MEDIA_DESCRIPTOR":
                    self._media(element)
                elif element.tag == "TIME_SLOT":
                    slot = element.get("TIME_SLOT_ID"), number(element.get("TIME_VALUE"))
                    self.database.execute("INSERT OR REPLACE INTO slots VALUES (?, ?)", slot)
                elif element.tag == "ANNOTATION" and len(tags) == 3:
                    yield from ((tier, inner) for inner in element)

    def read_spans(self) -> None:
        """Keep which slots or which other annotation every annotation refers to."""
        for _, element in self.annotations():
            row = tuple(map(element.get, ("ANNOTATION_ID", "TIME_SLOT_REF1", "TIME_SLOT_REF2", "ANNOTATION_REF")))
            self.database.execute("INSERT OR REPLACE INTO spans VALUES (?, ?, ?, ?)", row)

    def speech(self, where: str, speaker: str | None, element: Element, text: str) -> SpeechRecord:
        """The turn of an annotation; a slot between others may have no time."""
        refs = element.get("TIME_SLOT_REF1"), element.get("TIME_SLOT_REF2"), element.get("ANNOTATION_REF")
        start, end = self._span(*refs)
        end = None if start is None else end
        return SpeechRecord(where=where, clip=self.clip, speaker=speaker, start=start, end=end, text=text)

    def _span(self, first: str | None, last: str | None, parent: str | None) -> Span:
        for _ in range(_MOST_STEPS):
            if parent is None:
                break
            row = self.database.execute("SELECT start, stop, parent FROM spans WHERE id = ?", (parent,)).fetchone()
            first, last, parent = row or (None, None, None)
        return self._time(first), self._time(last)

    def _time(self, slot: str | None) -> float | None:
        row = self.database.execute("SELECT time FROM slots WHERE id = ?", (slot,)).fetchone()
        return None if row is None or row[0] is None else round(row[0] * self.unit + self.origin, 6)

    def _header(self, header: Element) -> None:
        units = header.get("TIME_UNITS", "milliseconds")
        if units != "milliseconds":
            raise SceneError(f"{self.path}: TIME_UNITS: {show(units)} is not milliseconds")

    def _media(self, media: Element) -> None:
        """The first video that the file names; sound alone counts where there is none."""
        is_video = (media.get("MIME_TYPE") or "").startswith("video")
        if self.clip and (self.is_video or not is_video):
            return
        address = media.get("MEDIA_URL") or media.get("RELATIVE_MEDIA_URL") or ""
        self.clip = unquote(address).replace("\\", "/").rpartition("/")[2]
        self.origin = (number(media.get("TIME_ORIGIN")) or 0.0) * self.unit
        self.is_video = is_video
