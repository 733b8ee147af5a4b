# What people and CI call. Everything runs from .venv, which `make setup` makes; the lab's image and programs go into the user's cache.
#   make test-kernel TESTS=tests/kernel/test_guest.py KERNEL=6.1

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/installed
LOCKS  := requirements/dev.txt requirements/lab.txt
TESTS  ?= tests/kernel
KERNEL ?=
ARCH   ?= amd64
UV     ?= uv
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test test-unit test-kernel test-api test-cluster check format bench images setup setup-nodes lock clean

demo: $(STAMP)       ## a cluster of two nodes with real kernels, Clew by its chart, Bookinfo as pods, its traces
	$(BIN)/clew-lab setup --demo
	$(BIN)/clew-lab cluster build --nodes
	$(BIN)/clew-lab demo

test: setup-nodes    ## every test, in one report
	$(BIN)/pytest

test-unit: $(STAMP)  ## what needs no kernel
	$(BIN)/pytest tests/unit

test-kernel: setup   ## what runs in guests; TESTS and KERNEL narrow it
	$(BIN)/pytest $(TESTS) $(if $(KERNEL),-k '$(KERNEL)] or $(KERNEL)-')

test-api: setup      ## what speaks to a real API server
	$(BIN)/pytest tests/api

test-cluster: setup-nodes ## what runs on real nodes, in one cluster
	$(BIN)/pytest tests/cluster

check: $(STAMP)      ## format, lint, types, layers, unit tests: under a minute
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/pytest -q tests/unit

format: $(STAMP)     ## writes what `check` would complain of, where that can be done
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup         ## paired figures, with and without Clew
	$(BIN)/python -m bench

images: setup        ## all container images; ARCH=arm64: those that there are for it
	$(BIN)/clew-lab images --arch $(ARCH)

setup: $(STAMP)      ## .venv, the host's packages, the lab's image and the programs of its clusters; nothing to do when all is there
	$(BIN)/clew-lab setup

setup-nodes: setup   ## what real nodes are made of, too: their programs, the images on their disk
	$(BIN)/clew-lab cluster build --nodes

# Debian's Python comes without venv; a machine that has it (or another Python) is left as it is.
$(STAMP): pyproject.toml lab/pyproject.toml $(LOCKS)
	$(PYTHON) -c 'import ensurepip' 2> /dev/null || { \
	  if [ "$$(id -u)" = 0 ]; then as=; else as=sudo; fi; \
	  $$as apt-get install --yes python3-venv || { $$as apt-get update && $$as apt-get install --yes python3-venv; }; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --require-hashes $(LOCKS:%=--requirement %)
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable . --editable lab
	touch $(STAMP)

lock:                ## resolves the lock files anew; needs uv
	$(UV) pip compile $(COMPILE) pyproject.toml --output-file requirements/runtime.txt
	$(UV) pip compile $(COMPILE) pyproject.toml --group dev --constraint requirements/runtime.txt --output-file requirements/dev.txt
	$(UV) pip compile $(COMPILE) lab/pyproject.toml --constraint requirements/dev.txt --output-file requirements/lab.txt
COMPILE := --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header

clean:               ## .venv, build products, all that the lab has built and downloaded
	[ ! -x $(BIN)/clew-lab ] || $(BIN)/clew-lab clean --all
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
