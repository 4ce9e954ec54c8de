# The menu: `make` prints it. Everything runs in .venv, which is made when it is missing or older
# than pyproject.toml; nothing needs root. PYTHON=... chooses the interpreter.

.DEFAULT_GOAL := help
.PHONY: help demo up test slow check build native fuzz bench conformance clean docs install lint format types imports spelling unit gate

VENV := .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
STAMP := $(VENV)/installed

# Branches of these must all be covered by the unit tests alone.
CORE := */core/*,controlplane/model/*,controlplane/lifecycle*
CORE_SOURCES := gateway/core autoscaler/core controlplane/model controlplane/lifecycle

# Tests that start installations and replicas: apart from the others, and in this order, so that the
# longest files do not come last. Files run side by side: see tests/fakes/ports.py.
WHOLE := tests/api_fuzz/test_schemathesis.py tests/clients/test_public_clients.py tests/system \
	tests/peers tests/integration/reconciler tests/integration/autoscaler

PYTEST := $(PY) -m pytest -m "not slow"

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

demo: $(STAMP) ## watch traffic wake a service from zero, spread it, and let it go (90 s)
	@$(BIN)/tidegate demo $(ARGS)

up: $(STAMP) ## run Tidegate on this machine; ARGS="--port 8000 ..." passes options
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/tidegate up $(ARGS)

test: unit ## all tests but the slow set
	$(PYTEST) tests --ignore=tests/unit $(addprefix --ignore=,$(WHOLE)) -n 2 --dist loadfile $(ARGS)
	$(PYTEST) $(WHOLE) -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

slow: $(STAMP) ## the slow set: long soaks, chaos, thousands of generated inputs (an hour)
	$(PY) -m pytest -m slow tests $(ARGS)

# Those whose stage stands in for a compiled class cannot run over it.
INTERPRETED := tests/unit/gateway/net/test_downstream_mutants.py \
	tests/integration/gateway/test_split_positions.py

native: build ## tests of gateway and autoscaler once more, over their compiled hot paths
	TIDEGATE_GATEWAY_NATIVE=required $(PYTEST) tests/unit/gateway tests/integration/gateway \
		$(addprefix --ignore=,$(INTERPRETED)) -n 2 --dist loadfile $(ARGS)
	TIDEGATE_AUTOSCALER_NATIVE=required $(PYTEST) tests/unit/autoscaler -n 2 --dist loadfile $(ARGS)

build: $(STAMP) ## compile the hot paths of gateway and autoscaler, after sources have changed
	@$(PY) -m gateway.build
	@$(PY) -m autoscaler.build

check: lint unit gate ## format, lint, types, import contracts, spelling, unit tests, coverage of core

bench: build ## what a request costs us and five other proxies; renders loadtests/README.md
	$(PY) -m loadtests.overhead --render $(ARGS)
	$(PY) -m loadtests.overhead.routes --render

fuzz: $(STAMP) ## look for inputs that break the gateway's invariants (two minutes)
	@$(PY) -m pip install --quiet --disable-pip-version-check 'atheris>=2.3'
	$(PY) -m tests.fuzz --seconds 60 $(ARGS)

conformance: $(STAMP) ## send the same cases to six proxies; renders gateway/CONFORMANCE.md
	$(PY) -m tests.conformance --render $(ARGS)

docs: $(STAMP) ## write the pages that are made from the code: settings, commands
	$(PY) -m tests.docs.render

clean: ## remove .venv and everything else that can be made again
	rm -rf $(VENV) gateway/_native autoscaler/_native build dist demo-out .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache \
		.import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

install: $(STAMP)

# --- the parts of `make check` -------------------------------------------------------------------

lint: format types imports spelling

format: $(STAMP)
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .

types: $(STAMP)
	$(PY) -m mypy -p gateway -p autoscaler -p controlplane -p loadtests

imports: $(STAMP)
	$(BIN)/lint-imports

spelling: $(STAMP)
	$(PY) -m codespell_lib gateway autoscaler controlplane tests loadtests deploy *.md Makefile .ci

unit: $(STAMP)
	$(PYTEST) tests/unit -n 2 --dist loadfile --cov-branch --cov-report= \
		$(addprefix --cov=,$(CORE_SOURCES)) $(ARGS)

gate: $(STAMP)
	$(PY) -m coverage report --include='$(CORE)' --fail-under=100

# --- the environment -----------------------------------------------------------------------------

$(STAMP): pyproject.toml
	@if $(PY) -c '' 2>/dev/null; then exit 0; fi; \
	python=; for candidate in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11; do \
		if $$candidate -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			python=$$candidate; break; \
		fi; \
	done; \
	if [ -z "$$python" ]; then \
		echo "Tidegate needs Python 3.11 or newer; python3 is: $$(python3 --version 2>&1)." >&2; \
		echo "Install one, or name it: make PYTHON=/path/to/python3.12" >&2; \
		exit 1; \
	fi; \
	if ! $$python -c 'import ensurepip' 2>/dev/null; then \
		echo "$$python has no venv module; on Debian and Ubuntu: apt-get install python3-venv" >&2; \
		exit 1; \
	fi; \
	echo "Making $(VENV) with $$($$python --version)."; \
	$$python -m venv $(VENV)
	@echo "Installing into $(VENV); the first time takes about a minute."
	@$(PY) -m pip install --quiet --disable-pip-version-check --retries 5 --no-compile --editable '.[dev]'
	@touch $(STAMP)
