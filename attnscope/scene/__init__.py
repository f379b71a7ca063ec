"""What the model is shown: frames of a video, who is where in it, what is said, and what is asked."""

from attnscope.scene.boxes import Boxes, boxes_at, scene_boxes
from attnscope.scene.findings import Finding
from attnscope.scene.frames import Frames, Medium
from attnscope.scene.importers.registry import importer
from attnscope.scene.importers.speech.transcripts import read_transcript
from attnscope.scene.joining.run import Imported, import_scenes
from attnscope.scene.media import check_against, read_frames, read_scene_frames
from attnscope.scene.models import Further, Keyframe, Message, Sampling, SceneQuestion, Segment, Speaker, Turn
from attnscope.scene.preview import ScenePreview, preview_scene
from attnscope.scene.read import read_speakers
from attnscope.scene.records import BoxRecord, LeftOut, Note, QuestionRecord, SampleRecord, SpeechRecord, Word
from attnscope.scene.scene import Scene

__all__ = [
    "BoxRecord",
    "Boxes",
    "Finding",
    "Frames",
    "Further",
    "Imported",
    "Keyframe",
    "LeftOut",
    "Medium",
    "Message",
    "Note",
    "QuestionRecord",
    "SampleRecord",
    "Sampling",
    "Scene",
    "ScenePreview",
    "SceneQuestion",
    "Segment",
    "Speaker",
    "SpeechRecord",
    "Turn",
    "Word",
    "boxes_at",
    "check_against",
    "import_scenes",
    "importer",
    "preview_scene",
    "read_frames",
    "read_scene_frames",
    "read_speakers",
    "read_transcript",
    "scene_boxes",
]
