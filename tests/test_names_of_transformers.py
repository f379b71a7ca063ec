"""Names inside transformers stand in one place: a rename there is mended there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PLACE = ROOT / "attnscope" / "transformers_names"
# What makes checkpoints writes their configurations, and trains them with an attention function of its own.
EXCEPTIONS = {ROOT / "attnscope" / "demo" / "train", ROOT / "attnscope" / "demo" / "checkpoint.py"}
NAMES = (
    "past_key_values",
    "get_seq_length",
    "_attn_implementation",
    "set_attn_implementation",
    "ALL_ATTENTION_FUNCTIONS",
    "eager_attention_forward",
    "AttentionInterface",
    "AttentionMaskInterface",
    "_local_mapping",
    "_global_mapping",
    "logits_to_keep",
    "mm_token_type_ids",
    "image_token_id",
    "image_token_index",
    "video_token_id",
    "audio_token_id",
    "audio_config",
    "thinker_config",
    "get_text_config",
    "get_decoder",
    "get_rope_index",
    "o_proj",
    "g_proj",
    "gate_proj",
    "qk_head_dim",
    "prepare_inputs_for_generation",
    "_validate_model_kwargs",
    "is_progress_bar_enabled",
    "disable_progress_bar",
)
SOURCES = sorted(
    path
    for folder in ("attnscope", "cli")
    for path in (ROOT / folder).rglob("*.py")
    if not {PLACE, *EXCEPTIONS} & {path, *path.parents}
)


def texts(tree):
    """Every name, argument, text and import of a module, with its line; docstrings and comments are left out."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        match node:
            case ast.Name(id=text) | ast.Attribute(attr=text) | ast.arg(arg=text) | ast.keyword(arg=str(text)):
                yield line, text
            case ast.Constant(value=str(text)) if id(node) not in docstrings:
                yield line, text
            case ast.ImportFrom(module=str(module)) if module.startswith("transformers."):
                yield line, f"from {module}"
            case ast.Import(names=names):
                yield from ((line, f"import {one.name}") for one in names if one.name.startswith("transformers."))


def broken(source):
    pattern = re.compile(rf"(?<!\w)(return_)?({'|'.join(NAMES)})(?!\w)|(from|import) transformers\.")
    return [(line, text) for line, text in texts(ast.parse(source)) if pattern.search(text)]


def test_no_name_inside_transformers_stands_elsewhere():
    found = {str(path.relative_to(ROOT)): broken(path.read_text(encoding="utf-8")) for path in SOURCES}
    assert len(found) > 200
    assert {path: lines for path, lines in found.items() if lines} == {}


def test_the_search_finds_names_wherever_they_stand():
    sources = (
        "model(past_key_values=1)",
        "inputs.get('mm_token_type_ids')",
        "def f(logits_to_keep): ...",
        "x = model.config._attn_implementation",
        "from transformers.utils import logging",
        "import transformers.cache_utils",
        "keys = {'return_mm_token_type_ids': True}",
    )
    for source in sources:
        assert broken(source), source
    fine = '"""Of past_key_values."""\nimport transformers\nfrom transformers import AutoConfig  # mm_token_type_ids\n'
    assert broken(fine + "print(transformers.__version__)") == []
