# Two commands matter: `make demo` and `make test`. Both set everything up themselves.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
RUN := $(VENV)/bin/python
STAMP := $(VENV)/.installed
PACKAGES := hardpoint training hls host optimizer

.PHONY: setup demo test check-all bench lint types clean check-reports

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

lint: types
	$(RUN) -m ruff check .
	$(RUN) -m mypy -p hardpoint

# Type checkers see the packages where they will be installed, through links.
types: $(STAMP)
	@mkdir -p build/types/hardpoint
	@for f in hardpoint/*; do ln -sfn ../../../$$f build/types/hardpoint/$$(basename $$f); done
	@for p in hls host optimizer training; do ln -sfn ../../../$$p build/types/hardpoint/$$p; done

bench: $(STAMP)
	$(RUN) benchmarks/emulation.py

check-reports: $(STAMP)
	@$(RUN) -m hardpoint.hls.check_reports $(or $(DIR),../shared/real); reports=$$?; \
	$(RUN) -m hardpoint.host.check_handoffs $(or $(DIR),../shared/real); exit $$((reports | $$?))

clean:
	rm -rf build dist *.egg-info
