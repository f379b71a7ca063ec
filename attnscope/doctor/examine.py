"""The order of an examination: what is installed, then what a run shows."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from attnscope.doctor.diagnosis import Diagnosis, Finding, Section, reason
from attnscope.doctor.packages import backends, machine, packages
from attnscope.errors import RequestError


def examine(model: str | None = None, *, places: bool = False) -> Diagnosis:
    """Examine the installation, and a model if one is given.

    Args:
        model: What `attnscope.load` takes; None to run the embedded model only.
        places: Also put the places of the model's visual tokens to the test, on frames of several forms.

    Returns:
        All sections; `healthy` says whether everything holds.

    Raises:
        RequestError: If places are asked for without a model.
        ModelError: If `model` names nothing that could be loaded: no such folder, a folder without a checkpoint, or a
            name on the model hub that cannot be asked for.
    """
    return Diagnosis(tuple(sections(model, places=places)))


def sections(model: str | None = None, *, places: bool = False) -> Iterator[Section]:
    """The sections of `examine`, each as soon as it is made.

    Args:
        model: As in `examine`.
        places: As in `examine`.

    Raises:
        RequestError: If places are asked for without a model.
        ModelError: As `examine`, before the first section.
    """
    if places and model is None:
        raise RequestError("the places of visual tokens are those of a model: name one")
    if model is not None:
        _refuse_nothing(model)
    return _sections(model, places=places)


def _sections(model: str | None, *, places: bool) -> Iterator[Section]:
    yield packages()
    yield machine()
    yield backends()
    from attnscope.doctor import running

    with _quiet():
        yield from _run(running.EMBEDDED, "Run of the embedded model", embedded=True)
        if model is not None:
            yield from _run(model, f"Model {model}", embedded=False, places=places)


def _run(name: str, title: str, *, embedded: bool, places: bool = False) -> Iterator[Section]:
    from attnscope.doctor import running

    try:
        with running.trial(name) as subject:
            yield running.assumptions(subject)
            yield running.embedded(subject) if embedded else running.given(subject)
            if places:
                from attnscope.doctor.places import places as places_of

                yield places_of(subject.model)
    except Exception as error:
        yield Section(title, (Finding("run", "fail", reason(error)),))


def _refuse_nothing(model: str) -> None:
    """Refuse a name that is no model at all, before anything is run."""
    try:
        from attnscope.model.adapter import base_of, is_adapter
        from attnscope.model.folder import check_folder, check_hub, embedded_folder, local_folder
    except Exception:  # a package is broken: the sections say which
        return
    if embedded_folder(model):
        return
    folder = local_folder(model)
    if folder is None:
        check_hub(model)
    elif is_adapter(folder):
        _refuse_nothing(base_of(folder))
    else:
        check_folder(folder, use_safetensors=True)


@contextmanager
def _quiet() -> Iterator[None]:
    """Progress lines of the runs are no part of a report."""
    logger = logging.getLogger("attnscope")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
