# Every target makes what it needs: .venv with the locked versions, and the system programs.
PYTHON ?= python3
export PYTHON

NETVIZ = .venv/bin/netviz
RUFF = .venv/bin/ruff

.NOTPARALLEL:
.PHONY: help lab test test-all test-browser check fix bench lock programs clean

help: ## list these targets
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 22

lab: .venv/lab programs ## open lesson 00; another one: make lab ARGS="4 --no-browser"
	$(NETVIZ) lab $(ARGS)

test: .venv/test programs ## run the tests that need no browser
	@.venv/bin/python scripts/programs.py strace
	scripts/test test

test-all: test test-browser ## run all tests

test-browser: .venv/browser programs
	@.venv/bin/python scripts/programs.py chromium
	scripts/test browser

check: .venv/dev ## check style and types
	$(RUFF) check
	$(RUFF) format --check
	.venv/bin/mypy
	.venv/bin/nbstripout --keep-id --verify notebooks/*.ipynb

fix: .venv/dev ## mend the style, as far as a program can
	$(RUFF) check --fix
	$(RUFF) format
	.venv/bin/nbstripout --keep-id notebooks/*.ipynb

bench: .venv/browser programs ## measure against the floor and the peers, into benchmarks/RESULTS.md
	@.venv/bin/python scripts/programs.py chromium
	.venv/bin/python benchmarks/bench.py

lock: .venv/dev ## choose newer versions, within pyproject.toml
	.venv/bin/python -m pip install --quiet uv
	.venv/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --all-extras \
	    --no-annotate --no-header --no-emit-index-url --no-emit-find-links \
	    pyproject.toml --output-file constraints.txt

programs: .venv/lab
	@.venv/bin/python scripts/programs.py

.venv/lab .venv/test .venv/browser .venv/dev: pyproject.toml constraints.txt
	@scripts/environment $(@F)
	@touch $@

clean: ## remove what make made here; the system programs stay in ~/.cache/netviz
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
