# `make quickstart`, `make test` and `make check` each set up .venv when needed; run again, they use it as it is.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# Bytecode is compiled when a module is first imported, not for everything that is installed: half the time.
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt
# One copy of it serves all processes of the tests, also where the environment forbids bytecode beside the sources: without,
# each of some hundred processes would compile what it imports.
TEST   := HF_HUB_OFFLINE=1 PYTHONDONTWRITEBYTECODE= PYTHONPYCACHEPREFIX=$(CURDIR)/$(VENV)/bytecode $(BIN)/python -m pytest

.PHONY: quickstart test test-all check docs release-check map clean

quickstart: $(VENV)/.quickstart
	@HF_HUB_OFFLINE=1 $(BIN)/rag eval configs/quickstart.yaml --dataset python-reference

# worksteal: each process begins with half of the files, so that what a file's tests share is made once.
test: $(VENV)/.dev
	@$(TEST) -n 2 --dist worksteal

# Those that wait for real processes to time out, too.
test-all: $(VENV)/.dev
	@$(TEST) -n 2 --dist worksteal -m "slow or not slow"

check: $(VENV)/.dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(TEST) docs README.md CONTRIBUTING.md -p no:xdist

# The site: build/site/index.html opens without a server.
docs: $(VENV)/.docs
	@$(BIN)/python docs/site/build.py

# Builds the package and takes the first steps with it in a fresh environment.
release-check: $(VENV)/.release
	@.ci/release-check $(BIN)/python

# Draws the folders and the arrows between them into docs/architecture.md.
map:
	@$(PYTHON) docs/map.py

clean:
	rm -rf $(VENV)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12")'
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.quickstart: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing into $(VENV) (once, about a minute)" >&2
	@$(INSTALL) -e '.[quickstart]'
	@rm -rf *.egg-info  # found before what is installed, it would hide later entry points
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing into $(VENV) (once, about a minute)" >&2
	@$(INSTALL) -e '.[dev]'
	@rm -rf *.egg-info
	@touch $@ $(VENV)/.quickstart

$(VENV)/.docs: $(VENV)/.dev
	@$(INSTALL) -e '.[dev,docs]'
	@rm -rf *.egg-info
	@touch $@ $(VENV)/.dev

$(VENV)/.release: $(VENV)/.dev
	@$(INSTALL) build cyclonedx-bom twine
	@touch $@
