# `make` alone lists what there is. A fresh machine needs Python >= 3.11, git and make.
.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -euo pipefail -c

BIN := .venv/bin
BENCH := .venv/.installed-bench
RUN := .venv/.installed-run
DEV := .venv/.installed-dev
UV_COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--custom-compile-command "make lock" pyproject.toml

# More arguments for a tool: make test ARGS="-k rooms -x"
ARGS ?=

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: $(RUN) ## start the sample app; it prints its address
	$(BIN)/python -m sample_app $(ARGS)

.PHONY: install
install: $(DEV) ## make .venv with everything for development

.PHONY: system-packages
system-packages: ## what tests use (Chromium, Redis, NATS), when this is Debian and you are root
	scripts/system-packages

.PHONY: check
check: style floors types ## everything that needs no run (make -k check: all findings at once)

.PHONY: style
style: $(DEV)
	$(BIN)/ruff check
	$(BIN)/ruff format --check

.PHONY: floors
floors: $(DEV)
	$(BIN)/lint-imports --no-logo

# Its news about newer versions would ask the network at every run; --verifytypes looks for the
# package in the first Python of the path and nowhere else.
PYRIGHT := PATH="$(CURDIR)/$(BIN):$$PATH" PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/pyright

.PHONY: types
types: $(DEV)
	$(BIN)/mypy
	$(PYRIGHT)
	$(PYRIGHT) --verifytypes gatewright --ignoreexternal

# Tests wait most of the time, so there are more processes than cores. Each takes whole files: the
# tests of a file never run beside each other. A selection is run in this process, without the gate.
JOBS ?= $(if $(ARGS),0,4)
GATE := $(if $(ARGS),--fail-under=0)

.PHONY: test
test: $(DEV) system-packages ## every test, and the gate: 95 % of lines and branches
	$(BIN)/pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder \
		--cov --cov-report= --cov-fail-under=0 $(ARGS)
	$(BIN)/coverage report $(GATE)

.PHONY: coverage
coverage: test ## the same, then a page for each file under htmlcov/
	$(BIN)/coverage html --quiet
	@echo "See htmlcov/index.html"

.PHONY: format
format: $(DEV) ## let ruff mend what it can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

.PHONY: docs
docs: $(DEV) ## build the site under site/
	$(BIN)/zensical build --clean --strict

.PHONY: docs-serve
docs-serve: $(DEV) ## the site at a local address, following changes
	$(BIN)/zensical serve

.PHONY: client
client: $(DEV) ## build the JavaScript client that the package ships
	$(BIN)/python -m tests.client_js.building

.PHONY: bench
bench: $(DEV) $(BENCH) ## measure against the peers (benchmarks/README.md; minutes)
	$(BIN)/python benchmarks/run.py $(ARGS)

.PHONY: fuzz
fuzz: $(DEV) ## a million mutated frames into the codecs, fifty thousand into a running server, and as many over sessions
	$(BIN)/python -m tests.fuzz.codec --frames 1000000
	$(BIN)/python -m tests.fuzz.socketio --packets 1000000
	$(BIN)/python -m tests.fuzz.sockets --frames 50000
	$(BIN)/python -m tests.fuzz.sessions --frames 50000

.PHONY: churn
churn: $(DEV) ## twenty times a thousand connections that come and vanish; nothing may be left
	$(BIN)/python -m tests.chaos.churn --connections 1000 --rounds 20
	$(BIN)/python -m tests.chaos.sessions --clients 300 --rounds 10

.PHONY: storm
storm: $(DEV) ## clients publish while connections are cut and the server is killed: nothing is lost
	$(BIN)/python -m tests.chaos.storm $(ARGS)

.PHONY: outages
outages: $(DEV) ## Redis (or NATS) is killed, restarted and emptied under three servers: no loss is a silent one
	$(BIN)/python -m tests.chaos.outages $(ARGS)

.PHONY: presence
presence: $(DEV) ## who is there over three nodes, while one is killed and one is cut off: all lists are equal
	$(BIN)/python -m tests.chaos.presence $(ARGS)

.PHONY: calls
calls: $(DEV) ## ten thousand calls over connections that are cut: each has its effect once
	$(BIN)/python -m tests.chaos.calls $(ARGS)

.PHONY: stalled
stalled: $(DEV) ## fifty of a thousand readers stall: what that costs the others
	$(BIN)/python -m tests.chaos.stalled $(ARGS)

.PHONY: drain
drain: $(DEV) ## a server restarts under three thousand clients: how they come back
	$(BIN)/python -m tests.chaos.drain $(ARGS)

.PHONY: soak
soak: $(DEV) ## connections come and go for an hour (ARGS="--minutes 3"): memory stays flat
	$(BIN)/python -m tests.chaos.soak $(ARGS)

.PHONY: model
model: $(DEV) ## every order of events that the models of recovery allow, with each rule and without it
	$(BIN)/python -m tests.recovery.model --all $(ARGS)

.PHONY: mutations
mutations: $(DEV) ## break each rule of recovery in the implementation: a test must notice
	$(BIN)/python -m tests.recovery.mutations $(ARGS)

.PHONY: hooks
hooks: $(DEV) ## run the quick checks before every commit
	$(BIN)/prek install

.PHONY: lock
lock: $(DEV) ## resolve requirements/ anew (ARGS=--upgrade for the newest versions)
	echo "uv" | $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--custom-compile-command "make lock" $(ARGS) - --output-file requirements/uv.txt
	$(UV_COMPILE) $(ARGS) --extra server --group build --group sample \
		--output-file requirements/run.txt
	$(UV_COMPILE) $(ARGS) --all-extras --group dev --constraints requirements/run.txt \
		--output-file requirements/dev.txt
	$(UV_COMPILE) $(ARGS) --all-extras --group bench --constraints requirements/dev.txt \
		--output-file requirements/bench.txt
	$(UV_COMPILE) $(ARGS) --all-extras --group fuzz --constraints requirements/dev.txt \
		--output-file requirements/fuzz.txt

.PHONY: clean
clean: ## remove the environment and everything built
	rm -rf .venv site dist htmlcov .coverage* .mypy_cache .pytest_cache .ruff_cache .hypothesis \
		.import_linter_cache

# The package's own file is a cause too: it holds the package's entry points and the groups.
$(RUN): requirements/uv.txt requirements/run.txt pyproject.toml scripts/environment
	scripts/environment run
	@touch $@

$(DEV): requirements/uv.txt requirements/dev.txt pyproject.toml scripts/environment
	scripts/environment dev
	@touch $@ $(RUN)

$(BENCH): requirements/uv.txt requirements/bench.txt pyproject.toml scripts/environment
	scripts/environment bench
	@touch $@
