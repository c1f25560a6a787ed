# Everything here needs only make and Python >= 3.11: each target makes .venv and installs what it needs, pinned.

PYTHON ?= python3
PYTEST = .venv/bin/python -m pytest -n auto --maxprocesses 4

.PHONY: demo test test-all lint bench
.NOTPARALLEL:

demo: .venv/.with-demo
	.venv/bin/qkv demo $(ARGS)

test: .venv/.with-test
	$(PYTEST) -m "not slow" $(ARGS)

test-all: .venv/.with-test
	$(PYTEST) $(ARGS)

lint: .venv/.with-lint
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/pyright
	.venv/bin/python -m pytest -m "not slow" tests/house

bench: .venv/.with-bench
	set -e; for script in bench/*.py; do echo "== $$script"; .venv/bin/python "$$script"; done

# One stamp per extra; a change of the pins installs again into the same .venv.
.venv/.with-%: pyproject.toml constraints.txt | .venv/.made
	@echo "Installing qkv[$*] into .venv. The first time downloads PyTorch and takes a few minutes."
	.venv/bin/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[$*]'
	@touch $@

.venv/.made:
	@for python in $(PYTHON) python3.14 python3.13 python3.12 python3.11; do \
	  if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    $$python -m venv .venv && touch $@; exit; \
	  fi; \
	done; \
	echo "qkv needs Python 3.11 or newer: install one, or name yours with make PYTHON=/path/to/python3." >&2; exit 1
