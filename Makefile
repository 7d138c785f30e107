# The commands people and CI both run. Each makes what it needs: `make demo` works in a fresh clone.
#
#   make demo      the bundled call through five services at once, live
#   make test      every test (`make unit`: the fast, hermetic ones)
#   make coverage  the bounds on coverage, after `make test COVERAGE=1`
#   make lint      ruff            make types   mypy, strict
#   make docs      the pages, built with warnings as errors
#   make bench     what it costs, as ratios within one run
#
# PYTHON=python3.12 chooses the interpreter for a new .venv; ARGS=... is passed to pytest.

PYTHON ?= python3
ARGS ?=
DEMO_ARGS ?=
COVERAGE ?=

VENV := .venv
BIN := $(VENV)/bin
PEERS := .peers/pipecat
PIP_INSTALL := -m pip --disable-pip-version-check --quiet install
export PIP_DEFAULT_TIMEOUT ?= 60
export NO_MKDOCS_2_WARNING = 1

# Which extras of pyproject.toml a group of targets needs.
EXTRAS_demo := speed,monitor
EXTRAS_test := test,api-test,speed,audio,plots,monitor,postgres
EXTRAS_lint := lint,test,api-test,speed,audio,plots,monitor,postgres
EXTRAS_docs := docs,plots

.DELETE_ON_ERROR:
.PHONY: demo test unit coverage installed lint format types docs docs-write bench peers \
        constraints clean

demo: $(VENV)/.with-demo
	$(BIN)/openaudiohook demo $(DEMO_ARGS)

test: $(VENV)/.with-test peers
ifneq ($(COVERAGE),)
	@$(BIN)/coverage erase
endif
	@$(BIN)/python $(if $(COVERAGE),-m coverage run )-m pytest $(ARGS)

unit: $(VENV)/.with-test
	@$(BIN)/python -m pytest -m unit $(ARGS)

coverage: $(VENV)/.with-test
	@$(BIN)/python .ci/coverage_gates.py

installed: $(VENV)/.with-test
	@.ci/check_installed.sh

lint: $(VENV)/.with-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.with-lint
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/.with-lint
	$(BIN)/mypy

docs: $(VENV)/.with-docs
	$(BIN)/python docs/generate.py --check
	$(BIN)/mkdocs build --strict --quiet
	$(BIN)/python docs/offline.py site

docs-write: $(VENV)/.with-docs
	$(BIN)/python docs/generate.py --write

bench: $(VENV)/.with-test
	$(BIN)/python -m bench

# Programs we did not write, each in an environment of its own. What cannot be installed is
# reported and left out: its tests are then skipped, and CI refuses the skip.
peers: $(PEERS)/.installed

$(PEERS)/.installed: tests/peers/pipecat-requirements.txt | $(VENV)/bin/python
	@rm -rf $(PEERS)
	@echo "installing the pipecat peer into $(PEERS)"
	@if $(BIN)/python -m venv $(PEERS) && $(PEERS)/bin/python $(PIP_INSTALL) --no-deps -r $<; \
	then touch $@; \
	else rm -rf $(PEERS); echo "the pipecat peer could not be installed: its tests are skipped"; fi

constraints: $(VENV)/bin/python
	$(BIN)/python $(PIP_INSTALL) uv
	$(BIN)/uv pip compile --quiet --upgrade --python-version 3.11 --no-header --no-annotate \
	    --no-emit-index-url --extra demo --extra test --extra api-test --extra lint \
	    --extra docs \
	    pyproject.toml --output-file constraints.txt

clean:
	rm -rf $(VENV) .peers build dist site .coverage .coverage.* .hypothesis .demo \
	    .mypy_cache .pytest_cache .ruff_cache

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "openaudiohook needs Python 3.11 or newer; PYTHON=... names one"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# A stamp for each group, so that a second run installs nothing.
$(VENV)/.with-%: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing openaudiohook[$(EXTRAS_$*)] into $(VENV)"
	@$(BIN)/python $(PIP_INSTALL) -c constraints.txt -e '.[$(EXTRAS_$*)]'
	@touch $@
