# The commands of a fresh machine: `make demo` shows it, `make test` proves it. Both set everything up first.
PYTHON ?= python3
BIN := .venv/bin
.PHONY: setup demo test slow lint models clean system

setup: .venv/ready

.venv/ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is needed, $(PYTHON) is $$($(PYTHON) --version 2>&1)"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
		{ [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq python3-venv; } || sudo -n apt-get install -y -qq python3-venv || \
		{ echo "Python's venv is missing. Install it: sudo apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

# Installs what the tests use of the system where it may; else says what is missing and what is skipped.
system:
	@sh tests/system.sh

demo: setup
	$(BIN)/edgetwin demo

# One thread each: two cores are shared by three workers and the processes that they start.
test: export OPENBLAS_NUM_THREADS = 1
test: setup system
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

# The few tests that take minutes of processor time each, and so are not in `make test`.
slow: setup system
	$(BIN)/python -m pytest -m slow

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy agent hil
	$(BIN)/lint-imports

# Makes configs/models/ again: a recording of the healthy plant, then the twin and the detector fitted to it.
models: setup
	sh configs/models/make.sh $(BIN)

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
