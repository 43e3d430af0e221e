# `make app` opens the studio. `make test` runs the quick checks of behaviour; `make slow` those with a browser, other
# processes, a training from end to end or thousands of cases; `make lint` every check of form. Each makes .venv when it
# is missing and installs into it what requirements*.txt ask for, once until they change; with LOCKED=1 exactly what
# requirements*.lock names (Python 3.11, Linux, x86-64, CPU build of PyTorch).
# `make outdated` lists what has moved since the lock, `make lock` writes it anew.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
LOCKED ?=
PIP := $(BIN)/python -m pip --disable-pip-version-check
WANTED = $(if $(LOCKED),--require-hashes -r $(1).lock,-r $(1).txt)

.PHONY: app test slow hostile lint lock outdated
.DELETE_ON_ERROR:

app: $(VENV)/app.stamp
	$(BIN)/python app.py $(ARGS)

test: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -q -n 2 --dist loadfile -m "not slow" $(ARGS)

slow: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -q -n 2 --dist loadfile -m slow $(ARGS)

# What strangers may send, KOOPMAN_HOSTILE times as many cases of each kind as the tests ask for.
hostile: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -q -n 2 --dist loadfile tests/hostile $(ARGS)

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/python -m mypy

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11 ...' >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
		{ rm -rf $(VENV); echo 'Could not make $(VENV); on Debian: apt-get install python3-venv' >&2; exit 1; }

$(VENV)/app.stamp: requirements.txt requirements.lock | $(BIN)/python
	$(PIP) install -q $(call WANTED,requirements)
	@touch $@

$(VENV)/dev.stamp: requirements-dev.txt requirements-dev.lock $(VENV)/app.stamp | $(BIN)/python
	$(PIP) install -q $(call WANTED,requirements-dev)
	@touch $@

# Newer releases of what the lock names, and newer ones of what the ranges leave out; worth a look every week.
outdated: $(VENV)/dev.stamp
	@$(PIP) list --outdated --format=columns

# UV_FIND_LINKS (a folder) or UV_INDEX (an index) says where the CPU build of PyTorch is: docs/deploy.md.
lock: $(VENV)/uv.stamp
	for part in requirements requirements-dev; do \
		$(BIN)/uv pip compile --quiet --upgrade --generate-hashes $$part.txt --override requirements-lock.in \
			--python-version 3.11 --python-platform x86_64-manylinux_2_28 --no-annotate --no-header \
			--no-emit-index-url --no-emit-find-links --output-file $$part.lock || exit 1; \
	done

$(VENV)/uv.stamp: | $(BIN)/python
	$(PIP) install -q uv
	@touch $@
