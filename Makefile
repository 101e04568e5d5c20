# SPDX-License-Identifier: Apache-2.0
# The commands of the project. `make` alone lists them.

MAKEFLAGS += --no-print-directory
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

# ---- environment: made once, made again when what it is made of changes
VENV  := .venv
PY    := $(VENV)/bin/python
INPUTS := requirements.txt constraints.txt pyproject.toml .ci/environment
STAMP := $(VENV)/stamp-$(firstword $(shell cat $(INPUTS) | cksum))

# ---- variables of the commands; only those that are set reach the program
MODEL ?= tiny_vgg
JOBS  ?= 2
SEED  ?= 0
export SEED
# Words of the shell's own making: a value never becomes a part of a command.
RUNS ?=
export RUNS
# Workers share the processor: one arithmetic thread each.
PYTEST := OMP_NUM_THREADS=1 $(PY) -m pytest
flag = $(if $($(1)),--$(2) '$($(1))')

SOURCE = $(call flag,DATASET,dataset) $(call flag,DATA,data) $(call flag,CHECKPOINT,checkpoint) \
    $(call flag,PRESET,preset) $(call flag,CORES,cores) $(call flag,MESH,mesh) \
    $(call flag,PROFILE,profile) $(call flag,BIAS,bias) $(call flag,BITS,bits) \
    $(call flag,TABLES,tables) $(call flag,INTEGRATION,integration)

##@ Run
sim: $(STAMP) ## simulate MODEL cycle-accurately, compare with golden, report
	@$(PY) -m stemcore sim --model '$(MODEL)' $(SOURCE) $(call flag,IMAGES,images) \
	    $(call flag,SIM,sim) $(call flag,THREADS,threads) $(call flag,WAVES,waves)

check: $(STAMP) ## torch against golden on every integer of every test image
	@$(PY) -m stemcore check --model '$(MODEL)' $(SOURCE) $(call flag,IMAGES,images)

verilog: $(STAMP) ## write MODEL's self-contained Verilog and memory files to sim_build/
	@$(PY) -m stemcore verilog --model '$(MODEL)' $(SOURCE) $(call flag,IMAGES,images)

sparsify: $(STAMP) ## search activation tables of MODEL within BUDGET points of accuracy
	@$(PY) -m stemcore sparsify --model '$(MODEL)' $(SOURCE) $(call flag,BUDGET,budget) \
	    $(call flag,SCHEME,scheme)

compare: $(STAMP) ## RUNS side by side: settings that differ, accuracy, SOPs, cycles, energy, layers
	@read -ra runs <<< "$$RUNS"; $(PY) -m stemcore compare "$${runs[@]}"

train: $(STAMP) ## train MODEL on DATASET and write its checkpoint
	@$(PY) -m stemcore train --model '$(MODEL)' $(call flag,DATASET,dataset) $(call flag,DATA,data) \
	    $(call flag,EPOCHS,epochs) $(call flag,START,start) $(call flag,OUT,out) \
	    $(call flag,SPIKE_PENALTY,spike-penalty)

synth: $(STAMP) ## synthesise, place and route; LUTs, memories, Fmax
	@$(PY) -m stemcore synth $(call flag,BOARD,board) $(call flag,PRESET,preset)

tables: $(STAMP) ## the paper's tables for the networks trained here, in sim_build/tables
	@$(PY) -m stemcore tables $(call flag,IMAGES,images) $(call flag,DATA,data)

bench: $(STAMP) ## measure every figure that the README states
	@$(PY) -m stemcore bench

##@ Check
STAGES := lint unit cocotb formal system

test: $(STAMP) ## everything that proves the project, stage by stage
	@failed=; table=; begin=$$SECONDS; \
	for stage in $(STAGES); do \
	    printf '\n== %s\n' "$$stage"; from=$$SECONDS; \
	    verdict=passed; \
	    $(MAKE) "$$stage" || { verdict=FAILED; failed="$$failed $$stage"; }; \
	    row=$$(printf '%-8s %-7s %5d s' "$$stage" "$$verdict" $$((SECONDS - from))); \
	    table+=$$row$$'\n'; \
	done; \
	printf '\n== summary (SEED=%s)\n%s%-16s %5d s\n' "$(SEED)" "$$table" all $$((SECONDS - begin)); \
	if [ -n "$$failed" ]; then echo "make test: failed:$$failed" >&2; exit 1; fi

test-fast: $(STAMP) ## an answer within a minute: no simulator, nothing slow
	@$(PYTEST) -q -n $(JOBS) -m 'not slow and not sim' tests

unit: $(STAMP) ## all rooms' own tests
	@$(PYTEST) -q -n $(JOBS) --dist worksteal tests \
	    --ignore tests/cocotb --ignore tests/formal --ignore tests/system

cocotb: $(STAMP) ## the exported Verilog under Icarus and Verilator
	@$(PYTEST) -q -n $(JOBS) --dist worksteal tests/cocotb

formal: $(STAMP) ## bounded and inductive proofs
	@$(PYTEST) -q -n $(JOBS) --dist worksteal tests/formal

system: $(STAMP) ## models end to end: torch, golden, program and RTL
	@$(PYTEST) -q -n $(JOBS) --dist worksteal tests/system

lint: $(STAMP) ## ruff on everything, mypy on all but gateware
	@.ci/typing $(VENV)
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy

##@ Documentation
# What the site and the notebooks need is installed when they are first asked for.
DOCS_STAMP := $(VENV)/docs-$(firstword $(shell cat docs/requirements.txt constraints.txt | cksum))

docs: notebooks ## build the documentation, strictly, in sim_build/docs
	@NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --quiet
	@$(PYTEST) -q -rs tests/docs/test_site.py
	@printf 'site         sim_build/docs/index.html\n'

notebooks: $(DOCS_STAMP) ## execute the notebooks of docs/notebooks
	@$(PY) docs/run_notebooks.py

$(DOCS_STAMP): | $(STAMP)
	@printf 'docs: installing Python packages (pinned)\n'
	@$(PY) -m pip install -q --disable-pip-version-check -r docs/requirements.txt -c constraints.txt
	@rm -f $(VENV)/docs-*
	@touch $@

##@ Housekeeping
env: $(STAMP) ## set the environment up (every command does so when needed)

$(STAMP):
	@PYTHON='$(PYTHON)' .ci/environment $(VENV) $@

constraints: $(DOCS_STAMP) ## write constraints.txt from what is installed
	@{ sed -n '1,2p' constraints.txt; \
	   $(PY) -m pip list --disable-pip-version-check --format=freeze 2> /dev/null \
	       | sed 's/+cpu//' | grep -v '^pip=' | sort -f; } > constraints.new
	@mv constraints.new constraints.txt

clean: ## remove what was generated; the environment stays
	@find sim_build -mindepth 1 -maxdepth 1 ! -name .gitignore -exec rm -rf {} +
	@rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis

distclean: clean ## remove the environment too
	@rm -rf $(VENV)

help: ## this list
	@awk 'BEGIN {FS = ":.*## "} \
	    /^##@ / {printf "\n%s\n", substr($$0, 5)} \
	    /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@printf '\nVariables\n'
	@printf '  %-12s %s\n' \
	    MODEL 'network of the zoo ($(MODEL))' \
	    DATASET 'digits, cifar10, mnist, imagenet, imagenette, digit_boxes, voc, or a folder' \
	    DATA 'folder of the data set; default: $$STEMCORE_DATA, ./data' \
	    CHECKPOINT 'weights of a model of your own, safetensors' \
	    EPOCHS 'train: one cycle of so many epochs; default: the recipe of the pair' \
	    START 'train: weight file whose layers are taken over where they fit' \
	    OUT 'train: weight file to write; default: models/checkpoints/<model>-<dataset>' \
	    IMAGES 'how many test images to run' \
	    SIM 'engine: verilator (default), or one that `stemcore sim --help` lists' \
	    INTEGRATION 'exact (default) | scaled | scaled_shift | late: 16 bits' \
	    TABLES 'activation tables: none | rot1 | drlo3 | ones3 | rd20 | rot1+drlo3 | a JSON file' \
	    SPIKE_PENALTY 'loss that training adds for spikes, such as 0.1 (none)' \
	    BUDGET 'accuracy that sparsify may cost, percentage points (0.5)' \
	    SCHEME 'tables to search: hybrid (RoT, DRLO) | rd (rate-distortion); default: both' \
	    WAVES 'FST waves: all, or nodes X,Y[;X,Y..]' \
	    PRESET 'chip size; default: the model'\''s, mostly sim32; golden/spec/params.py lists them' \
	    CORES 'cores to use at most' \
	    MESH 'columns x rows of nodes, such as 6x6' \
	    RUNS 'compare: folders of runs, or their report.json' \
	    PROFILE 'exact (scales are powers of two; default) | general | paper' \
	    BIAS 'int32 | fraction16 | output8 | output16 | output (8 bits where they fit)' \
	    BITS 'bits of the activations, 2 to 8: the time steps T' \
	    BOARD 'what synth builds for; `stemcore synth --help` lists them' \
	    THREADS 'threads that simulate; default: $$OMP_NUM_THREADS, else one a processor, at most 4' \
	    SEED 'seed of random tests ($(SEED))' \
	    JOBS 'test processes side by side ($(JOBS))' \
	    PYTHON 'interpreter the environment is made from (python3.11 or newer)'

.PHONY: sim check verilog sparsify compare tables train synth bench test test-fast unit cocotb formal system lint docs notebooks env \
    constraints clean distclean help
