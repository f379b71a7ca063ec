"""What recording costs: the numbers, the table and the words that are made of measurements, and peers that fail."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

import pytest

from attnscope.errors import RunError
from benchmarks import meter, recording, recording_page, recording_picture
from benchmarks.harness import measured
from benchmarks.meter import in_rounds, measured_once
from benchmarks.recording_page import Cost

MIB = 2**20


def cost(what: str, tokens: int, ratio: float, growth: float) -> Cost:
    return Cost(what, tokens, (1.0, 2.0), (ratio, 2 * ratio), 100 * MIB, 100 * MIB * growth)


def test_exponents_are_slopes_of_logarithms():
    lengths = [2000, 4000, 8000]
    assert recording_page.exponent(lengths, [n**2 for n in lengths]) == pytest.approx(2)
    assert recording_page.exponent(lengths, [3 * n for n in lengths]) == pytest.approx(1)
    assert recording_page.exponent(lengths, [-1, 10, 40]) == pytest.approx(2)  # what is not above 0 has no logarithm
    assert recording_page.exponent(lengths, [-1, 0, 40]) is None


def test_the_table_judges_goals_where_they_hold():
    costs = [
        cost("default", 433, 3.0, 2.0),
        cost("default", 4000, 1.25, 1.5),
        cost("qk", 4000, 1.3, 1.0),
        Cost("nnsight", 4000, error="out of memory"),
    ]
    assert recording_page.lines_of(costs) == [
        "| 433 | the model alone, sdpa | 1.50 | 1 | | 100 | | 1 | |",
        "| 433 | attnscope, default plan | 4.50 | 3.00 (3.00 to 3.00) |  | 200 | 100 | 2.00 |  |",
        "| 4,000 | the model alone, sdpa | 1.50 | 1 | | 100 | | 1 | |",
        "| 4,000 | attnscope, default plan | 1.88 | 1.25 (1.25 to 1.25) | 1.25, met | 150 | 50 | 1.50 | 1.3, not met |",
        "| 4,000 | attnscope, `qk` | 1.95 | 1.30 (1.30 to 1.30) | 1.2, not met | 100 | 0 | 1.00 | 1.3, met |",
        "| 4,000 | nnsight, eager maps saved | out of memory | | | | | | |",
    ]
    assert recording_page.verdict(costs) == [
        "Of 2 goals of CPU time, 1 are met. Not met:",
        "",
        "- attnscope, `qk`, at most 1.2 times the plain forward: 1.30 at 4,000 tokens.",
        "",
        "Of 2 goals of peak memory, 1 are met. Not met:",
        "",
        "- attnscope, default plan, at most 1.3 times the plain forward: 1.50 at 4,000 tokens.",
        "",
    ]


def test_growth_is_fitted_from_2k_on():
    costs = [cost("default", 433, 9, 9), *(cost("default", n, 1 + n / 1000, 1 + n / 1000) for n in (2000, 4000, 8000))]
    plain, ours = recording_page.exponents(costs)
    assert plain == "| the model alone, sdpa | 2,000 to 8,000 | 0.00 | | 0.00 | |"
    assert ours == "| attnscope, default plan | 2,000 to 8,000 | 0.79 | 1.00 | 0.79 | 1.00 |"


def test_work_that_fails_ends_the_rounds(monkeypatch):
    monkeypatch.setattr(meter, "forget_peak", lambda: None)

    def fail():
        raise RuntimeError("can't allocate memory: you tried to allocate 9 bytes\nmore")

    result = in_rounds(list, fail, most=3, seconds=60)
    assert result["plain"] == result["work"] == []
    assert recording_page.reason(result["error"]) == "out of memory"
    assert recording_page.reason("ValueError: no such head") == "ValueError: no such head"


def test_rounds_end_with_their_time(monkeypatch):
    monkeypatch.setattr(meter, "forget_peak", lambda: None)  # which collects garbage, of all tests here
    assert len(in_rounds(list, list, most=2, seconds=0)["work"]) == 1
    assert len(in_rounds(list, list, most=2, seconds=60)["work"]) == 2


class Dying:
    """Takes its time while it is taken apart, where what is raised is lost."""

    def __del__(self):
        begun = time.process_time()
        while time.process_time() < begun + 0.05:
            pass


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_work_may_take_so_much_cpu_time():
    def forever():
        while True:
            pass

    handler = signal.getsignal(signal.SIGPROF)
    try:
        meter.limit_time(0.01)
        Dying()
        result = in_rounds(list, forever, most=1, seconds=60)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, handler)
    assert recording_page.reason(result["error"]) == "over 0 s of CPU time"


def test_what_the_work_returns_counts_as_memory():
    # written to, so that the pages are there; more than other tests' garbage
    assert measured_once(lambda: bytearray(b"1" * 2**20) * 256)["peak"] >= 250 * MIB


def test_a_process_that_takes_too_long_is_ended(monkeypatch, tmp_path):
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "slow.py").write_text("import time; time.sleep(60)")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError, match=r"^over 1 s$"):
        measured("slow", timeout=1, python=sys.executable, variables={"PYTHONPATH": str(tmp_path)})


def test_peers_stop_where_they_fail_and_others_go_on(monkeypatch, tmp_path):
    bench = recording.Bench(tmp_path, tmp_path, 1, 1, 1, tmp_path, {2: 433, 14: 2227, 28: 4320})
    run = {"plain": [{"cpu": 1, "peak": 1}], "work": [{"cpu": 2, "peak": 3}], "error": None}

    def peer(_self, what, frames, at_a_time):
        assert at_a_time >= 1
        return {"error": "over 1 s"} if what == "attnread" and frames > 2 else run

    monkeypatch.setattr(recording.Bench, "peer", peer)
    costs = recording_page.costs_of(recording.measure_peers(bench, ["nnsight", "attnread"], [2, 14, 28]))
    assert [(c.what, c.tokens, c.error) for c in costs] == [
        ("nnsight", 433, ""),
        ("attnread", 433, ""),
        ("nnsight", 2227, ""),
        ("attnread", 2227, "over 1 s"),
        ("nnsight", 4320, ""),
        ("attnread", 4320, "not run (over 1 s at 2,227 tokens)"),
    ]
    assert costs[0].ratio == 2 and costs[0].extra_peak == 2


def test_what_is_not_measured_again_stays_if_the_machine_is_the_same(tmp_path):
    old = {"machine": "m", "versions": {}, "sizes": {}, "minutes": 20}
    records = [{"what": what, "tokens": 433, "n": 1} for what in ("default", "nnsight")]
    (data := tmp_path / "data.json").write_text(recording.json.dumps(old | {"records": records}))
    new = old | {"records": [{"what": "default", "tokens": 433, "n": 2}], "minutes": 3}
    merged = recording.merged(new, data)
    assert [(record["what"], record["n"]) for record in merged["records"]] == [("nnsight", 1), ("default", 2)]
    assert merged["minutes"] == 20
    assert recording.merged(new | {"machine": "another"}, data) == new | {"machine": "another"}
    assert recording.merged(new, tmp_path / "none.json") == new


def test_a_peer_that_is_not_installed_is_said_so(monkeypatch, tmp_path):
    monkeypatch.setattr(recording, "ENVIRONMENTS", tmp_path)
    bench = recording.Bench(tmp_path, tmp_path, 1, 1, 1, tmp_path, {2: 433})
    assert bench.peer("nnsight", 2, 1) == {"error": "not installed (`make peers`)"}


def test_labels_stand_apart_in_order():
    places = recording_picture.spread({"a": 0.5, "b": 0.51, "c": 0.9, "d": 0.52}, 0.1)
    assert places == {"a": 0.41, "b": 0.51, "d": 0.61, "c": 0.9}


def test_the_page_and_the_picture_come_from_the_stored_numbers(monkeypatch, tmp_path):
    run = {"plain": [{"cpu": 1.0, "peak": 100 * MIB}], "work": [{"cpu": 1.2, "peak": 120 * MIB}], "error": None}
    about = {"versions": {"nnsight": "0.8.1", "transformers": "5.24.0", "torch": "2.14.1"}, "apart": 1e-7}
    records = [
        {"what": what, "tokens": tokens, "time": run | extra, "memory": run}
        for what, extra in (("default", {}), ("nnsight", about))
        for tokens in (433, 2227, 4320)
    ]
    stored = {
        "machine": "m",
        "versions": {"torch": "2"},
        "sizes": {"layers": 6},
        "rounds": 3,
        "most": 9,
        "minutes": 1,
    }
    (tmp_path / "data.json").write_text(recording.json.dumps(stored | {"records": records}))
    (tmp_path / "page.md").write_text("# Benchmarks\n")
    options = {
        name: str(tmp_path / file) for name, file in (("data", "data.json"), ("picture", "p.png"), ("page", "page.md"))
    }
    monkeypatch.setattr(sys, "argv", ["recording", "--draw", *(f"--{name}={file}" for name, file in options.items())])
    recording.main()
    page = Path(options["page"]).read_text()
    assert "| 2,227 | attnscope, default plan | 1.20 | 1.20 | 1.25, met | 120 | 20 | 1.20 | 1.3, met |" in page
    assert "  - nnsight 0.8.1, transformers 5.24.0, torch 2.14.1; largest difference 1e-07." in page
    assert "Of 2 goals of CPU time, 2 are met." in page
    assert Path(options["picture"]).stat().st_size > 5000
