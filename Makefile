# The commands that people type. Every target sets up what it needs: a machine with Python 3.11+ is enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# One OpenMP thread a core of a small machine is plenty for tiny models, and keeps tests from fighting.
export OMP_NUM_THREADS ?= 2
export TOKENIZERS_PARALLELISM := false

.PHONY: demo test test-all lint format docs guide gallery bench bench-analyze bench-cost bench-nulls bench-corrections benchmark clean

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(VENV)/.installed-dev: pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@ $(VENV)/.installed

demo: $(VENV)/.installed  ## capture, analyze and correct on an embedded model, offline
	$(BIN)/attnscope demo --out demo-out

test: $(VENV)/.installed-dev  ## the default tests, one process a core, under 8 minutes
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" --numprocesses logical --dist loadfile

test-all: $(VENV)/.installed-dev  ## all tests, slow ones too
	$(BIN)/python -m pytest

lint: $(VENV)/.installed-dev  ## ruff, mypy, and generated docs up to date
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m docs.generate --check

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.installed-dev  ## regenerate the generated pages
	$(BIN)/python -m docs.generate

guide: $(VENV)/.installed-dev  ## draw the figures and measure the numbers of docs/guide.md from an embedded model
	$(BIN)/python -m docs.figures
	$(BIN)/python -m docs.generate

gallery: $(VENV)/.installed-dev  ## regenerate reports/ and the pictures of the README from the demo
	$(BIN)/python -m reports.generate

bench: $(VENV)/.installed-dev  ## measure time and memory of a capture against peers, rewrite its part of benchmarks/README.md
	$(BIN)/python -m benchmarks.run

bench-analyze: $(VENV)/.installed-dev  ## measure time and memory of analyze on a large capture, rewrite its part of the same page
	$(BIN)/python -m benchmarks.analyze

bench-cost: $(VENV)/.installed-dev  ## measure time and memory of every correction against the plain run, rewrite its part of the same page
	$(BIN)/python -m benchmarks.cost

bench-nulls: $(VENV)/.installed-dev  ## measure whether the speakers' p-values are right, and their power
	$(BIN)/python -m benchmarks.nulls
	$(BIN)/python -m docs.generate

benchmark: $(VENV)/.installed-dev  ## score the embedded models, plain and corrected, rewrite docs/roundtable.md (under 30 minutes)
	$(BIN)/python -m benchmarks.roundtable

bench-corrections: $(VENV)/.installed-dev  ## score every correction on the embedded model roundtable, rewrite docs/corrections.md
	$(BIN)/python -m benchmarks.corrections

clean:
	rm -rf $(VENV) demo-out benchmark-out build *.egg-info
