"""A scene from what a command line gives: a scene file, single files and words, or both."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from attnscope.errors import Argument, SceneError
from attnscope.files import exists, is_folder, real_path
from attnscope.scene.manifests.fields import SUFFIXES
from attnscope.scene.manifests.reading import ManifestReader
from attnscope.scene.read import files_to_dict
from attnscope.scene.scene import Scene


def scene_from_flags(
    scene: Path | None,
    video: Path | None,
    *,
    id: str | None = None,
    transcript: Path | None = None,
    speakers: Path | None = None,
    question: str | None = None,
    options: Sequence[str] = (),
    answer: str | None = None,
    merge_rolling: bool = True,
    question_id: str | None = None,
) -> Scene:
    """Read a scene file if there is one, and let everything else that is given replace its fields.

    Args:
        scene: A scene file, or a manifest, of which `id` names the question.
        video: Video, image or folder of frames; needed if there is no scene file.
        id: Names a question of a manifest.
        transcript: .srt, .vtt or .json, or `FORMAT:PATH`.
        speakers: .json, or `FORMAT:PATH`.
        question: What the model is asked; if it replaces the file's question, the file's options and answer go too.
        options: Answers to choose from.
        answer: The right answer.
        merge_rolling: Keep each line of rolling captions once.
        question_id: Which of the file's `questions` is asked.

    Raises:
        SceneError: If neither a scene file nor a video is given, or one of them is wrong.
    """
    if scene is None:
        if id is not None:
            raise SceneError(Argument("id", id), ": names a question of a manifest; give one as ", Argument("scene"))
        if video is None:
            raise SceneError("capture: give a ", Argument("video"), ", or a ", Argument("scene"), " that names one")
        if question_id is not None:
            raise SceneError(Argument("question_id", question_id), ": is of a scene file that holds `questions`")
        return Scene.from_files(video, transcript, speakers, question, options, answer, merge_rolling=merge_rolling)
    base = _base(scene, video, id)
    if question is not None and question_id is not None:
        raise SceneError(Argument("question_id", question_id), ": is given beside a question")
    base = base.model_copy(update={"questions": []}) if question is not None else base.asking(question_id)
    replaced, notes = files_to_dict(base.video, transcript, speakers, None, merge_rolling)
    if transcript is None:
        notes = base.notes
    if question is not None:
        replaced |= {"question": question, "options": [], "answer": None}
    if options:
        replaced |= {"options": list(options), "answer": None}
    if answer is not None:
        replaced["answer"] = answer
    return Scene.model_validate({**base.model_dump(), **replaced}, context={"notes": notes})


def _base(path: Path, video: Path | None, id: str | None) -> Scene:
    """The scene of a file, or of a question of a manifest."""
    is_manifest = path.suffix.lower() in SUFFIXES or is_folder(path, SceneError)
    if not is_manifest and id is None:
        return Scene.read(path, video=video)
    if not is_manifest:
        raise SceneError(Argument("id", id), f": names a question of a manifest, and {path} is a scene")
    if id is None:
        raise SceneError(f"{path}: is a manifest: say which of its questions with ", Argument("id"))
    scene = ManifestReader(path, must_exist=video is None).find(id).scene
    if video is None:
        return scene
    if not exists(video, SceneError):
        raise SceneError(f"{video}: no such file")
    return scene.model_copy(update={"video": real_path(video)})
