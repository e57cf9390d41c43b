# Everything that is done with a checkout of coffer. `make` alone lists it.
# It happens in .venv, or in the virtual environment that is active; nothing outside is changed but by
# scripts/prepare, which says so.

PYTHON ?= python3
VENV := $(or $(VIRTUAL_ENV),$(CURDIR)/.venv)
BIN := $(VENV)/bin
SECONDS ?= 60
TESTS ?=
TOOLS := benchmarks/load/build/load benchmarks/raw/build/boxes
CORE := setup.py pyproject.toml src/coffer/_core.pyx vendor/sodium.pxd vendor/libsodium.toml
export PYTHON
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PATH := $(BIN):$(PATH)

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.built  ## see it work: seal a definition, serve it, start programs with their secrets
	@demo/run

build: $(VENV)/.built  ## compile the core, and install coffer in the virtual environment, editable

test: $(VENV)/.tooled  ## every test and every linter; TESTS='tests/test_shard.py -k text' runs a part
	$(BIN)/python -m pytest $(TESTS)

lint: $(VENV)/.tooled  ## only the linters
	$(BIN)/python -m pytest tests/test_linters.py

faults: $(VENV)/.tooled benchmarks/load/build/load  ## the fault tests at full size: some minutes under load
	COFFER_FAULTS=full $(BIN)/python -m pytest tests/faults

fuzz:  ## hostile input to every parser, SECONDS=60 each
	scripts/fuzz --seconds $(SECONDS)

sanitize: $(VENV)/.tooled  ## every test, with the core built with AddressSanitizer and UBSan
	scripts/sanitize $(TESTS)

bench: $(TOOLS) $(VENV)/.tooled  ## the benchmarks; shows what got over 15 % slower since the last run here
	$(BIN)/python -m pytest benchmarks --benchmark-only --benchmark-autosave \
	    $(if $(wildcard .benchmarks/*/*.json),--benchmark-compare --benchmark-compare-fail=median:15%)

measure: $(TOOLS) $(VENV)/.tooled  ## every figure of benchmarks/RESULTS.md anew, beside the limit and the peers
	$(BIN)/python -m benchmarks.measure $(MEASURE)

wheel: $(VENV)/.tooled  ## a self-contained wheel and an sdist in dist/
	scripts/wheel

completions: $(VENV)/.tooled  ## make what completes the programs in a shell anew, from their parsers
	$(BIN)/python scripts/completions

clean:  ## remove what was built, but not .venv
	rm -rf build dist src/*.egg-info src/coffer/_core*.so src/coffer/_core.c $(VENV)/.built $(VENV)/.tooled
	$(MAKE) -C benchmarks/load clean
	$(MAKE) -C benchmarks/raw clean
	$(MAKE) -C benchmarks/tls clean

$(VENV)/bin/python:
	@scripts/prepare
	$(PYTHON) -m venv $(VENV)

$(VENV)/.built: $(CORE) | $(VENV)/bin/python
	@scripts/prepare
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.tooled: $(CORE) | $(VENV)/bin/python
	@scripts/prepare
	$(BIN)/python -m pip install --quiet --editable '.[test,lint,wheel]'
	@touch $(VENV)/.built $@

benchmarks/raw/build/boxes: benchmarks/raw/boxes.c
	@scripts/prepare
	$(MAKE) -C benchmarks/raw

benchmarks/load/build/load: $(wildcard benchmarks/load/*.[ch])
	@scripts/prepare
	$(MAKE) -C benchmarks/load

.PHONY: help demo build test lint faults fuzz sanitize bench measure wheel completions clean
