# SPDX-License-Identifier: Apache-2.0
# The commands of the project. `make` alone lists them.

MAKEFLAGS += --no-print-directory
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

# ---- variables of the commands: `make help` shows these lines, and no other name is taken
#? MODEL network of the zoo, file.py:function, archive .pt2 or file .onnx (tiny_vgg)
#? DATASET digits, digit_boxes, shapes, tones, cifar10, mnist, imagenet, imagenette, voc, a folder, arrays .npz
#? DATA folder of the data set; default: $STEMCORE_DATA, ./data
#? CHECKPOINT weights of a model of your own, safetensors
#? INPUT what a byte means: unit | signed | u8 | LOW..HIGH | MEAN,STD | auto; default: the model's
#? OUTPUT classes | values, or NAME=classes,NAME=values: what the outputs are; default: as network or data say
#? IMAGES how many test images to run
#? SIM engine: verilator (default), or one that `stemcore sim --help` lists
#? PORT where the chip of SIM=fpga is: a serial port, as /dev/ttyUSB0 or /dev/ttyUSB0@3000000, or axi:/dev/uio0
#? THREADS threads that simulate; default: $OMP_NUM_THREADS, else one a processor, at most 4
#? AXI verilog: streams of 32 or 64 bits, the chip behind AXI as well
#? UART verilog: cycles of its clock a bit, the chip on a serial line as well
#? MAPPED verilog: 1: the chip behind registers in memory as well
#? WAVES FST waves: all, or nodes X,Y[;X,Y..]
#? BITS bits of the activations, 2 to 8: the time steps T; of layers too: 8,fc=4
#? WEIGHT_BITS bits of the weights, 2 to 8, likewise
#? CALIBRATION max | mse (default) | percentile[:99.99]: scales of activations from images
#? INTEGRATION exact (default) | scaled | scaled_shift | late: 16 bits
#? PROFILE exact (scales are powers of two; default) | general | paper
#? BIAS int32 | fraction16 | output8 | output16 | output (8 bits where they fit)
#? TABLES activation tables (train: what to learn under): none | rot1 | drlo3 | ones3 | rd20 | rot1+drlo3 | a JSON file
#? PRESET chip size; default: the model's, mostly sim32; `make info` lists them
#? PRESETS estimate: names with commas: which of them is fastest with as many lanes in all
#? CORES cores to use at most
#? CORES_ON_CHIP sim, estimate: cores of a chip on which the network's cores take turns
#? SKIP_BUFFERS all | none: copies of what connections carry past layers; default: all, or none where only that fits
#? MESH columns x rows of nodes, such as 6x6
#? CLUSTER sim, sweep, sparsify, fuzz: where they run: none | local | local:N | tcp://HOST:PORT of a Dask scheduler
#? BUDGET sparsify: accuracy that tables may cost, percentage points (0.5)
#? SCHEME sparsify: hybrid (RoT, DRLO) | rd (rate-distortion); default: both
#? COST sparsify: what tables are to save: sops (default) | cycles, of the busiest core
#? RUNS compare: folders of runs, or their report.json; in quotes those with spaces
#? EPOCHS train: one cycle of so many epochs; default: the recipe of the pair
#? RATE train: highest learning rate, such as 0.01 with START; default: the recipe's
#? START train: weight file whose layers are taken over where they fit
#? OUT train: weight file to write; default: checkpoints/MODEL-DATASET.safetensors
#? TEACHER train: weight file of a network whose answers are learned instead of labels
#? MIXUP train: mix images in pairs, with shares of Beta(MIXUP, MIXUP); default: the recipe's
#? DEVICE train: where torch computes: cpu (default) | cuda | cuda:1
#? SPIKE_PENALTY train: loss that is added for spikes, such as 0.1 (none)
#? BOARD fpga, synth: what it builds for; `stemcore fpga --help` lists them
#? NODES fpga: columns x rows of nodes, such as 3x1; default: as many as fit the board
#? CLOCK fpga: MHz of the chip; default: the board's
#? BAUD fpga: of the serial line (1000000)
#? SIMULATE fpga, synth: test images that nodes as netlists run too; each flit as the RTL's (none)
#? CODEC fpga, verilog: 1, or so many values (8192): a spike encoder and decoder beside the port, images and outputs as bytes
#? FILES mutate: all, or folders and files of hdl, golden, compiler; default: changed lines
#? MUTANTS mutate: faults at most (60)
#? SEEDS fuzz: random networks of each kind (100), from SEED on; fpga, synth: placements (1)
#? SEED seed of random tests, of faults and of training (0)
#? JOBS test processes side by side (2)
#? LONG test: 0 leaves out the tests that take a minute or more (1)
#? STAGES test: some of lint unit cocotb formal system docs wheel (the first five)
#? PYTHON interpreter the environment is made from (python3.11 or newer)
#? VENV folder of the environment (.venv)
HASH := \#
KNOWN := $(shell sed -n 's/^$(HASH)? \([A-Z_]*\) .*/\1/p' Makefile)

# A misspelt name would be ignored, and the run would answer another question.
GIVEN := $(foreach v,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $(v)))),$(v)))
UNKNOWN := $(firstword $(filter-out $(KNOWN),$(GIVEN)))
ifdef UNKNOWN
    $(error $(shell .ci/nearest '$(subst ','\'',$(UNKNOWN))' $(KNOWN)))
endif

# Too common a name to mean this project where it comes from the environment: STEMCORE_DATA does.
ifeq ($(origin DATA),environment)
    override undefine DATA
    unexport DATA
endif

MODEL  ?= tiny_vgg
JOBS   ?= 2
LONG   ?= 1
SEED   ?= 0
VENV   ?= .venv
STAGES ?= lint unit cocotb formal system

# A value is text, whatever characters it has: neither make nor the shell may expand it. So each is
# taken as it was written and reaches the commands through the environment, as "$NAME".
$(foreach v,$(KNOWN),$(if $(filter-out undefined,$(origin $(v))),\
    $(eval override $(v) := $$(value $(v)))$(eval export $(v))))
option = $(if $($(1)),--$(2)="$$$(1)")

# ---- what each command takes, as VARIABLE/option: no other variable may be given to it
SOURCE := MODEL/model DATASET/dataset DATA/data CHECKPOINT/checkpoint INPUT/input OUTPUT/outputs \
    PRESET/preset CORES/cores MESH/mesh PROFILE/profile BIAS/bias BITS/bits \
    WEIGHT_BITS/weight-bits CALIBRATION/calibration TABLES/tables INTEGRATION/integration \
    SKIP_BUFFERS/skip-buffers
TAKES_sim := $(SOURCE) CORES_ON_CHIP/cores-on-chip IMAGES/images SIM/sim PORT/port THREADS/threads WAVES/waves \
    CLUSTER/cluster
TAKES_check := $(SOURCE) IMAGES/images
TAKES_estimate := $(SOURCE) CORES_ON_CHIP/cores-on-chip PRESETS/presets
TAKES_verilog := $(SOURCE) IMAGES/images AXI/axi UART/uart MAPPED/mapped CODEC/codec
TAKES_sparsify := $(SOURCE) BUDGET/budget SCHEME/scheme COST/cost CLUSTER/cluster
TAKES_sweep := $(SOURCE) IMAGES/images CLUSTER/cluster
TAKES_compare := RUNS/
TAKES_info := /
TAKES_train := MODEL/model DATASET/dataset DATA/data EPOCHS/epochs RATE/rate START/start OUT/out SEED/seed \
    THREADS/threads SPIKE_PENALTY/spike-penalty TABLES/tables TEACHER/teacher MIXUP/mixup DEVICE/device
TAKES_synth := BOARD/board PRESET/preset SEEDS/seeds SIMULATE/simulate
TAKES_fpga := BOARD/board PRESET/preset NODES/nodes CLOCK/clock BAUD/baud CODEC/codec SEEDS/seeds \
    MODEL/model DATASET/dataset DATA/data CHECKPOINT/checkpoint SIMULATE/simulate
TAKES_tables := IMAGES/images DATA/data DATASET/dataset CHECKPOINT/checkpoint MODEL/model
TAKES_bench := /
TAKES_test := STAGES/ SEED/ JOBS/ LONG/
$(foreach stage,unit cocotb formal system,$(eval TAKES_$(stage) := SEED/ JOBS/ LONG/))
$(foreach stage,test-fast docs,$(eval TAKES_$(stage) := SEED/ JOBS/))
TAKES_mutate := FILES/ SEED/ MUTANTS/number
TAKES_fuzz := SEEDS/seeds SEED/seed CLUSTER/cluster
TAKES_verify := SEED/ JOBS/
TAKES_lint := /

variables = $(foreach pair,$(filter-out /,$(TAKES_$(1))),$(firstword $(subst /, ,$(pair))))
options = $(foreach pair,$(1),\
    $(call option,$(firstword $(subst /, ,$(pair))),$(lastword $(subst /, ,$(pair)))))

# A stage of `make test` is given what that was given. Goals that are not listed take anything.
ifeq ($(MAKELEVEL),0)
    GOALS := $(if $(filter-out $(foreach goal,$(MAKECMDGOALS),$(if $(TAKES_$(goal)),$(goal))),\
        $(MAKECMDGOALS)),,$(MAKECMDGOALS))
    UNUSED := $(if $(GOALS),$(firstword $(filter-out VENV PYTHON \
        $(foreach goal,$(GOALS),$(call variables,$(goal))),$(GIVEN))))
    ifneq ($(UNUSED),)
        $(error $(UNUSED): make $(firstword $(GOALS)) does not use this variable; leave it out. \
            It takes $(or $(call variables,$(firstword $(GOALS))),none))
    endif
endif

ifeq ($(filter $(LONG),0 1),)
    $(error LONG: must be 0 or 1, got '$(LONG)')
endif
ifneq ($(words $(VENV)),1)
    $(error VENV: must be a path without spaces, got '$(VENV)')
endif

# ---- environment: made once, made again when what it is made of changes
PY    := $(VENV)/bin/python
INPUTS := constraints.txt pyproject.toml .ci/environment
STAMP := $(VENV)/stamp-$(firstword $(shell cat $(INPUTS) | cksum))
# The console script `stemcore`, as it is called where no PATH leads to it.
STEMCORE := $(PY) -m stemcore
# Workers share the processor: one arithmetic thread each.
PYTEST := OMP_NUM_THREADS=1 $(PY) -m pytest -q -n "$$JOBS"
STAGE_PYTEST := $(PYTEST) $(if $(filter 0,$(LONG)),-m "not long")
# What runs of the tests leave: counts for the summary, records for the table of `make verify`.
EVIDENCE := $(CURDIR)/sim_build/evidence

##@ Run
sim: $(STAMP) ## simulate MODEL cycle-accurately, compare with golden, report
	@$(STEMCORE) sim $(call options,$(TAKES_sim))

check: $(STAMP) ## torch against golden on every integer of every test image
	@$(STEMCORE) check $(call options,$(TAKES_check))

estimate: $(STAMP) ## cores, memories, cycles and energy of MODEL, without a simulation
	@$(STEMCORE) estimate $(call options,$(TAKES_estimate))

verilog: $(STAMP) ## write MODEL's self-contained Verilog and memory files to sim_build/
	@$(STEMCORE) verilog $(call options,$(TAKES_verilog))

sparsify: $(STAMP) ## search activation tables of MODEL within BUDGET points of accuracy
	@$(STEMCORE) sparsify $(call options,$(TAKES_sparsify))

sweep: $(STAMP) ## MODEL with all combinations of several values: BITS=2..8 TABLES=none,rd20 ..
	@$(STEMCORE) sweep $(call options,$(TAKES_sweep))

compare: $(STAMP) ## RUNS side by side: settings that differ, accuracy, SOPs, cycles, energy, layers
	@readarray -t runs < <(xargs -r -n 1 printf '%s\n' <<< "$${RUNS-}"); $(STEMCORE) compare "$${runs[@]}"

info: $(STAMP) ## versions, programs, folders, presets, data sets, networks as they are found here
	@$(STEMCORE) info

train: $(STAMP) ## train MODEL on DATASET and write its checkpoint
	@$(STEMCORE) train $(call options,$(TAKES_train))

# A board without a network where none is named: there the default of MODEL is not meant.
fpga: $(STAMP) ## bitstream of BOARD, with what it takes; of MODEL: images/s on it
	@$(STEMCORE) fpga $(call options,$(if $(filter MODEL,$(GIVEN)),$(TAKES_fpga),$(filter-out MODEL/model,$(TAKES_fpga))))

synth: $(STAMP) ## synthesise, place and route; LUTs, memories, Fmax
	@$(STEMCORE) synth $(call options,$(TAKES_synth))

# All networks where none is named: there the default of MODEL is not meant.
ALL_MODELS = $(if $(filter MODEL,$(GIVEN))$(CHECKPOINT),,MODEL/model)
tables: $(STAMP) ## the paper's tables for the networks trained here, in sim_build/tables
	@$(STEMCORE) tables $(call options,$(filter-out $(ALL_MODELS),$(TAKES_tables)))

bench: $(STAMP) ## measure speed and size: figures of docs/measurements.md
	@$(STEMCORE) bench

##@ Check
test: $(STAMP) ## everything that proves the project, stage by stage
	@failed=; table=; skipped=; begin=$$SECONDS; \
	for stage in $$STAGES; do \
	    printf '\n== %s\n' "$$stage"; from=$$SECONDS; \
	    verdict=passed; counts=; kept='$(EVIDENCE)'/$$stage; rm -f "$$kept".* "$$kept"-*; \
	    STEMCORE_EVIDENCE="$$kept" $(MAKE) "$$stage" || { verdict=FAILED; failed="$$failed $$stage"; }; \
	    if [ -e "$$kept.txt" ]; then \
	        counts=$$(head -n 1 "$$kept.txt"); \
	        skipped+=$$(tail -n +2 "$$kept.txt" | sed "s/^/  $$stage: /")$$'\n'; \
	    fi; \
	    row=$$(printf '%-8s %-7s %5d s  %s' "$$stage" "$$verdict" $$((SECONDS - from)) "$$counts"); \
	    table+=$$row$$'\n'; \
	done; \
	printf '\n== summary (SEED=%s)\n%s%-16s %5d s\n' "$$SEED" "$$table" all $$((SECONDS - begin)); \
	if [ -n "$${skipped//$$'\n'/}" ]; then \
	    printf 'skipped\n'; printf '%s' "$$skipped" | grep .; \
	fi; \
	if [ -n "$$failed" ]; then echo "make test: failed:$$failed" >&2; exit 1; fi

test-fast: $(STAMP) ## an answer in a minute: no simulator, nothing above a tenth of a second, nothing end to end
	@$(PYTEST) --dist worksteal --hypothesis-profile fast -m 'not medium and not slow and not sim' tests \
	    --ignore tests/system --durations 5 --durations-min 0.5

unit: $(STAMP) ## all rooms' own tests
	@$(STAGE_PYTEST) --dist worksteal tests \
	    --ignore tests/cocotb --ignore tests/coverage --ignore tests/formal --ignore tests/system \
	    --ignore tests/docs/test_code_runs.py --ignore tests/docs/test_site.py

cocotb: $(STAMP) ## the exported Verilog under Icarus and Verilator
	@$(STAGE_PYTEST) --dist worksteal tests/cocotb

formal: $(STAMP) ## bounded and inductive proofs
	@$(STAGE_PYTEST) --dist worksteal tests/formal

coverage: $(STAMP) ## functional goals, lines, branches and toggles of the exported Verilog
	@rm -rf sim_build/coverage/samples
	@$(PYTEST) --dist worksteal tests/coverage
	@$(PY) -m tests.coverage

system: $(STAMP) ## models end to end: torch, golden, program and RTL
	@$(STAGE_PYTEST) --dist worksteal tests/system

mutate: $(STAMP) ## plant faults where this branch changed hdl, golden, compiler; do tests notice?
	@read -ra files <<< "$${FILES-}"; OMP_NUM_THREADS=1 $(PY) -m tests.mutation "$${files[@]}" \
	    --seed="$$SEED" $(call option,MUTANTS,number)

fuzz: $(STAMP) ## SEEDS random networks of each kind on the gateware, those that are new
	@$(PY) -m tests.fuzz $(call options,$(TAKES_fuzz))

verify: $(STAMP) ## run what the table of README counts; print it, and store it where none has fallen
	@$(MAKE) test STAGES="unit formal system"
	@$(MAKE) coverage
	@$(PY) -m tests.verification --check --store

lint: $(STAMP) ## ruff on everything, mypy on all but gateware
	@.ci/typing $(VENV)
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy

wheel: $(STAMP) ## build the wheel, install it in an empty environment elsewhere, run it there
	@.ci/wheel "$$VENV"

##@ Documentation
# What the site and the notebooks need is installed when they are first asked for.
DOCS_STAMP := $(VENV)/docs-$(firstword $(shell cat constraints.txt pyproject.toml | cksum))

docs: notebooks ## build the documentation in sim_build/docs, strictly, and run its code
	@TYPING=$(VENV)/typing NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --quiet
	@printf 'site         sim_build/docs/index.html\n'
	@$(PYTEST) -rs tests/docs/test_site.py tests/docs/test_code_runs.py

notebooks: $(DOCS_STAMP) ## execute the notebooks of docs/notebooks
	@$(PY) docs/run_notebooks.py

$(DOCS_STAMP): | $(STAMP)
	@printf 'docs: installing Python packages (pinned)\n'
	@$(PY) -m pip install -q --disable-pip-version-check --no-build-isolation \
	    --editable '.[docs]' -c constraints.txt
	@rm -f $(VENV)/docs-*
	@touch $@

##@ Housekeeping
env: $(STAMP) ## set the environment up (every command does so when needed)

$(STAMP):
	@.ci/environment "$$VENV" $@

constraints: $(DOCS_STAMP) ## write constraints.txt from what is installed
	@{ sed -n '1,2p' constraints.txt; \
	   $(PY) -m pip list --disable-pip-version-check --format=freeze 2> /dev/null \
	       | sed 's/+cpu//' | grep -v -e '^pip=' -e '^stemcore=' | sort -f; } > constraints.new
	@mv constraints.new constraints.txt

clean: ## remove what was generated; the environment stays
	@find sim_build -mindepth 1 -maxdepth 1 ! -name .gitignore -exec rm -rf {} +
	@rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis

distclean: clean ## remove the environment too
	@rm -rf $(VENV)

help: ## this list
	@awk 'BEGIN {FS = ":.*## "} \
	    /^##@ / {printf "\n%s\n", substr($$0, 5)} \
	    /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile
	@printf '\nVariables\n'
	@sed -n 's/^#? \([A-Z_]*\) \(.*\)/\1\t\2/p' Makefile \
	    | while IFS=$$'\t' read -r name text; do printf '  %-13s %s\n' "$$name" "$$text"; done

.PHONY: sim check estimate verilog sparsify sweep compare info train synth fpga tables bench test test-fast unit cocotb \
    formal coverage system mutate fuzz verify lint wheel docs notebooks env constraints clean distclean help
