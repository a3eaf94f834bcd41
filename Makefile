# TumorLoop. `make demo` shows the whole loop; `make run STUDIES=folder` serves your own cases.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# the panel's logic is also tested on the MRML classes of Slicer 5.12, in a separate environment
VENV512 := .venv-slicer512
PIP_ARGS ?=
# pip install for the environment with the given bin folder, faster
install = $(1)/python packaging/install.py -c constraints.txt $(PIP_ARGS)

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

.PHONY: help setup setup-dev setup-slicer512 gpu demo run lint test test-mrml faults panel-day panel-screenshots attack fuzz crash \
	soak invariance raw learning-curve bench audit clean

help:
	@echo "make demo                 the whole loop on synthetic cases; writes $(OUT)/report.html"
	@echo "make demo CASES=folder    the same on your own labeled cases"
	@echo "make run STUDIES=folder   serve a folder of cases on 127.0.0.1:$(PORT)"
	@echo "make setup                create the virtual environment $(VENV) (the other targets call it)"
	@echo "make setup-dev            the same with what tests and linters need"
	@echo "make gpu                  the same as setup with TensorFlow's CUDA libraries"
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
	@echo "make bench                time and memory beside peers; 22 minutes; writes docs/performance.md (BENCH=--quick: 5)"
	@echo "make audit                bandit and pip-audit: weaknesses in our code, known ones in its dependencies"

setup: $(VENV)/.ready

# The last line compiles what the server imports, and finds out now what the environment lacks.
$(VENV)/.ready: pyproject.toml requirements.txt requirements-monailabel.txt constraints.txt
	@echo "Setting up $(VENV): one to four minutes the first time ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --upgrade pip
	@$(call install,$(BIN)) -r requirements.txt
	@$(call install,$(BIN)) --no-deps -r requirements-monailabel.txt -e .
	@$(BIN)/python -c "import tensorflow, monailabel.app, server_app.app" > $(VENV)/check.log 2>&1 \
		|| { cat $(VENV)/check.log; exit 1; }
	@touch $@

setup-dev: $(VENV)/.ready-dev

$(VENV)/.ready-dev: $(VENV)/.ready
	@$(call install,$(BIN)) --group dev
	@touch $@

setup-slicer512: $(VENV512)/.ready

$(VENV512)/.ready: constraints.txt
	@echo "Setting up $(VENV512) ..."
	@test -x $(VENV512)/bin/python || $(PYTHON) -m venv $(VENV512)
	@$(call install,$(VENV512)/bin) slicer-core==5.12.4.0 numpy nibabel pydicom pytest pytest-timeout
	@touch $@

# tensorflow and tensorflow-cpu are two builds of the same files
gpu: setup
	@$(BIN)/python -m pip uninstall --quiet --yes tensorflow tensorflow-cpu
	@$(call install,$(BIN)) "tensorflow[and-cuda]"

demo: setup
	@$(BIN)/python -m docs.demo --out "$(OUT)" $(if $(CASES),--cases "$(CASES)")

run: setup
	@$(BIN)/python -m server_app --studies "$(STUDIES)" --port $(PORT)

lint: setup-dev
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

faults: setup-dev
	@$(BIN)/python -m tests.slicer_extension.mutation

panel-day: setup-dev
	@$(BIN)/python -m tests.slicer_extension.panel.day

panel-screenshots: setup-dev
	@$(BIN)/python -m tests.slicer_extension.panel.screenshots "$(SCREENSHOTS)"

attack: setup-dev
	@$(BIN)/python -m tests.attack --out "$(ATTACK)"
	@cp "$(ATTACK)/attacks.md" docs/attacks.md

fuzz: setup-dev
	@$(BIN)/python -m tests.fuzz

crash: setup-dev
	@$(BIN)/python -m tests.crash

soak: setup-dev
	@$(BIN)/python -m tests.server_app.operations.soak --out build/soak.json

invariance: setup
	@$(BIN)/python -m docs.invariance --output docs/invariance.md

raw: setup
	@$(BIN)/python -m docs.raw --output docs/raw.md

learning-curve: setup
	@$(BIN)/python -m training learning-curve --model v0000 $(if $(CASES),--cases "$(CASES)") --work "$(LEARNING)" \
		--output docs/learning.md $(LEARNING_OPTIONS)

bench: setup-dev
	@$(call install,$(BIN)) --group bench
	@$(BIN)/python -m benchmarks $(BENCH)

audit: setup
	@$(call install,$(BIN)) --group audit
	$(BIN)/bandit --quiet --severity-level medium --recursive training server_app slicer_extension/TumorLoop
	$(BIN)/pip-audit --local

clean:
	@# only a folder that the demo marked as its own
	test ! -e "$(OUT)/.tumorloop-demo" || rm -rf "$(OUT)"
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
