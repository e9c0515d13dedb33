# One command per job. Each installs what it needs into .venv, once.
# Another interpreter: make PYTHON=python3.12 demo

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt

# Two busy OpenMP threads on shared cores are several times slower than one.
export OMP_NUM_THREADS ?= 1

# What t1-mini-companion needs (src/thought1/model/packages.py).
MINI := PIP_QUIET=2 PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/t1 models get t1-mini-companion --yes

PYTEST := $(BIN)/python -m pytest -q

.PHONY: help demo test test-slow test-numerics lint bench docs docs-index docs-serve train-nano train-mini clean
.DELETE_ON_ERROR:

help:
	@echo "make demo          build an index over the example notes and ask it questions"
	@echo "make test          all tests that take seconds"
	@echo "make test-slow     the tests that take minutes: kill campaigns, long runs"
	@echo "make test-numerics the tests of trained floats and sampled tokens, as two processors would run them"
	@echo "make lint          ruff and mypy"
	@echo "make bench         speed against the peers, in one run"
	@echo "make docs          the documentation as a site, in site/"
	@echo "make docs-serve    the same, served on http://127.0.0.1:8000/docs/ and searched by t1 itself"
	@echo "make train-nano    train t1-nano again"
	@echo "make train-mini    train t1-mini-companion again"
	@echo "make clean         remove caches and builds (.venv stays)"

demo: $(VENV)/installed-demo
	@$(BIN)/python examples/everyday_science_demo.py

# Two workers of one thread each (tests/conftest.py), whole files, so that a file's fixtures are built once.
# In their order: the longest test, the demo, comes early.
test: $(VENV)/installed-dev
	@$(PYTEST) -m "not slow" -n 2 --dist loadfile --no-loadscope-reorder

test-slow: $(VENV)/installed-dev
	@$(PYTEST) -m slow

# This processor's instructions and those of an older one, on one thread and on two: each rounds
# differently. Where it has no more than AVX2, both are the same.
AVX2 := ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 MKL_ENABLE_INSTRUCTIONS=AVX2

test-numerics: $(VENV)/installed-dev
	@$(PYTEST) -m numerics -n 2 --dist loadfile
	@$(AVX2) $(PYTEST) -m numerics -n 2 --dist loadfile
	@THOUGHT1_TEST_THREADS=2 $(PYTEST) -m numerics
	@$(AVX2) THOUGHT1_TEST_THREADS=2 $(PYTEST) -m numerics

lint: $(VENV)/installed-dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

bench: $(VENV)/installed-dev
	@$(BIN)/python benchmarks/speed.py
	@$(BIN)/python benchmarks/train_speed.py

# Strict: a link that leads nowhere fails.
docs: $(VENV)/installed-docs
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs --quiet build

docs-index: docs
	@$(BIN)/t1 index build/docs-text -o build/docs.index

docs-serve: docs-index
	@$(BIN)/t1 serve build/docs.index --site site

# All three stages. DATA: the folder of the training files. About two and a half hours of one core, 20
# minutes of them for the teacher.
DATA ?= ../shared/data

train-nano: $(VENV)/installed-dev
	@test -e runs/minilm-tuned/finetune.json || $(BIN)/python benchmarks/finetune_minilm.py \
	  --data $(DATA) --output runs/minilm-tuned --seed 0
	@$(BIN)/t1 train recipes/nano-cpu.toml data=$(DATA)

# About 40 minutes of one core; run again after an interruption, it goes on.
train-mini: $(VENV)/installed-dev
	@$(BIN)/t1 train recipes/mini-companion.toml data=$(DATA)

clean:
	rm -rf build dist site .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find src tests examples benchmarks -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Thought 1 needs Python 3.11 or newer, and '$(PYTHON)' is not that. Name another one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "Creating $(VENV)"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(VENV)/installed-torch: constraints.txt | $(BIN)/python
	@echo "Installing torch (the largest part; minutes on a slow line)"
	@$(PIP) torch
	@touch $@

$(VENV)/installed-demo: pyproject.toml constraints.txt | $(VENV)/installed-torch
	@echo "Installing thought1 with its evaluation metrics and t1-mini-companion's base"
	@$(PIP) -e ".[eval,mini]"
	@$(MINI)
	@touch $@

$(VENV)/installed-dev: pyproject.toml constraints.txt | $(VENV)/installed-torch
	@echo "Installing thought1 with training, evaluation and test tools"
	@$(PIP) -e ".[dev]"
	@$(MINI)
	@touch $@

$(VENV)/installed-docs: pyproject.toml constraints.txt | $(VENV)/installed-torch
	@echo "Installing thought1 with what builds and serves its documentation"
	@$(PIP) -e ".[docs,serve,mini]"
	@$(MINI)
	@touch $@
