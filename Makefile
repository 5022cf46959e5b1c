# Everything one does with a checkout; `make` alone lists it. Needs only Python 3.11 or newer, and make.
#
# Paths are relative and programs run as `python -m`, because a checkout may lie under a path with spaces, where the
# interpreter lines in .venv/bin do not work.

PYTHON ?= python3
ARGS   ?=

IN_VENV = .venv/bin/python
INSTALL = $(IN_VENV) -m pip --disable-pip-version-check --quiet install --constraint constraints.txt
CODE    = $(wildcard moneyback scripts bench examples tests)

.DEFAULT_GOAL := help
.PHONY: help run test check simulate bench bench-large soak docs freeze clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

run: .venv/installed ## start the sandbox: payments to refund in every dialect, and what to try
	@exec $(IN_VENV) -m moneyback sandbox $(ARGS)

test: .venv/installed-dev ## run the tests; ARGS="tests/core -x" runs some of them
	$(IN_VENV) -m pytest -q -n 2 --dist loadgroup $(ARGS)

check: .venv/installed-dev ## format, lint, types, layers, generated pages
	$(IN_VENV) -m ruff format --check $(CODE)
	$(IN_VENV) -m ruff check $(CODE)
	$(IN_VENV) -m mypy $(CODE)
	$(IN_VENV) -m scripts.check_imports
	$(IN_VENV) -m scripts.draw_states --check
	$(IN_VENV) -m scripts.draw_routes --check

simulate: .venv/installed ## try to make it pay twice, on a virtual clock; ARGS="--seeds 10000", ARGS="--seed 7 --story"
	@$(IN_VENV) -m moneyback simulate $(ARGS)

bench: .venv/installed ## measure against pgbench on this machine, in at most ten minutes
	$(IN_VENV) -m bench $(ARGS)

bench-large: .venv/installed ## the same on ten million payments and refunds
	$(IN_VENV) -m bench --large $(ARGS)

soak: .venv/installed-dev ## the tests with all their rounds, kills and seeds; takes hours
	MONEYBACK_SOAK=1 $(IN_VENV) -m pytest -q $(ARGS)

docs: .venv/installed-dev ## draw the generated pages and build docs/ into build/docs
	$(IN_VENV) -m scripts.draw_states
	$(IN_VENV) -m scripts.draw_routes
	$(IN_VENV) -m zensical build --clean --strict

freeze: .venv/installed-dev ## pin what is installed now in constraints.txt
	$(IN_VENV) -m scripts.freeze

clean: ## remove what the tools left behind; .venv stays
	rm -rf build dist .cache .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache *.egg-info
	find moneyback scripts bench tests -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true


.venv/installed: pyproject.toml constraints.txt | .venv/bin/python
	$(INSTALL) --editable .
	@touch $@

.venv/installed-dev: pyproject.toml constraints.txt | .venv/bin/python
	$(INSTALL) --editable '.[dev]'
	@touch $@ .venv/installed

.venv/bin/python:
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo 'Moneyback needs Python 3.11 or newer; name one with: make PYTHON=python3.12 …' >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo 'This Python has no venv module; install it (on Debian: apt-get install python3-venv) and try again.' >&2; exit 1; }
	@"$(PYTHON)" -m venv --clear .venv
