"""`attnscope correct`: repeat a capture under a correction, and compare."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attnscope.errors import RequestError
from attnscope_cli._common import (
    Force,
    Jitter,
    Json,
    OutDir,
    Quiet,
    Speaker,
    Verify,
    jitter_options,
    option,
    print_json,
    print_lines,
    progress_bar,
    quiet_transformers,
    refuse_existing,
    setup_logging,
)
from attnscope_cli._correction import (
    Alpha,
    Edges,
    Heads,
    Layers,
    Method,
    Negative,
    Recipe,
    Rows,
    Set,
    Strength,
    Threshold,
    Toward,
)
from attnscope_cli._sweep import Sweeps, WhatIf, run_sweep, run_what_if


def run(
    before: Annotated[Path, typer.Argument(metavar="CAPTURE", help="A plain capture (.h5).")],
    out: OutDir = Path("out"),
    method: Method = None,
    correction: Recipe = None,
    set: Set = None,
    alpha: Alpha = None,
    threshold: Threshold = None,
    layers: Layers = None,
    negative: Negative = None,
    rows: Rows = None,
    toward: Toward = None,
    heads: Heads = None,
    edges: Edges = None,
    strength: Strength = None,
    sweep: Sweeps = None,
    what_if: WhatIf = False,
    model: Annotated[
        str | None, option("Where the model is now; if not given, where the capture had it.", "MODEL")
    ] = None,
    speaker: Speaker = None,
    jitter: Jitter = None,
    verify: Verify = True,
    force: Force = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Repeat a capture under corrections and write after.h5, correction.json and a before/after report.

    The model, the scene and the frames are those of the capture; nothing is trained. The corrections in
    correction.json can be applied to other captures with --correction.

    Examples: `attnscope correct run.h5 --method social-bias --alpha 1 -o out/`,
    `attnscope correct run.h5 --sweep alpha=0.25,0.5,1,2,4 --sweep topk=1,4,16 -o out/`,
    `attnscope correct run.h5 --what-if -o out/`
    """
    setup_logging(quiet)
    if sweep and what_if:
        raise RequestError("--what-if: does not run the model, and --sweep does; give one of the two")
    bands = jitter_options(jitter)
    for name, given in (("--jitter", bands), ("--speaker", speaker)):
        if given and (sweep or what_if):
            raise RequestError(f"{name}: is of the before/after report; --sweep and --what-if write none")
    from attnscope.capture import open as open_capture
    from attnscope.correct import requested, rerun
    from attnscope.correct.apply.rerun import correction_file
    from attnscope.correct.request import steps
    from attnscope.files.folders import claimed
    from attnscope.report.compare import PAGE, compare
    from attnscope.report.inputs import subject

    after = out / "after.h5"
    for path in () if sweep or what_if else (after, correction_file(after), out / PAGE):
        refuse_existing(path, force)

    named = {"alpha": alpha, "threshold": threshold, "layers": layers, "negative": negative, "rows": rows}
    named |= {"toward": toward, "heads": heads, "edges": edges, "strength": strength}
    methods = method or ([] if correction else ["social-bias"])
    if sweep:
        fixed = requested(methods, named, set or (), file=correction) if correction else None
        run_sweep(
            before,
            out,
            fixed or steps(methods, named, set or ()),
            sweep,
            model=model,
            force=force,
            quiet=quiet,
            json=json,
        )
        return
    corrections = requested(methods, named, set or (), file=correction)
    if what_if:
        run_what_if(before, out, corrections, force=force, quiet=quiet, json=json)
        return
    with open_capture(before) as cap:
        subject(cap, speaker)  # an unknown speaker is refused before the model runs
    quiet_transformers()
    with claimed(out):  # the capture and the report are one output
        with progress_bar(quiet) as progress:
            rerun(before, corrections, after, model=model, verify=verify, progress=progress).close()
        with progress_bar(quiet) as progress:
            summary = compare(before, after, out, speaker=speaker, jitter=bands, progress=progress)
    print_json(summary.to_dict()) if json else print_lines(summary.report)
