# Every target makes .venv by itself; Python 3.11 or newer with its venv module is all that must be there.
#   make demo [ONCE=1] [PEERS=5]    make test    make check    make lan (root)    make web (chromium)
#   make soak    make bench    make nightly    make clean              make TARGET PYTHON=python3.12
#   make trixie (root; a Debian 13 in .cache, for make lan)

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# Not removed by `make clean`: what is downloaded once.
CACHE  := .cache
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet --quiet
ARGS   ?=
# Processes of `make test` and `make soak`; in the first, tests of one file stay in one of them.
JOBS   ?= 2
# A heap of huge pages: a third less CPU for what runs swarms (p2pnode/ui/huge_pages.py).
HEAP   := PYTHONMALLOC=malloc GLIBC_TUNABLES=glibc.malloc.hugetlb=1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test check lan trixie web soak bench nightly clean

help:
	@sed -n 's/^# \{0,1\}//p;/^$$/q' Makefile

demo: $(VENV)/run.stamp
	@$(BIN)/p2pnode demo $(if $(PEERS),--peers $(PEERS)) $(if $(ONCE),--once) $(ARGS)

test: $(VENV)/test.stamp
	@$(HEAP) $(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile $(ARGS)
	@echo 'make test: tests/lan (hosts in network namespaces) were not run here; as root: make lan'
	@echo 'make test: tests/web (pages in Chromium) were not run here: make web'

check: $(VENV)/test.stamp
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --config setup.cfg --no-logo

# As root, with iproute2, nftables, avahi-daemon, avahi-utils, dbus, qbittorrent-nox and what `make trixie` makes.
# What is missing fails a test, it does not skip one.
lan: $(VENV)/test.stamp
	@test "$$(id -u)" = 0 || { echo 'make lan: needs root, to make network namespaces. Nothing was run.' >&2; exit 1; }
	@$(BIN)/python -m pytest -m 'lan and not nightly' tests/lan $(ARGS)

# As root, with debootstrap: a Debian 13 in a folder, once, 250 MB; for programs that this machine has only too old.
trixie: $(CACHE)/trixie.stamp

$(CACHE)/trixie.stamp:
	@bash .ci/trixie $(CACHE)/trixie
	@touch $@

# With Debian's chromium. What is missing fails a test here too.
web: $(VENV)/test.stamp
	@$(BIN)/python -m pytest -m web tests/web $(ARGS)

soak: $(VENV)/soak.stamp
	@$(HEAP) HYPOTHESIS_PROFILE=soak $(BIN)/python -m pytest --numprocesses $(JOBS) --dist worksteal -m 'soak and not nightly' -o faulthandler_timeout=1800 $(ARGS)

bench: $(VENV)/test.stamp
	@$(BIN)/python -m tests.benchmarks $(ARGS)

nightly: $(VENV)/soak.stamp
	@$(HEAP) HYPOTHESIS_PROFILE=soak $(BIN)/python -m pytest -m nightly -o faulthandler_timeout=0 $(ARGS)
	@$(HEAP) HYPOTHESIS_PROFILE=deep $(BIN)/python -m pytest tests/property -o faulthandler_timeout=1800 $(ARGS)

clean:
	@rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage*
	@find overlay p2pnode apps simulations tests -name __pycache__ -type d -prune -exec rm -rf {} +

# --- set-up -------------------------------------------------------------------------------------------------
# Stamps: run < test < soak. A set-up that failed leaves none, so the next make tries again.

$(VENV)/run.stamp: setup.cfg pyproject.toml | $(BIN)/python
	@echo 'setting up $(VENV) (once; takes a minute)' >&2
	@$(PIP) install --editable .
	@touch $@

$(VENV)/test.stamp: $(VENV)/run.stamp
	@$(PIP) install --editable '.[test]'
	@touch $@

$(VENV)/soak.stamp: $(VENV)/test.stamp
	@$(PIP) install --editable '.[test,soak]'
	@touch $@

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { echo "make: '$(PYTHON)' is not there. p2pnode needs Python 3.11 or newer" \
	  "(Debian: apt install python3 python3-venv); name another with: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: $(PYTHON) is" \
	  "$$($(PYTHON) --version 2>&1), p2pnode needs Python 3.11 or newer; name another with: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "make: $(PYTHON) has no venv module." \
	  "Debian and Ubuntu keep it apart: apt install python3-venv (or python3.N-venv for a $(PYTHON) of your own)" >&2; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV)
