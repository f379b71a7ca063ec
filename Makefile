# The commands that people type. Every target sets up what it needs: a machine with Python 3.11+ is enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# One OpenMP thread a core of a small machine is plenty for tiny models, and keeps tests from fighting.
export OMP_NUM_THREADS ?= 2
export TOKENIZERS_PARALLELISM := false

.PHONY: demo test test-slow test-all test-newest test-floor install-newest lint format lock viewer chromium screens docs guide gallery peers bench bench-analyze bench-reading bench-clicks bench-cost bench-nulls bench-corrections benchmark families clean

# Installing (docs/decisions/0022). The lock decides alone: a constraint file in the user's configuration has no say.
PIP := PIP_CONSTRAINT=/dev/null PIP_USER=0 $(BIN)/pip --disable-pip-version-check
LOCKED := --quiet --no-deps --no-build-isolation --require-hashes
PROJECT := --quiet --no-deps --no-build-isolation --no-index --editable .

# $(call venv,FOLDER): a new virtual environment, or one line that says why there is none.
venv = $(PYTHON) -c 'import sys; sys.exit("attnscope needs Python 3.11 or later; name one: make PYTHON=..." if sys.version_info < (3, 11) else 0)' \
	&& $(PYTHON) -m venv $(1)

$(BIN)/python:
	$(call venv,$(VENV))

$(VENV)/.installed: pyproject.toml requirements/build.txt requirements/runtime.txt | $(BIN)/python
	$(PIP) install $(LOCKED) --requirement requirements/build.txt
	$(PIP) install $(LOCKED) --requirement requirements/runtime.txt
	$(PIP) install $(PROJECT)
	touch $@

$(VENV)/.installed-dev: pyproject.toml requirements/build.txt requirements/dev.txt | $(BIN)/python
	$(PIP) install $(LOCKED) --requirement requirements/build.txt
	$(PIP) install $(LOCKED) --requirement requirements/dev.txt
	$(PIP) install $(PROJECT)
	touch $@ $(VENV)/.installed

# The interactive part of pages (docs/decisions/0056): node and npm are those of the environment.
NODE := PATH="$(abspath $(BIN)):$$PATH"
viewer/node_modules/.installed: viewer/package.json viewer/package-lock.json | $(VENV)/.installed-dev
	cd viewer && $(NODE) npm ci --ignore-scripts --no-progress --loglevel=error
	touch $@

viewer: viewer/node_modules/.installed  ## check the types of viewer/src and build it into attnscope/report/viewer/*.js
	cd viewer && $(NODE) npm run --silent check
	cd viewer && $(NODE) npm run --silent build

chromium: $(VENV)/.installed-dev  ## install the browser of tests/browser where there is none
	$(BIN)/python -m tests.browser.chromium

screens: chromium  ## pictures of every page on a phone, a laptop and paper, light and dark, into screens/
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/browser/test_screens.py

COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--custom-compile-command "make lock" $(LOCK)

lock: $(VENV)/.installed-dev  ## write requirements/*.txt anew from pyproject.toml; LOCK=--upgrade takes newer releases
	$(COMPILE) requirements/build.in --output-file requirements/build.txt
	$(COMPILE) pyproject.toml --extra dev --constraints requirements/build.txt --constraints requirements/pins.in --output-file requirements/dev.txt
	$(COMPILE) pyproject.toml --constraints requirements/dev.txt --output-file requirements/runtime.txt
	$(COMPILE) requirements/read.in --constraints requirements/runtime.txt --output-file requirements/read.txt

demo: $(VENV)/.installed  ## capture, analyze and correct on an embedded model, offline
	$(BIN)/attnscope demo --out demo-out

test: chromium  ## the default tests, one process a core, under 8 minutes
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" --numprocesses logical --dist loadfile

test-slow: chromium  ## the slow tests, one process a core, then one after the other those that measure memory
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "slow and not alone" --numprocesses logical --dist loadfile
	$(BIN)/python -m pytest -m "slow and alone"

test-all: chromium  ## all tests, slow ones too
	$(BIN)/python -m pytest

# What touches code that is not ours: the seam, families, generation under corrections, adapters, video, HDF5.
OUTSIDE := tests/attention tests/model tests/install tests/doctor \
	tests/capture/test_families.py tests/capture/test_hidden.py tests/capture/test_reader_errors.py tests/capture/test_run.py \
	tests/capture/test_validate.py tests/correct/test_bias_batches.py tests/correct/test_corrected_pool.py \
	tests/correct/test_corrected_trainer.py tests/correct/test_moda_adapter.py tests/correct/test_peers_batches.py \
	tests/correct/test_social_bias.py tests/demo/test_embedded.py tests/scene/test_scene_images.py tests/scene/test_scene_video.py tests/view
RUN_OUTSIDE := -m pytest -m "not slow" --numprocesses logical --dist loadfile $(OUTSIDE)
RUN_FAMILIES := -m pytest -m slow --numprocesses logical --dist load tests/capture/test_families.py \
	-k "qwen3_vl or llava_onevision or internvl or sliding or softcap"

NEWEST := .venv-newest
# The user's pip decides what the newest is, a constraint file of the user's included.
install-newest:
	test -x $(NEWEST)/bin/python || { $(call venv,$(NEWEST)); }
	$(NEWEST)/bin/pip --disable-pip-version-check install --quiet --upgrade --upgrade-strategy eager --editable '.[dev]'

test-newest: install-newest  ## what touches outside code, on the newest versions within the ranges; no lock
	OMP_NUM_THREADS=1 $(NEWEST)/bin/python $(RUN_OUTSIDE)
	OMP_NUM_THREADS=1 $(NEWEST)/bin/python $(RUN_FAMILIES)

FLOOR := .venv-floor
FLOOR_UV := UV_HTTP_TIMEOUT=180 $(BIN)/uv pip
# Direct dependencies at their floors; what these depend on, and the tools that run the tests, at their newest.
TOOLS := pytest pytest-timeout pytest-xdist hypothesis jsonschema psutil --requirement requirements/build.in
$(FLOOR)/.installed: pyproject.toml | $(VENV)/.installed-dev
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11) and "the floors are those of Python 3.11: make test-floor PYTHON=python3.11")'
	$(PYTHON) -m venv $(FLOOR)
	$(FLOOR_UV) compile --quiet --python $(FLOOR)/bin/python --resolution lowest-direct \
		--extra notebook --extra peft --extra quantize --extra view pyproject.toml --output-file $(FLOOR)/floor.txt
	$(FLOOR_UV) install --quiet --python $(FLOOR)/bin/python --requirement $(FLOOR)/floor.txt $(TOOLS)
	$(FLOOR_UV) install --quiet --python $(FLOOR)/bin/python --no-deps --no-build-isolation --editable .
	touch $@

test-floor: $(FLOOR)/.installed  ## the same tests on the lowest versions within the ranges; needs Python 3.11
	OMP_NUM_THREADS=1 $(FLOOR)/bin/python $(RUN_OUTSIDE)
	OMP_NUM_THREADS=1 $(FLOOR)/bin/python $(RUN_FAMILIES)

lint: viewer/node_modules/.installed  ## ruff, mypy, TypeScript, and generated docs and the built viewer up to date
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m docs.generate --check
	cd viewer && $(NODE) npm run --silent check
	cd viewer && $(NODE) node build.mjs --check

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.installed-dev  ## regenerate the generated pages
	$(BIN)/python -m docs.generate

guide: $(VENV)/.installed-dev  ## draw the figures and measure the numbers of docs/guide.md from an embedded model
	$(BIN)/python -m docs.figures
	$(BIN)/python -m docs.generate

gallery: chromium  ## build the pages of reports/ and their pictures, and the pictures of the README (under 5 minutes)
	$(BIN)/python -m reports.generate

# Peers ask for versions of transformers that exclude each other: an environment each, above a common one that has the
# torch of $(VENV).
PEERS := .venv-peers
PEER_NAMES := $(basename $(notdir $(wildcard benchmarks/peers/*.txt)))
TORCH := from importlib.metadata import version; print(*(n + "==" + version(n).split("+")[0] for n in ("torch", "torchvision")))
$(PEERS)/torch/.installed: | $(VENV)/.installed-dev
	$(BIN)/python -m venv $(PEERS)/torch
	$(PEERS)/torch/bin/pip --disable-pip-version-check install --quiet $$($(BIN)/python -c '$(TORCH)')
	touch $@

$(PEERS)/%/.installed: benchmarks/peers/%.txt $(PEERS)/torch/.installed
	$(BIN)/python -m venv --clear $(PEERS)/$*
	$(PEERS)/torch/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
		> $$($(PEERS)/$*/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/torch-beneath.pth
	$(PEERS)/$*/bin/pip --disable-pip-version-check install --quiet --requirement $<
	touch $@

peers: $(PEER_NAMES:%=$(PEERS)/%/.installed)  ## install what `make bench` compares with, each peer in an environment of its own

bench: $(VENV)/.installed-dev peers  ## measure time and memory of a capture beside peers, rewrite its part of benchmarks/README.md and the picture
	$(BIN)/python -m benchmarks.recording

bench-analyze: $(VENV)/.installed-dev  ## measure time and memory of analyze on a large capture, rewrite its part of the same page
	$(BIN)/python -m benchmarks.analyze

bench-reading: $(VENV)/.installed-dev  ## measure blocks of attention read from a capture and the start of commands, rewrite their part of the same page (under 2 minutes)
	$(BIN)/python -m benchmarks.reading

bench-clicks: $(VENV)/.installed-dev  ## measure how long a click takes in `attnscope view` at 8,192 tokens, rewrite its part of the same page (about 3 minutes)
	$(BIN)/python -m benchmarks.clicks

bench-cost: $(VENV)/.installed-dev  ## measure time and memory of every correction against the plain run, rewrite its part of the same page
	$(BIN)/python -m benchmarks.cost

bench-nulls: $(VENV)/.installed-dev  ## measure whether the speakers' p-values are right, and their power
	$(BIN)/python -m benchmarks.nulls
	$(BIN)/python -m docs.generate

families: $(VENV)/.installed-dev  ## measure which model families are captured exactly and how they are placed, rewrite docs/models.md
	$(BIN)/python -m benchmarks.families
	$(BIN)/python -m docs.generate

benchmark: $(VENV)/.installed-dev  ## score the embedded models, plain and corrected, rewrite docs/roundtable.md (under 30 minutes)
	$(BIN)/python -m benchmarks.roundtable

bench-corrections: $(VENV)/.installed-dev  ## score every correction on the embedded model roundtable, rewrite docs/corrections.md
	$(BIN)/python -m benchmarks.corrections

clean:
	rm -rf $(VENV) $(NEWEST) $(FLOOR) $(PEERS) viewer/node_modules screens demo-out benchmark-out build *.egg-info
