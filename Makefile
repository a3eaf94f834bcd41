# TumorLoop. `make demo` shows the whole loop; `make run STUDIES=folder` serves your own cases.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# the panel's logic is also tested on the MRML classes of Slicer 5.12, in a separate environment
VENV512 := .venv-slicer512
PIP_ARGS ?=
# pip of the environment with the given bin folder; setuptools would print eleven lines of warnings on editable installs
install = PYTHONWARNINGS=ignore $(1)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt $(PIP_ARGS)

# make demo: a folder of labeled cases to use instead of phantoms, and where the report goes
CASES :=
OUT := demo
# make run
STUDIES := $(OUT)/studies
PORT := 8000
# make test: how many tests run at once, each with its own servers
WORKERS := 2
# make panel-screenshots
SCREENSHOTS := build/panel-screenshots
# make learning-curve: its work folder, from which it resumes, and more options (LEARNING_OPTIONS="--orders 5")
LEARNING := build/learning-curve
LEARNING_OPTIONS :=
# make bench: more options, such as BENCH=--quick or BENCH="--only request"
BENCH :=
# make attack
ATTACK := build/attack

.PHONY: help setup setup-slicer512 gpu demo run lint test test-mrml faults panel-day panel-screenshots attack fuzz crash soak \
	invariance raw learning-curve bench audit clean

help:
	@echo "make demo                 the whole loop on synthetic cases; writes $(OUT)/report.html"
	@echo "make demo CASES=folder    the same on your own labeled cases"
	@echo "make run STUDIES=folder   serve a folder of cases on 127.0.0.1:$(PORT)"
	@echo "make setup                create the virtual environment $(VENV) (the other targets call it)"
	@echo "make gpu                  the same with TensorFlow's CUDA libraries"
	@echo "make clean                delete the demo's folder and all build output"
	@echo
	@echo "make test                 lint and all tests, $(WORKERS) at a time (WORKERS=4: four)"
	@echo "make lint                 ruff, mypy, and the direction of imports"
	@echo "make test-mrml            the panel's logic on the MRML classes of Slicer 5.12 (part of make test)"
	@echo "make faults               seeded faults in the panel: does a test notice each of them?"
	@echo "make panel-day            200 cases opened and closed in the panel: has anything grown?"
	@echo "make panel-screenshots    pictures of the panel's states in $(SCREENSHOTS)"
	@echo "make attack               attacks on stock MONAI Label and our server; writes $(ATTACK) and docs/attacks.md"
	@echo "make fuzz                 5,000 generated requests to our server"
	@echo "make crash                kill -9 the server 50 times while labels are submitted; writes build/crash"
	@echo "make soak                 eight clients for five minutes: errors, response times, memory"
	@echo "make invariance           is the answer the same for the same head in other files? writes docs/invariance.md"
	@echo "make raw                  raw phantoms from DICOM to labels against what is true; an hour or more; writes docs/raw.md"
	@echo "make learning-curve       what are corrected cases worth? hours; CASES=folder adds real ones; writes docs/learning.md"
	@echo "make bench                time and memory beside peers; 15 minutes; writes docs/performance.md (BENCH=--quick: 5)"
	@echo "make audit                bandit and pip-audit: weaknesses in our code, known ones in its dependencies"

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml constraints.txt
	@echo "Setting up $(VENV): about four minutes the first time ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(call install,$(BIN)) --upgrade pip
	@$(call install,$(BIN)) torch
	@$(call install,$(BIN)) -e ".[test]"
	@# sam2, a dependency of MONAI Label that TumorLoop never uses, installs a package named "training" as well.
	@$(BIN)/python -m pip uninstall --quiet --yes sam2
	@touch $@

setup-slicer512: $(VENV512)/.ready

$(VENV512)/.ready: constraints.txt
	@echo "Setting up $(VENV512) ..."
	@test -x $(VENV512)/bin/python || $(PYTHON) -m venv $(VENV512)
	@$(call install,$(VENV512)/bin) --upgrade pip
	@$(call install,$(VENV512)/bin) slicer-core==5.12.4.0 numpy nibabel pydicom pytest pytest-timeout
	@touch $@

gpu: setup
	@$(call install,$(BIN)) -e ".[gpu]"
	@$(BIN)/python -m pip uninstall --quiet --yes sam2

demo: setup
	@$(BIN)/python -m docs.demo --out "$(OUT)" $(if $(CASES),--cases "$(CASES)")

run: setup
	@$(BIN)/python -m server_app --studies "$(STUDIES)" --port $(PORT)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=slicer_extension/TumorLoop $(BIN)/lint-imports --no-logo --no-cache

# In the order of the folders: sorted by the number of tests, the demo (one long test) would start last. glibc overwrites
# memory that is freed, so an array over a freed image fails its test on every machine.
test: lint test-mrml
	MALLOC_PERTURB_=165 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test-mrml: setup-slicer512
	$(VENV512)/bin/python -m pytest tests/slicer_extension/scene tests/slicer_extension/files

faults: setup
	@$(BIN)/python -m tests.slicer_extension.mutation

panel-day: setup
	@$(BIN)/python -m tests.slicer_extension.panel.day

panel-screenshots: setup
	@$(BIN)/python -m tests.slicer_extension.panel.screenshots "$(SCREENSHOTS)"

attack: setup
	@$(BIN)/python -m tests.attack --out "$(ATTACK)"
	@cp "$(ATTACK)/attacks.md" docs/attacks.md

fuzz: setup
	@$(BIN)/python -m tests.fuzz

crash: setup
	@$(BIN)/python -m tests.crash

soak: setup
	@$(BIN)/python -m tests.server_app.operations.soak --out build/soak.json

invariance: setup
	@$(BIN)/python -m docs.invariance --output docs/invariance.md

raw: setup
	@$(BIN)/python -m docs.raw --output docs/raw.md

learning-curve: setup
	@$(BIN)/python -m training learning-curve --model v0000 $(if $(CASES),--cases "$(CASES)") --work "$(LEARNING)" \
		--output docs/learning.md $(LEARNING_OPTIONS)

bench: setup
	@$(BIN)/python -m benchmarks $(BENCH)

audit: setup
	@$(call install,$(BIN)) -e ".[audit]"
	$(BIN)/bandit --quiet --severity-level medium --recursive training server_app slicer_extension/TumorLoop
	$(BIN)/pip-audit --local

clean:
	@# only a folder that the demo marked as its own
	test ! -e "$(OUT)/.tumorloop-demo" || rm -rf "$(OUT)"
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
