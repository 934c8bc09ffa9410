# Every target sets up what it needs: a bare Python 3.11 or newer, nothing else.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: report test lab bench bench-env peers pages methods clean

report: $(VENV)/.installed  ## the reports of the embedded study
	$(BIN)/mekeval run data/vantaa-mek --year 2025

test: $(VENV)/.installed-test  ## style, types, layers and tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

lab: $(VENV)/.installed-lab  ## JupyterLab on the notebooks
	cd notebooks && ../$(BIN)/jupyter lab

bench: .venv-bench/.installed  ## benchmarks, into docs/benchmarks.md; RAW=DIR for those on real data
	.venv-bench/bin/python benchmarks/write_table.py $(if $(RAW),--raw $(RAW))

bench-env: .venv-bench/.installed  ## the packages that benchmarks are held against, apart from ours

peers: .venv-bench/.installed  ## the tests against all peers, also those too heavy for `make test`
	.venv-bench/bin/python -m pytest tests/test_peers.py tests/test_segregation.py

clean:
	rm -rf $(VENV) .venv-bench reports build dist

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(VENV)/.installed-test: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[test]"
	touch $@ $(VENV)/.installed

.venv-bench/.installed: pyproject.toml
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check --editable ".[bench,test]"
	touch $@

$(VENV)/.installed-lab: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[lab]"
	touch $@ $(VENV)/.installed

pages: $(VENV)/.installed-test  ## docs/catalogue.md and docs/study.md from the catalogue and the schema
	$(BIN)/python docs/write_catalogue.py
	$(BIN)/python docs/write_study.py

methods: $(VENV)/.installed-test  ## docs/methods.md from docstrings and tests
	$(BIN)/python docs/write_methods.py
