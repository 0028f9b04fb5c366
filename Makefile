# The project's commands, for GNU make 3.81 or newer and a POSIX shell. `make` alone lists them.

BIN := .venv/bin
READY := .venv/.ready
# The interpreter that .venv is made from; the first of python3, python3.13, python3.12, python3.11 that is new enough if not named.
PYTHON ?=
# uv writes the lock; nothing else needs it.
UV := uv==0.13.9

# Only .venv may provide what the lock names: not ~/.local, not PYTHONPATH, and no kernel of the user.
export PYTHONNOUSERSITE := 1
export JUPYTER_PREFER_ENV_PATH := 1
unexport PYTHONPATH PYTHONHOME

# The commands in .venv contain the path of their folder. If the clone was renamed, moved or copied, .venv is built again.
INSTALLED_IN := $(shell cat $(READY) 2>/dev/null)
ifneq ($(INSTALLED_IN),)
ifneq ($(INSTALLED_IN),$(CURDIR))
.PHONY: $(READY)
endif
endif

.DEFAULT_GOAL := help
.PHONY: help setup reproduce test book lint format lock clean full-clean

help: ## List these commands.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' Makefile

reproduce: $(READY) ## Set up, run every experiment at the quick profile, build the book, say where to open it.
	$(BIN)/replication run --profile quick
	$(BIN)/replication book --profile quick

test: $(READY) ## Set up if needed, run the tests, execute the notebooks and compare their checked outputs.
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile tests
	$(BIN)/pytest -p no:xdist --timeout 900 --nbval-lax --nbval-current-env --nbval-sanitize-with tests/nbval_sanitize.cfg notebooks

book: $(READY) ## Build the book from the committed notebooks alone, warnings as errors.
	rm -rf _build/html _build/.doctrees # a page that left the source leaves the book
	env -u REPLICATION_RESULTS $(BIN)/jupyter-book build book/ -W -n --keep-going

lint: $(READY) ## Check the code, its format and its types.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY) ## Format the code.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

setup: $(READY) ## Create .venv from requirements.lock, or bring it up to date (PYTHON=... chooses the interpreter).

$(READY): requirements.lock pyproject.toml
	@PYTHON='$(PYTHON)' sh scripts/setup.sh

lock: ## Write requirements.lock again from pyproject.toml; keep pins that still fit (UPGRADE=--upgrade: use the newest versions).
	$(or $(PYTHON),python3) -m venv build/lock
	build/lock/bin/python -m pip install --quiet $(UV)
	build/lock/bin/uv pip compile --quiet $(UPGRADE) --output-file requirements.lock pyproject.toml

clean: ## Remove everything that the commands built; keep .venv, data/, runs/ and the caches.
	rm -rf _build book/_build build results/quick
	find . \( -path ./.venv -o -path ./.git -o -path ./data -o -path ./runs \) -prune -o \
	    -type d \( -name __pycache__ -o -name .ipynb_checkpoints \) -prune -exec rm -rf {} +

full-clean: clean ## Also remove .venv, the caches, and runs/ with its checkpoints and weights; keep data/.
	rm -rf .venv runs *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis .coverage
