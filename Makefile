# TumorLoop. `make demo` shows the whole loop; `make run STUDIES=folder` serves your own cases.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP_ARGS ?=

# make demo: a folder of labeled cases to use instead of phantoms, and where the report goes
CASES :=
OUT := demo
# make run
STUDIES := $(OUT)/studies
PORT := 8000

.PHONY: help setup gpu demo run test lint clean

help:
	@echo "make demo                 the whole loop on synthetic cases; writes $(OUT)/report.html"
	@echo "make demo CASES=folder    the same on labeled cases of your own"
	@echo "make run STUDIES=folder   serve a folder of cases on 127.0.0.1:$(PORT)"
	@echo "make test                 lint and all tests"
	@echo "make lint                 ruff and mypy"
	@echo "make gpu                  the same with TensorFlow's CUDA libraries"
	@echo "make setup                the virtual environment in $(VENV) (the others call it)"

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml constraints.txt
	@echo "Setting up $(VENV): about four minutes the first time ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt $(PIP_ARGS) torch
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt $(PIP_ARGS) -e ".[test]"
	@# sam2, a dependency of MONAI Label that TumorLoop never uses, installs a package named "training" as well.
	@$(BIN)/python -m pip uninstall --quiet --yes sam2
	@touch $@

gpu: setup
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt $(PIP_ARGS) -e ".[gpu]"
	@$(BIN)/python -m pip uninstall --quiet --yes sam2

demo: setup
	@$(BIN)/python -m tests.end_to_end.demo --out "$(OUT)" $(if $(CASES),--cases "$(CASES)")

run: setup
	@$(BIN)/python -m server_app --studies "$(STUDIES)" --port $(PORT)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint
	$(BIN)/python -m pytest

clean:
	@# only what the demo marked as its own
	test ! -e "$(OUT)/.tumorloop-demo" || rm -rf "$(OUT)"
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
