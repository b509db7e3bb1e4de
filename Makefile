# Every target installs what it needs first. Nothing is expected on the machine but Python (3.11+), Node and make.
PYTHON ?= python3
BIN := .venv/bin
BUILD_BIN := .venv-build/bin
STAGE ?= dev
PIP_INSTALL := pip install --quiet --disable-pip-version-check -c requirements.lock
# They would hide dcmtk's commands of the same names in an activated .venv; this storescu ends with 0 when nothing was sent.
PYNETDICOM_COMMANDS := echoscp echoscu findscu getscu movescu qrscp storescp storescu
export DATA LABELS

.PHONY: help setup setup-dev setup-build demo up down test lint types arrows synth definition bench lock screenshot clean
help:  ## what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

.venv/.ready: pyproject.toml requirements.lock
	@echo "installing into .venv (once, 1-2 minutes) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check pip==25.3
	@$(BIN)/$(PIP_INSTALL) -e '.[pixels,cli]' --group storescp --group fetcher --group lambdas --group learning --group local
	@rm -f $(addprefix $(BIN)/,$(PYNETDICOM_COMMANDS))
	@touch $@
.venv/.ready-dev: .venv/.ready
	@$(BIN)/$(PIP_INSTALL) --group dev
	@touch $@
.venv-build/.ready: pyproject.toml requirements.lock
	@echo "installing the SageMaker SDK and the CDK into .venv-build (once, 1-2 minutes) ..."
	@test -x $(BUILD_BIN)/python || $(PYTHON) -m venv .venv-build
	@$(BUILD_BIN)/pip install --quiet --disable-pip-version-check pip==25.3
	@$(BUILD_BIN)/$(PIP_INSTALL) -e . --group definition --group infra mypy types-PyYAML aws-lambda-powertools
	@touch $@

setup: .venv/.ready  ## install into .venv
setup-dev: .venv/.ready-dev
setup-build: .venv-build/.ready

demo: setup  ## the main job on one machine (DATA=dir LABELS=labels.csv for your own images)
	@$(BIN)/python -m tools.demo
up: setup  ## the local cloud and the receiver, kept running; state in .ahiflow/
	@$(BIN)/python -m localcloud up
down: setup  ## stop what `make up` started
	@$(BIN)/python -m localcloud down

synth: setup setup-build  ## render the pipeline, synthesise the CDK app, cfn-lint, cdk-nag (STAGE=dev, staging, prod)
	@STAGE=$(STAGE) $(BUILD_BIN)/python -m tools.synth
definition: setup-build  ## write pipeline/definition/pipeline.json again
	@$(BUILD_BIN)/python -m pipeline.definition.render

lint: setup-dev
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
arrows: setup-dev
	@$(BIN)/lint-imports --no-cache
types: setup-dev setup-build
	@$(BIN)/mypy
	@$(BUILD_BIN)/mypy -m app -m config -p infra -p pipeline.definition
test: lint arrows types synth  ## the whole test suite
	@$(BIN)/python -m pytest $(PYTEST_ARGS)
bench: setup-dev  ## benchmarks (BENCH=receive, decode, ...), ratios to the peers on the machine
	@$(BIN)/python -m benchmarks $(BENCH)
lock: setup  ## resolve every version again into requirements.lock
	@$(BIN)/python tools/lock.py
clean: down  ## remove what was built (not .ahiflow)
	@rm -rf build
