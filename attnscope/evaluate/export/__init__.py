"""Evaluations and questions as other harnesses have them: lmms-eval's logs, and tasks that it can run.

Held against lmms-eval 0.7.3: the shape of its logs against the code that writes them, tasks by running them in it.
"""

from attnscope.evaluate.export.logs import export_logs
from attnscope.evaluate.export.task import export_task

__all__ = ["export_logs", "export_task"]
