"""The order of an examination: what is installed, then what a run shows."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from attnscope.doctor.diagnosis import Diagnosis, Finding, Section, reason
from attnscope.doctor.packages import backends, machine, packages


def examine(model: str | None = None) -> Diagnosis:
    """Examine the installation, and a model if one is given.

    Args:
        model: What `attnscope.load` takes; None to run the embedded model only.

    Returns:
        All sections; `healthy` says whether everything holds.

    Raises:
        ModelError: If `model` names nothing that could be loaded: no such folder, a folder without a checkpoint, or a
            name on the model hub that cannot be asked for.
    """
    return Diagnosis(tuple(sections(model)))


def sections(model: str | None = None) -> Iterator[Section]:
    """The sections of `examine`, each as soon as it is made.

    Args:
        model: As in `examine`.

    Raises:
        ModelError: As `examine`, before the first section.
    """
    if model is not None:
        _refuse_nothing(model)
    return _sections(model)


def _sections(model: str | None) -> Iterator[Section]:
    yield packages()
    yield machine()
    yield backends()
    from attnscope.doctor import running

    with _quiet():
        yield from _run(running.EMBEDDED, "Run of the embedded model", embedded=True)
        if model is not None:
            yield from _run(model, f"Model {model}", embedded=False)


def _run(name: str, title: str, *, embedded: bool) -> Iterator[Section]:
    from attnscope.doctor import running

    try:
        with running.trial(name) as subject:
            yield running.assumptions(subject)
            yield running.embedded(subject) if embedded else running.given(subject)
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
