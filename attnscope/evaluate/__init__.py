"""Accuracy of a model on questions with options, plain and under corrections, with the statistics to trust it.

>>> from attnscope.evaluate import evaluate
>>> found = evaluate("path/to/checkpoint", "questions/manifest.jsonl", "eval-out")
>>> found.table(by=["task"])
"""

from attnscope.evaluate.evaluation import evaluate
from attnscope.evaluate.export import export_logs, export_task
from attnscope.evaluate.manifest import Manifest, Question, read_manifest
from attnscope.evaluate.result import Evaluation
from attnscope.evaluate.score import Score, score

__all__ = [
    "Evaluation",
    "Manifest",
    "Question",
    "Score",
    "evaluate",
    "export_logs",
    "export_task",
    "read_manifest",
    "score",
]
