# What can be done here. `make` alone lists it.
#
# Only `setup`, `test` and `lock` fetch anything. Where from is pip's own configuration.

PYTHON ?= python3
STUDY  ?=
ROOM   ?= handlers/geometry.py
TESTS  ?=
CONFIG ?=

VENV    := .venv
BIN     := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
LOCKED  := $(INSTALL) --only-binary :all: --require-hashes
# Peers and a database that tests talk to, and tools that judge what was written. A test whose program is
# missing is skipped.
TEST_PACKAGES := dcmtk orthanc dicom3tools dcm2niix openssl postgresql strace gcc libc6-dev
# Tests that want the machine to themselves; all others run one process for each core.
ALONE := tests/faults

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev demo serve test soak compare mutants test-tools lint check docs lock clean

help: ## List what can be done here.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

setup: $(VENV)/.setup ## Create .venv with prepnode in it (Python 3.11 to 3.13).

setup-dev: $(VENV)/.setup-dev ## Add what tests and checks need.

demo: setup ## Start a node, send a study to it, show what it makes of it. STUDY=folder sends your own.
	$(BIN)/prepnode demo $(STUDY)

serve: setup ## Run a node in the foreground that keeps its data in ./prepnode-data; or CONFIG=file.
	$(if $(CONFIG),,PREPNODE_NODE__DATA_DIR=$(CURDIR)/prepnode-data) $(BIN)/prepnode serve --config $(or $(CONFIG),conf/node.toml)

test: setup-dev test-tools ## Run every test that this machine can.
	$(BIN)/pytest -n auto --dist worksteal $(ALONE:%=--ignore=%)
	$(BIN)/pytest $(ALONE)

soak: setup-dev test-tools ## Run the long forms of the tests: kills, fuzzing, leaks. Hours.
	$(BIN)/pytest --soak -m soak --timeout=7200
	for _ in $$(seq 20); do $(BIN)/pytest --soak tests/property --timeout=7200 || exit 1; done

compare: setup test-tools ## Repeat the abuses of docs/reliability.md on this node and on others; write the table.
	$(BIN)/python tests/benchmarks/side_by_side.py

mutants: setup-dev ## Put small faults into the rooms of triage, and list those that no test notices: docs/mutants.md. ROOM=... for one.
	$(BIN)/python tests/mutants.py $(or $(ROOM),handlers/triage handlers/geometry.py) $(if $(TESTS),--tests $(TESTS)) \
	  $(if $(ROOM),,--page docs/mutants.md --at-least 85)

lint: setup-dev ## Format, lint, types, layers.
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint ## Format, lint, types, layers, and the fast tests: what a change has to pass.
	$(BIN)/pytest -q -m "not slow and not servers"

test-tools:
	@.ci/apt-install $(TEST_PACKAGES) || echo "Tests that need a missing program are skipped."

docs: setup-dev ## Write the pages that are made from code: docs/findings.md.
	$(BIN)/python tests/findings_page.py

lock: setup-dev ## Resolve dependencies anew, within what pyproject.toml and the lock files allow.
	$(INSTALL) uv
	$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' \
	  > $(VENV)/build-requirements.in
	$(BIN)/uv pip compile pyproject.toml $(VENV)/build-requirements.in --output-file requirements.lock $(COMPILE)
	$(BIN)/uv pip compile pyproject.toml $(VENV)/build-requirements.in --extra dev --constraints requirements.lock \
	  --output-file requirements-dev.lock $(COMPILE)
COMPILE := --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate

clean: ## Remove .venv and what tools leave behind.
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis dist build
	find node handlers tests -name __pycache__ -type d -exec rm -rf {} +

# The stamps make a repeated `make setup` instant; they grow old with the files that they depend on.
$(VENV)/.setup: requirements.lock pyproject.toml | $(BIN)/pip
	$(LOCKED) -r requirements.lock
	$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.setup-dev: requirements-dev.lock $(VENV)/.setup
	$(LOCKED) -r requirements-dev.lock
	@touch $@

$(BIN)/pip:
	@.ci/check-python $(PYTHON)
	$(PYTHON) -m venv $(VENV)
