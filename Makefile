# Keyp's chores. `make help` lists them.
#
# Two environments: .venv has Keyp as users install it, compiled, and is brought up to date when a source changes;
# .venv-dev has the tools, and the checkout in place and uncompiled, so that what is tested is what stands here.
# Another Python: make PYTHON=python3.13

PYTHON ?= python3
VENV ?= .venv
VENV_DEV ?= .venv-dev
HOST ?= localhost
PORT ?= 6377
DATA ?= ./data
TESTS ?=
# How many processes run the tests: one for each core, but none beside the first where some tests were chosen.
WORKERS ?= $(if $(TESTS),0,auto)
ROUNDS ?= 1000
IMAGES ?= 10000
INPUTS ?= 10000000
BENCH ?=
COMMAND ?=
ATTACKS ?=
IMAGE ?= keyp

BIN := $(VENV)/bin
DEV := $(VENV_DEV)/bin
INSTALLED := $(VENV)/.installed
INSTALLED_DEV := $(VENV_DEV)/.installed
INSTALLED_BENCH := $(VENV)/.installed-bench
SOURCES := pyproject.toml setup.py $(shell find keyp twisted -name '*.py')
COMPILED := build/compiled
INSTALL := build/install
# What pyproject.toml requires to build with; kept, so that a change of the sources costs no new installation of it.
TOOLS := build/tools
WHEEL := build/wheel
PIP := -m pip --disable-pip-version-check --quiet
PIP_INSTALL := $(PIP) install
APART := integration properties differential crash
# A file stays in one process, with the servers and packages its tests share. Files start in their order, and the long
# ones (crash, integration) stand before the short ones.
PYTEST = -m pytest --numprocesses=$(WORKERS) --dist=loadfile --no-loadscope-reorder

# Tests start hundreds of servers, and each would have to translate every module anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help run wheel test test-command test-compiled test-install test-unit test-integration test-property test-crash test-clients test-hostile-clients compiled-copy block lint format readme bench soak fuzz docker-build docker-run clean
.DEFAULT_GOAL := help

help: ## list what can be made
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1	\2/p' $(MAKEFILE_LIST) | expand -t 24

run: $(INSTALLED) ## serve on localhost:6377 from ./data (HOST=, PORT=, DATA= for others)
	$(BIN)/keyp --host $(HOST) --port $(PORT) --data-dir $(DATA)

wheel: $(TOOLS)/.installed ## build dist/keyp-….whl, compiled, for other environments like this one
	$(TOOLS)/bin/python -W ignore setup.py --quiet bdist_wheel

test: $(INSTALLED_DEV) ## run every test (TESTS= to choose, or options for pytest; WORKERS= for more or fewer processes)
	$(DEV)/python $(PYTEST) $(TESTS)

test-command: $(INSTALLED_DEV) ## what every command must pass, for one (COMMAND=)
	$(DEV)/python -m tests.every_command "$(COMMAND)"

test-compiled: compiled-copy ## every test once more, on compiled modules, in a copy of the checkout
	cd $(COMPILED) && KEYP_COMPILED=1 $(abspath $(DEV))/python $(PYTEST) $(TESTS)

compiled-copy: $(INSTALLED_DEV)
	mkdir -p $(COMPILED)
	find $(COMPILED) -mindepth 1 -maxdepth 1 ! -name build -exec rm -rf {} +
	tar --exclude=./.git --exclude='./.venv*' --exclude=./build --exclude=./data --exclude='*.so' -cf - . | tar -xf - -C $(COMPILED)
	cd $(COMPILED) && KEYP_COMPILE=1 $(abspath $(DEV))/python setup.py --quiet build_ext --inplace

test-install: ## install as a user would, into a new environment, and see that it is compiled and runs
	rm -rf $(INSTALL) && mkdir -p $(INSTALL)
	$(PYTHON) -m venv $(INSTALL)/venv
	tar --exclude=./.git --exclude='./.venv*' --exclude=./build --exclude=./data --exclude='*.so' --exclude='*.egg-info' -cf - . | (mkdir $(INSTALL)/sources && tar -xf - -C $(INSTALL)/sources)
	KEYP_COMPILE=1 $(INSTALL)/venv/bin/python $(PIP_INSTALL) $(INSTALL)/sources
	cd $(INSTALL) && venv/bin/python -c 'import keyp.execution.executor as one; assert one.__file__.endswith(".so"), one.__file__'
	cd $(INSTALL) && venv/bin/keyp --version && venv/bin/twistd keyp --help > /dev/null

test-unit: $(INSTALLED_DEV) ## the tests that need no server, no disk worth mentioning and little time
	$(DEV)/python $(PYTEST) $(foreach folder,$(APART),--ignore=tests/$(folder)) $(TESTS)

test-integration: $(INSTALLED_DEV) ## the tests on real processes and sockets
	$(DEV)/python $(PYTEST) tests/integration $(TESTS)

test-property: $(INSTALLED_DEV) ## the tests on random cases
	$(DEV)/python $(PYTEST) tests/properties $(TESTS)

test-crash: $(INSTALLED_DEV) ## many kills, power cuts, full and failing disks, for many minutes (ROUNDS=, IMAGES= for others)
	KEYP_LONG=1 KEYP_ROUNDS=$(ROUNDS) KEYP_IMAGES=$(IMAGES) $(DEV)/python -m pytest -s tests/crash $(TESTS)

test-clients: $(INSTALLED_DEV) ## programs of npm and Debian, and workers killed twenty times, for a quarter of an hour
	KEYP_LONG=1 $(DEV)/python -m pytest $(addprefix tests/integration/test_,node_clients.py secure_clients.py other_clients.py debian_programs.py killed_workers.py)

test-hostile-clients: compiled-copy ## clients that try to take memory and time, on Keyp and a real server, with figures (ATTACKS= to choose by words)
	cd $(COMPILED) && $(abspath $(DEV))/python -m tests.soak.hostile $(ATTACKS)

lint: $(INSTALLED_DEV) ## check style, format and types
	$(DEV)/ruff check .
	$(DEV)/ruff format --check .
	$(DEV)/mypy

format: $(INSTALLED_DEV) ## format the sources, mend what can be mended
	$(DEV)/ruff check --fix .
	$(DEV)/ruff format .

block: $(INSTALLED_DEV) ## print the block of a command as a real server describes it (COMMAND=)
	@$(DEV)/python -m tests.differential.facts "$(COMMAND)"

readme: $(INSTALLED_DEV) ## write the tables of commands and settings into README.md
	$(DEV)/python -m keyp.tools.readme README.md

bench: $(INSTALLED_BENCH) ## compare with redis-server on this machine, half an hour (BENCH="--quick", BENCH="durable --rounds 9" …)
	$(BIN)/python -m benchmarks $(BENCH)

soak: $(INSTALLED_DEV) ## an hour of mixed load with a ledger of every write (KEYP_SOAK_SECONDS= for another time)
	$(DEV)/python -m tests.soak.soak

fuzz: $(INSTALLED_DEV) ## hostile bytes, guided by coverage, for hours (INPUTS= for another count; the corpus stays in build/fuzz)
	$(DEV)/python -m tests.fuzz.campaign --inputs $(INPUTS)

docker-build: ## build the image
	docker build --tag $(IMAGE) .

docker-run: docker-build ## serve on localhost:6377 from a container, data in the volume keyp-data
	docker run --rm --init --publish 127.0.0.1:$(PORT):6377 --volume keyp-data:/data $(IMAGE)

clean: ## remove what was made here, except the data
	rm -rf $(VENV) $(VENV_DEV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis _trial_temp
	rm -f twisted/plugins/dropin.cache
	find keyp twisted tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python $(VENV_DEV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "Keyp needs Python 3.11 or newer as $(PYTHON); make PYTHON=... names another one." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
	    { echo "$(PYTHON) cannot make a virtual environment: on Debian, apt-get install python3-venv brings what is missing." >&2; exit 1; }
	$(PYTHON) -m venv --clear $(@D)/..

# Into an environment of its own, with the pip of the other one, which is quicker than to make one more.
$(TOOLS)/.installed: pyproject.toml | $(VENV)/bin/python
	@echo "Fetching what Keyp is built with …" >&2
	$(PYTHON) -m venv --clear --without-pip $(TOOLS)
	$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' > $(TOOLS)/requirements
	$(BIN)/python $(PIP) --python $(TOOLS)/bin/python install --no-compile --requirement $(TOOLS)/requirements
	@touch $@

# pip would show nothing of what takes a minute. It takes a wheel of a version that it has already for the same one.
$(INSTALLED): $(SOURCES) $(TOOLS)/.installed | $(VENV)/bin/python
	@echo "Building Keyp; where there is a C compiler what has changed is compiled …" >&2
	@rm -rf $(WHEEL)
	$(TOOLS)/bin/python -W ignore setup.py --quiet bdist_wheel --dist-dir $(WHEEL)
	@echo "Installing it …" >&2
	@$(BIN)/python $(PIP) uninstall --yes keyp 2> /dev/null
	$(BIN)/python $(PIP_INSTALL) "$$(echo $(WHEEL)/*.whl)[tools]"
	@touch $@

$(INSTALLED_BENCH): $(INSTALLED)
	$(BIN)/python $(PIP_INSTALL) "$$(echo $(WHEEL)/*.whl)[tools,bench]"
	@touch $@

$(INSTALLED_DEV): pyproject.toml setup.py | $(VENV_DEV)/bin/python
	KEYP_COMPILE=0 $(DEV)/python $(PIP_INSTALL) --editable '.[dev]'
	@touch $@
