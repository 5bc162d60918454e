# Harmattan: everything a person at a terminal needs. `make` alone lists the targets.
#
# Rules of this file: every target sets up what it needs through .ci/setup.py (once, without root);
# programs are called by their path in .venv; what those start is found through PATH.
# It keeps to what GNU make 3.81 (macOS) and a POSIX sh understand.

.DEFAULT_GOAL := help
PYTHON        ?= python3
SETTINGS      ?= .run/post.toml
DEMO          ?=
ARGS          ?=
N             ?= 20000

ROOT     := $(CURDIR)
VENV     := .venv/bin
READY    := .venv/ready .tools/ready
CHECKED  := protocol gateway simulators hardware benchmarks .ci
CHECKS   := check-style check-format check-types check-imports check-spelling

export PATH := $(ROOT)/.venv/bin:$(ROOT)/.tools/bin:$(PATH)
export PYTHONUNBUFFERED := 1

# Without Python there is nobody to say so but the shell.
SETUP := command -v $(PYTHON) >/dev/null 2>&1 || { echo "harmattan: there is no $(PYTHON) on PATH; \
install Python 3.11 or newer (Debian: apt install python3; macOS: brew install python)" >&2; exit 1; }; \
$(PYTHON) .ci/setup.py

.PHONY: help setup tools demo run test check $(CHECKS) format bench eval bench-identify bench-start bench-firmware bench-serial sizes crash-firmware bench-ingest overload kill fuzz-ingest audit crash-gateway lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile

setup: ## set up .venv and .tools now (every other target does it by itself)
	@$(SETUP)
	@$(SETUP) --check

tools: ## fetch the real mosquitto and micropython into .tools
	@$(SETUP) tools
	@$(SETUP) --check tools

.venv/ready: pyproject.toml requirements-dev.txt requirements-stubs.txt $(wildcard .ci/*.py .ci/provision/*.py)
	@$(SETUP) environment

.tools/ready: $(wildcard .ci/*.py .ci/provision/*.py)
	@$(SETUP) tools

demo: $(READY) ## watch a spectrometer, node, broker, gateway and headquarters at work (DEMO=forever keeps on)
	@$(VENV)/python -m simulators.demo $(if $(filter forever,$(DEMO)),--forever) $(ARGS)

run: $(READY) ## run one post in the foreground (SETTINGS=FILE; default .run/post.toml)
	@if [ ! -e "$(SETTINGS)" ] && [ "$(SETTINGS)" = .run/post.toml ]; then \
	  mkdir -p .run && cp docs/post.example.toml .run/post.toml && \
	  echo "harmattan: wrote .run/post.toml from docs/post.example.toml; edit it to fit this post"; fi
	@if [ ! -e "$(SETTINGS)" ]; then \
	  echo "harmattan: there is no settings file $(SETTINGS); copy docs/post.example.toml and edit it" >&2; exit 1; fi
	@$(VENV)/harmattan run --settings "$(SETTINGS)" $(ARGS)

test: $(READY) ## run the tests, some more at once than there are cores (ARGS="-k journal -x" goes to pytest)
	@$(VENV)/python -m pytest --numprocesses auto --dist worksteal $(ARGS)

check: .venv/ready ## ruff, mypy --strict (firmware: MicroPython's stubs), import contracts, spelling; runs them all, fails if one does
	@$(MAKE) --no-print-directory --keep-going $(CHECKS)

check-style:
	@echo "== ruff check" && $(VENV)/ruff check .

check-format:
	@echo "== ruff format --check" && $(VENV)/ruff format --check --output-format concise .

check-types:
	@echo "== mypy --strict" && $(VENV)/mypy $(CHECKED)
	@$(VENV)/python -m hardware.typed

check-imports:
	@echo "== import contracts" && $(VENV)/lint-imports --no-logo

check-spelling:
	@echo "== codespell" && $(VENV)/codespell

format: .venv/ready ## write the code in the project's style (ruff)
	@$(VENV)/ruff check --quiet --fix . ; $(VENV)/ruff format .

bench: $(READY) ## measure side by side; the last line is one JSON object
	@$(VENV)/python -m benchmarks $(ARGS)

eval: $(READY) ## score identification on measured and synthetic goods (ARGS=--quick for a minute)
	@$(VENV)/python -m benchmarks.evaluation $(ARGS)

bench-identify: $(READY) ## race identification against RamanSPy and pybaselines + NNLS on the same spectra
	@$(VENV)/python -m benchmarks.identification $(ARGS)

bench-start: $(READY) ## how fast a gateway starts and stops, also with a million readings; the last line is JSON
	@$(VENV)/python -m benchmarks start

bench-firmware: $(READY) ## what a node needs: heap, allocation, encoder (some minutes; ARGS=--quick for one)
	@$(VENV)/python -m benchmarks.firmware $(ARGS)

bench-serial: $(READY) ## how fast a spectrum comes over 115,200 baud, and what the event loop feels (20 s; ARGS="--rounds 50")
	@$(VENV)/python -m benchmarks.firmware.serial $(ARGS)

sizes: .venv/ready ## compile the firmware for every board and hold it against their budgets
	@$(VENV)/python -m hardware.sizes

crash-firmware: $(READY) ## cut the power of a node's flash N times (N=200000 takes some minutes)
	@$(VENV)/python -m tests.firmware.crash --cuts $(N) $(ARGS)

bench-ingest: $(READY) ## how fast readings are committed, beside a bare receive loop; scale and profile (3 minutes)
	@$(VENV)/python -m benchmarks ingest $(ARGS)

overload: $(READY) ## ten times the sustainable rate from 50 nodes (ARGS="--seconds 600" is the default)
	@$(VENV)/python -m benchmarks.overload $(ARGS)

crash-gateway: .venv/ready ## start the gateway on N disks as power cuts leave them (N=1000000 takes an hour or two)
	@$(VENV)/python -m tests.gateway.crash --images $(N) $(ARGS)

kill: N = 1000
kill: $(READY) ## kill gateway, broker and node N times under load (1000 take 20 minutes; ARGS="--seed S" repeats)
	@$(VENV)/python -m tests.gateway.killing --kills $(N) $(ARGS)

fuzz-ingest: N = 1000000
fuzz-ingest: $(READY) ## any bytes on any topic, N messages in each of three ways (ARGS="--seed S" repeats)
	@$(VENV)/python -m tests.gateway.fuzzing --messages $(N) $(ARGS)

audit: $(READY) ## is what is installed what is locked, and is a known fault in it (ARGS=--offline asks nobody)
	@$(VENV)/python .ci/audit.py $(ARGS)

lock: ## write requirements*.txt anew from pyproject.toml (needs uv; UPGRADE=1 takes newer versions)
	@command -v uv >/dev/null 2>&1 || { echo "harmattan: make lock needs uv on PATH (pip install uv)" >&2; exit 1; }
	@uv pip compile pyproject.toml $(LOCK) -o requirements.txt
	@uv pip compile pyproject.toml --group dev $(LOCK) --constraints requirements.txt -o requirements-dev.txt

LOCK := --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
        $(if $(UPGRADE),--upgrade)

CLEANED := .venv .tools .run .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build dist

clean: ## remove what make and the tools wrote: .venv, .tools, .run (a post's journal too), caches
	@echo "removing $(CLEANED) and __pycache__"
	@rm -rf $(CLEANED)
	@find . -name .git -prune -o -type d -name __pycache__ -prune -exec rm -rf {} +
