# `make help` lists the targets. Everything happens in .venv, from the hashed lock files in requirements/.

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
LOCK := $(BIN)/pip-compile --quiet --generate-hashes --strip-extras --allow-unsafe --no-header --no-emit-index-url \
	--no-emit-trusted-host --no-emit-find-links --build-deps-for editable
# The project is built by the locked hatchling, so that nothing unlocked is fetched for it.
INSTALL_PROJECT := $(PIP) install --quiet --no-deps --no-build-isolation --editable .

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test check format docs pictures simulate exhaust mutations crash bench profile lock clean

SEEDS ?= 2000
SEED ?= 7
KILLS ?= 100

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-9s %s\n", $$1, $$2}' Makefile

demo: $(VENV)/.run  ## the sample jobs against the sandbox, twice: the second time nothing is sent
	@$(BIN)/python tools/demo.py

test: $(VENV)/.dev  ## all tests
	@$(BIN)/python -m pytest -q -n 3

check: $(VENV)/.dev  ## lint, format, types, import rules, lock files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --strict tools bench
	$(BIN)/lint-imports --no-logo --no-cache
	$(BIN)/python tools/locks.py

format: $(VENV)/.dev  ## put the code into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.dev  ## write the pages anew that are made from the code: docs/cli.md and docs/reference/
	@$(BIN)/python -m tools.pages

pictures: $(VENV)/.dev  ## draw docs/pictures/*.svg anew from what a terminal shows; needs tmux
	@$(BIN)/python -m tools.screens

simulate: $(VENV)/.dev  ## whole nights in virtual time, crashes and faults included (SEEDS=2000); see docs/testing.md
	@$(BIN)/python -m tests.simulation --seeds $(SEEDS)

exhaust: $(VENV)/.dev  ## crash one history at every await and every write it has, by kill and by power cut (SEED=7)
	@$(BIN)/python -m tests.simulation --exhaust --first $(SEED)

mutations: $(VENV)/.dev  ## break the code on purpose, one place at a time: each break must be noticed
	@$(BIN)/python -m tests.simulation.mutations

crash: $(VENV)/.dev  ## kill real runs of 20,000 rows against the sandbox (KILLS=100 for each kind of job)
	@$(BIN)/python -m tests.crash --kills $(KILLS)

bench: $(VENV)/.dev  ## measure, an hour, and write docs/performance.md (PARTS="start rate" for some, QUICK=--quick for a try)
	@$(BIN)/python -m bench $(PARTS) $(QUICK)

profile: $(VENV)/.dev  ## where the microseconds of a row go, by phase and module
	@$(BIN)/python -m bench.sampled

lock: $(VENV)/.dev  ## bring the lock files in step with pyproject.toml (add LOCK_FLAGS=--upgrade for newer versions)
	$(LOCK) $(LOCK_FLAGS) --output-file requirements/run.txt pyproject.toml
	$(LOCK) $(LOCK_FLAGS) --extra dev --constraint requirements/run.txt --output-file requirements/dev.txt pyproject.toml

clean:  ## remove .venv and what tools leave behind; results and ledgers stay
	rm -rf $(VENV) dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "batchpost needs Python 3.11 or newer; say which: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: requirements/run.txt pyproject.toml | $(BIN)/python
	$(PIP) install --quiet --require-hashes --requirement requirements/run.txt
	$(INSTALL_PROJECT)
	@touch $@

$(VENV)/.dev: requirements/dev.txt pyproject.toml | $(BIN)/python
	$(PIP) install --quiet --require-hashes --requirement requirements/dev.txt
	$(INSTALL_PROJECT)
	@touch $@ $(VENV)/.run
