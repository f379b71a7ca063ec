"""Reports: figures and self-contained pages from captures.

from attnscope.report import analyze, compare

analyze("run.h5", "out/")
compare("before.h5", "after.h5", "out/")
"""

from attnscope.report.analyze import analyze
from attnscope.report.compare import compare
from attnscope.report.evaluation import evaluation
from attnscope.report.index import index
from attnscope.report.page.summary import Summary
from attnscope.report.preview import preview

__all__ = ["Summary", "analyze", "compare", "evaluation", "index", "preview"]
