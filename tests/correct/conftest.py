"""Fixtures that tests of several corrections share."""

from __future__ import annotations

import pytest

import attnscope
from tests.capture.eager import make_prompt


@pytest.fixture(scope="module")
def prepared(checkpoint, drawn):
    """`prepared(family)`: a model in float32 and the prompt of Ada and Ben, once a module."""
    made = {}

    def build(family):
        if family not in made:
            loaded = attnscope.load(str(checkpoint(family)), dtype="float32")
            made[family] = loaded, make_prompt(loaded, drawn)
        return made[family]

    return build
