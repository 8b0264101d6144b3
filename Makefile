# The commands of this project; the README shows the same with plain pip. Another Python: make demo PYTHON=python3.12

PYTHON ?= python3
DEMO = .venv
DEV = .venv-dev
BENCH = .venv-bench

export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: help demo test check format wheel-check bench clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' Makefile

demo: $(DEMO)/.installed ## Extract triples from the example documents
	$(DEMO)/bin/zsre-extract examples/corpus.jsonl --relations examples/relations.yaml --threshold 0.25 --overwrite --show 20

test: $(DEV)/.installed ## Run the tests; those on real data need ZSRE_DATA, the folder that holds it
	$(DEV)/bin/python -m pytest

check: $(DEV)/.installed ## Check formatting, lint and types
	$(DEV)/bin/ruff format --check .
	$(DEV)/bin/ruff check .
	$(DEV)/bin/mypy

format: $(DEV)/.installed ## Format the code and mend what lint can mend
	$(DEV)/bin/ruff format .
	$(DEV)/bin/ruff check --fix .

wheel-check: $(DEV)/.installed ## Build a wheel and try it in an environment of its own, without torch
	$(DEV)/bin/python scripts/check_wheel.py

bench: $(DEV)/.installed $(BENCH)/.installed ## Measure speed beside others, for hours; ROWS=a,b for some; needs ZSRE_DATA
	$(DEV)/bin/python -m benchmarks corpus
	$(DEV)/bin/python -m benchmarks run $(if $(ROWS),--rows $(ROWS))

clean: ## Remove the environments, caches and builds
	rm -rf $(DEMO) $(DEV) $(BENCH) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis corpus.triples
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Competitors want other versions of the same packages, so they have an environment of their own.
$(BENCH)/.installed: benchmarks/requirements.txt
	$(PYTHON) -m venv $(BENCH)
	@echo "Installing the competitors into $(BENCH), which takes a few minutes the first time"
	$(BENCH)/bin/pip install --quiet --requirement benchmarks/requirements.txt
	@touch $@

$(DEV)/.installed: EXTRAS = [dev]

%/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; (3, 11) <= v <= (3, 13) or sys.exit("error: zsre runs on \
	Python 3.11 to 3.13, and $(PYTHON) is %d.%d: name another, as in make PYTHON=python3.12" % v)'
	$(PYTHON) -m venv $*
	@echo "Installing zsre$(EXTRAS) into $*, which takes a few minutes the first time"
	$*/bin/pip install --quiet --constraint constraints.txt --editable '.$(EXTRAS)'
	@touch $@
