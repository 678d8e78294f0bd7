# Two commands matter: `make demo` and `make test`. Both set everything up themselves.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
RUN := $(VENV)/bin/python
STAMP := $(VENV)/.installed
PACKAGES := hardpoint training hls host optimizer
# The Python of a board's image, if it is here and runs.
PYTHON310 ?= $(shell p=$$(command -v python3.10) && $$p -c "" 2>/dev/null && echo $$p)
PYNQ_VERSIONS := 3.1.2 4.0.0
NUMPY ?= 1.26.4

.PHONY: setup demo test check-all bench bench-answers bench-core bench-emulation bench-fleet bench-host bench-search bench-training formal lint types clean check-reports test-pynq test-board docs check-docs

setup: $(STAMP)

$(STAMP): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(f"Hardpoint needs Python 3.11 on a PC, not {sys.version.split()[0]}; name it with PYTHON=...") if sys.version_info[:2] != (3, 11) else None'
	test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --no-deps --disable-pip-version-check -r requirements.txt
	$(RUN) -m pip install --quiet --no-deps --no-build-isolation --disable-pip-version-check --editable .
	touch $@

demo: $(STAMP)
	$(RUN) -m hardpoint demo --out build/demo

test: lint
	$(RUN) -m pytest -m "not slow" -n 2 --dist loadfile
	$(RUN) tests/run_from_wheel.py

check-all: test
	$(RUN) -m pytest -m slow
	$(MAKE) --no-print-directory test-pynq test-board check-docs

# The board's device on the real pynq, over a board that is not there; behind it the emulator and the compiled C++.
test-pynq: $(STAMP) $(PYNQ_VERSIONS:%=.pynq-venv-%/.installed)
	@library=$$($(RUN) tests/zynq/library.py); for version in $(PYNQ_VERSIONS); do \
		echo "pynq $$version:"; \
		.pynq-venv-$$version/bin/python -W ignore -m pytest -W ignore $${library:+--csim $$library} tests/zynq || exit 1; \
	done

.pynq-venv-%/.installed: requirements-pynq.txt pyproject.toml
	test -x .pynq-venv-$*/bin/python || $(or $(PYTHON310),$(PYTHON)) -m venv .pynq-venv-$*
	.pynq-venv-$*/bin/python -m pip install --quiet --no-deps --disable-pip-version-check -r requirements-pynq.txt
	.pynq-venv-$*/bin/python -m pip install --quiet --no-deps --no-build-isolation --disable-pip-version-check pynq==$* --editable .
	touch $@

# What a board installs, and the tests that run there: Python 3.10, NumPy 1.26 and little else.
test-board: $(STAMP)
ifeq ($(PYTHON310),)
	@echo "test-board is skipped: no python3.10 that runs is on PATH; name one with PYTHON310=..."
else
	test -x .board-venv/bin/python || $(PYTHON310) -m venv .board-venv
	@mkdir -p build/board
	$(RUN) -m pip wheel --quiet --no-deps --no-build-isolation --disable-pip-version-check --wheel-dir build/board .
	$(RUN) tests/run_on_board.py .board-venv build/board $(NUMPY)
endif

# The documentation as a site, complete without a network: build/docs/index.html. Any warning fails.
docs: $(STAMP)
	$(RUN) -m sphinx --quiet --fail-on-warning --keep-going -b html -d build/doctrees docs build/docs

# Runs every command that README and tutorial show, as written, in a fresh copy, and compares what the text shows.
# CHECK=--install sets the copy up from nothing, as a new user would.
check-docs: $(STAMP)
	$(RUN) tests/check_docs.py $(CHECK) README.md docs/tutorial.md

lint: types
	$(RUN) -m ruff check .
	$(RUN) -m mypy -p hardpoint

# Type checkers see the packages where they will be installed, through links.
types: $(STAMP)
	@mkdir -p build/types/hardpoint
	@for f in hardpoint/*; do ln -sfn ../../../$$f build/types/hardpoint/$$(basename $$f); done
	@for p in hls host optimizer training; do ln -sfn ../../../$$p build/types/hardpoint/$$p; done

bench-training: $(STAMP)
	$(RUN) benchmarks/training.py $(foreach d,$(or $(DATA),digits),--data $(d))

bench: bench-core bench-answers bench-emulation bench-host bench-training

# Prints each theorem about the processing element: proved or refuted, with its time.
formal: $(STAMP)
	$(RUN) -m hardpoint.hls.formal

bench-core: $(STAMP)
	$(RUN) benchmarks/core.py

# Rates of emulation, clean and under faults, beside TensorFlow's: build/bench/emulation.json.
bench-emulation: $(STAMP)
	$(RUN) benchmarks/emulation.py

# Training images per policy for 100 faulty chips: build/bench/fleet.json. DATA=fashion=PATH
bench-fleet: $(STAMP)
	$(RUN) benchmarks/fleet.py --data $(DATA)

# How quickly the search finds the optimum of measured tables: build/bench/search.json.
bench-search: $(STAMP)
	$(RUN) benchmarks/search.py

# What the driver costs per image, over a device that answers at once: build/bench/host.json.
bench-host: $(STAMP)
	$(RUN) benchmarks/host.py

# How long a report takes to read, and a cost to be answered from the shipped table.
bench-answers: $(STAMP)
	$(RUN) benchmarks/answers.py $(or $(DIR),../shared/real)

check-reports: $(STAMP)
	@$(RUN) -m hardpoint.hls.check_reports $(or $(DIR),../shared/real); reports=$$?; \
	$(RUN) -m hardpoint.host.check_handoffs $(or $(DIR),../shared/real); exit $$((reports | $$?))

clean:
	rm -rf build dist *.egg-info
