"""What the social bias reads in a question, and what it refuses, in one line."""

from __future__ import annotations

import pytest
import torch

import attnscope
from attnscope.correct import SocialBias, bind, make
from attnscope.errors import RequestError
from attnscope.scene import Scene
from attnscope.scene.mentions import mentions
from tests.capture.eager import make_prompt

BOTH = "Does Ben answer what Ada's friend asked?"
ADA = "What does Ada hold?"
NOBODY = "Who has the tickets, an Adam?"


@pytest.fixture(scope="module")
def loaded(checkpoint):
    return attnscope.load(str(checkpoint("qwen2_5_vl")), dtype="float32")


@pytest.fixture
def ask(loaded, drawn):
    """`ask(question)`: the prompt of the shared clip with that question."""
    scene = Scene.read(drawn)
    return lambda question: make_prompt(loaded, scene.model_copy(update={"question": question}))


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("What does Ada hold?", ["Ada"]),
        ("Is it Ada's, or Ben's?", ["Ada", "Ben"]),
        ("Adam or ada?", []),
        ("What does Ben  Lee hold?", ["Ben Lee"]),
        ("Ben Leeds?", ["Ben"]),
        (None, []),
    ],
)
def test_whole_names_of_the_question(drawn, question, found):
    scene = Scene.read(drawn)
    speakers = scene.speakers | {"Ben Lee": scene.speakers["Ben"]}
    scene = scene.model_copy(update={"question": question, "speakers": speakers})
    assert [name for _, _, name in mentions(scene)] == found
    assert all(question[a:b].split() == name.split() for a, b, name in mentions(scene))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rows": "answers"}, 'social-bias.rows="answers": "answers" is none of utterances, question, answer'),
        ({"rows": "answer,"}, 'social-bias.rows="answer,": "" is none of utterances, question, answer'),
        ({"toward": "Ada"}, 'social-bias.toward="Ada": is about the answer, and rows is "utterances"'),
        ({"heads": "2"}, 'social-bias.heads="2": "2" is not a layer and a head, like 12.3'),
        ({"heads": "2.1,3.-1"}, 'social-bias.heads="2.1,3.-1": "3.-1" is not a layer and a head, like 12.3'),
        ({"strength": "linear"}, 'social-bias.strength="linear": choose from logit, constant'),
    ],
)
def test_parameters_out_of_range(fields, message):
    with pytest.raises(RequestError) as caught:
        make("social-bias", **fields)
    assert str(caught.value) == message


TOWARD = 'say whose cells the answer is drawn to with toward="NAME"'


@pytest.mark.parametrize(
    ("question", "fields", "message"),
    [
        (NOBODY, {"rows": "answer"}, f'the question "{NOBODY}" names no speaker with a box; {TOWARD}'),
        (BOTH, {"rows": "answer"}, f'the question "{BOTH}" names Ben and Ada; {TOWARD}'),
        (BOTH, {"rows": "answer", "toward": "other"}, f'the question "{BOTH}" names Ben and Ada; {TOWARD}'),
        (None, {"rows": "answer"}, f"the scene has no question; {TOWARD}"),
        (
            NOBODY,
            {"rows": "utterances,question"},
            'rows="question" needs a question that names a speaker with a visible box,'
            f' and the question "{NOBODY}" names none',
        ),
        (
            ADA,
            {"rows": "answer", "toward": "Eve"},
            'toward="Eve": is no speaker with a box; choose from Ada, Ben, or asked, other, everyone, visual, random',
        ),
    ],
)
def test_a_question_that_does_not_say_whose_cells(loaded, ask, question, fields, message):
    prompt = ask(question)
    with pytest.raises(RequestError) as caught:
        bind(loaded, prompt, [SocialBias(**fields)])
    assert str(caught.value) == f"{prompt.scene.video}: {message}"


def test_names_are_compared_by_what_can_be_seen(loaded, ask):
    prompt = ask(NOBODY)
    drawn = [
        bind(loaded, prompt, [SocialBias(rows="answer", toward=name)])[0].targets[0].cells
        for name in ("Ada", "\u200fAda\u00a0", "A\u200bda")
    ]
    assert torch.equal(drawn[0], drawn[1]) and torch.equal(drawn[0], drawn[2])
    with pytest.raises(RequestError, match=r'everyone, visual, random; did you mean "Ada"\?$'):
        bind(loaded, prompt, [SocialBias(rows="answer", toward="ADA")])


def test_the_right_answer_is_not_read(loaded, drawn):
    """The same cells whatever the answer is, and no help where the question names nobody."""
    scene = Scene.read(drawn)
    drawn = []
    for answer in ("Ada", "Ben", None):
        prompt = make_prompt(loaded, scene.model_copy(update={"question": ADA, "answer": answer}))
        drawn.append(bind(loaded, prompt, [SocialBias(rows="answer")])[0].targets[0].cells)
    assert torch.equal(drawn[0], drawn[1]) and torch.equal(drawn[0], drawn[2])
    with pytest.raises(RequestError, match="names no speaker with a box"):
        asked = scene.model_copy(update={"question": NOBODY, "answer": "Ben"})
        bind(loaded, make_prompt(loaded, asked), [SocialBias(rows="answer")])


def test_speakers_out_of_sight(loaded, drawn):
    """Ben has a box, but never on the frames."""
    scene = Scene.read(drawn)
    data = scene.to_dict()
    for keyframe in data["speakers"]["Ben"]["segments"][0]["keyframes"]:
        keyframe["xyxy"] = [-90.0, -90.0, -50.0, -50.0]
    hidden = Scene.from_dict(data)
    prompt = make_prompt(loaded, hidden.model_copy(update={"question": ADA}))
    for toward, message in {
        "Ben": "the answer is to be drawn to Ben, whose box covers no visual token",
        "other": 'toward="other" needs a speaker with a visible box beside Ada, and the scene has none',
    }.items():
        with pytest.raises(RequestError) as caught:
            bind(loaded, prompt, [SocialBias(rows="answer", toward=toward)])
        assert str(caught.value) == f"{scene.video}: {message}"
    alone = hidden.model_copy(update={"speakers": {"Ben": hidden.speakers["Ben"]}, "question": BOTH})
    with pytest.raises(RequestError, match="draws the answer to cells of speakers, and no box covers one"):
        bind(loaded, make_prompt(loaded, alone), [SocialBias(rows="answer", toward="visual")])
    with pytest.raises(RequestError, match=r"names a speaker with a visible box, and the question .* names none"):
        bind(loaded, make_prompt(loaded, alone), [SocialBias(rows="question")])


@pytest.mark.parametrize(
    ("heads", "message"),
    [
        ("0.1,9.0", 'heads="9.0": layer 9 is not one of the layers with attention, 0-3'),
        ("0.1,0.4", 'heads="0.4": the model has heads 0-3 in each layer'),
    ],
)
def test_heads_that_the_model_has_not(loaded, ask, heads, message):
    with pytest.raises(RequestError) as caught:
        bind(loaded, ask(ADA), [SocialBias(heads=heads)])
    assert str(caught.value) == message
