PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

# Code on a page is narrower than code in an editor.
CHAPTERS_AS := --line-length 72 book/*.ipynb

.PHONY: help book test test-fast bench gpu gpu-results check format execute address artifacts clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed 's/:.*## /\t/' | expand -t 12

book: $(READY) ## build the book from its stored outputs and print its address; OFFLINE=1 never asks for a network
	@$(BIN)/jupyter-book build . -q -W -n --keep-going

# Two chapters at a time, on a thread each: with more threads than cores they mostly wait for each other.
test: $(READY) ## run the unit tests, then every cell of the book against its stored output
	@$(BIN)/pytest -n 2 --dist loadfile && OMP_NUM_THREADS=1 $(BIN)/pytest --nbval book/ -n 2 --dist loadscope

test-fast: $(READY) ## run the core's tests, in under a minute
	@OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2 tests/core tests/images -m "not slow and not network"

bench: $(READY) ## time the training step against the ports' (a quarter of an hour on two cores)
	@$(BIN)/python benchmarks/step.py

# The interpreter that is there: a GPU's own machine has torch, and nothing is installed there.
gpu: ## ten minutes on a GPU: run what is owed, as far as the time goes; SECONDS_LEFT=540
	@$(PYTHON) benchmarks/gpu.py --seconds $(or $(SECONDS_LEFT),540) --out runs/gpu

gpu-results: $(READY) ## take what came back from a GPU: DIR=runs/gpu
	@$(BIN)/python benchmarks/gpu.py --merge $(or $(DIR),runs/gpu)

check: $(READY) ## lint, formatting and types, of chapters too
	@$(BIN)/ruff check && $(BIN)/ruff format --check && $(BIN)/ruff format --check $(CHAPTERS_AS) && $(BIN)/pyright

format: $(READY) ## format all code, that of chapters too
	@$(BIN)/ruff check --fix && $(BIN)/ruff format && $(BIN)/ruff format $(CHAPTERS_AS)

execute: $(READY) ## run the chapters and store their outputs; CHAPTERS="01 03" picks some
	@$(BIN)/python book/execute.py $(CHAPTERS)

address: $(READY) ## change the repository's address everywhere: URL=https://github.com/OWNER/REPO
	@$(BIN)/python book/address.py $(URL)

artifacts: $(READY) ## train the committed artifacts again; NAME=... picks one
	@$(BIN)/began artifacts $(NAME)

clean: ## remove the environment and the built book
	rm -rf .venv _build

# The environment, made again when what it is made from changes. Groups need a pip of 25.1 or later.
# OFFLINE=1 takes it as it is; the pages and the building of them need no network either way.
ifdef OFFLINE
$(READY):
	@echo "no environment yet, and making one needs the network: run 'make book' once without OFFLINE"; exit 1
else
$(READY): pyproject.toml requirements.txt constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit(f"Python 3.11 or later is needed; $(PYTHON) is {v[0]}.{v[1]}. Name another: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/pip install --progress-bar on -r requirements.txt --group test --group dev -c constraints.txt
	@touch $@
endif
