# Keyp's chores. `make help` lists them.
#
# The virtual environment is made again when pyproject.toml changes; the checkout is installed in place, so that what is
# run and tested is what stands here. Another Python: make PYTHON=python3.13

PYTHON ?= python3
VENV ?= .venv
HOST ?= localhost
PORT ?= 6377
DATA ?= ./data
TESTS ?=
IMAGE ?= keyp

BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
INSTALLED_DEV := $(VENV)/.installed-dev
PIP := $(BIN)/python -m pip --disable-pip-version-check
APART := integration properties differential crash

.PHONY: help run test test-unit test-integration test-property lint format readme bench docker-build docker-run clean
.DEFAULT_GOAL := help

help: ## list what can be made
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1	\2/p' $(MAKEFILE_LIST) | expand -t 20

run: $(INSTALLED) ## serve on localhost:6377 from ./data (HOST=, PORT=, DATA= for others)
	$(BIN)/keyp --host $(HOST) --port $(PORT) --data-dir $(DATA)

test: $(INSTALLED_DEV) ## run every test (TESTS= to choose, or options for pytest)
	$(BIN)/python -m pytest $(TESTS)

test-unit: $(INSTALLED_DEV) ## the tests that need no server, no disk worth mentioning and little time
	$(BIN)/python -m pytest $(foreach folder,$(APART),--ignore=tests/$(folder)) $(TESTS)

test-integration: $(INSTALLED_DEV) ## the tests on real processes and sockets
	$(BIN)/python -m pytest tests/integration $(TESTS)

test-property: $(INSTALLED_DEV) ## the tests on random cases
	$(BIN)/python -m pytest tests/properties $(TESTS)

lint: $(INSTALLED_DEV) ## check style, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(INSTALLED_DEV) ## format the sources, mend what can be mended
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

readme: $(INSTALLED) ## write the table of commands into README.md
	$(BIN)/python -m keyp.commands.table README.md

bench: $(INSTALLED_DEV) ## compare with redis-server on this machine
	$(BIN)/python benchmarks/bench.py

docker-build: ## build the image
	docker build --tag $(IMAGE) .

docker-run: docker-build ## serve on localhost:6377 from a container, data in the volume keyp-data
	docker run --rm --init --publish 127.0.0.1:$(PORT):6377 --volume keyp-data:/data $(IMAGE)

clean: ## remove what was made here, except the data
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis _trial_temp
	rm -f twisted/plugins/dropin.cache
	find keyp twisted tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "Keyp needs Python 3.11 or newer as $(PYTHON); make PYTHON=... names another one." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
	    { echo "$(PYTHON) cannot make a virtual environment: on Debian, apt-get install python3-venv brings what is missing." >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(PIP) install --quiet --editable .
	@touch $@

$(INSTALLED_DEV): $(INSTALLED)
	$(PIP) install --quiet --editable '.[dev]'
	@touch $@
