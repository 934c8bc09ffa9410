# Every target sets up what it needs: a bare Python 3.11 or newer, nothing else.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
# Hundreds of processes start in tests and runs: none compiles what another has compiled.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: report test types units docs docs-check lab bench bench-env peers mutants pages methods clean lowest newest release size api

report: $(VENV)/.installed  ## the reports of the embedded study
	$(BIN)/mekeval run data/vantaa-mek --year 2025

# Types take one processor for a minute: the tests begin meanwhile.
test: $(VENV)/.installed-test  ## style, types, layers and tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(MAKE) --jobs 2 types units

types: $(VENV)/.installed-test
	$(BIN)/mypy
	$(BIN)/lint-imports

# One for each processor: a third on two made the tests a sixth slower.
WORKERS ?= 2

units: $(VENV)/.installed-test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder --durations=10

docs: .venv-docs/.installed  ## the docs site, into docs/_build/html; a warning is an error
	.venv-docs/bin/sphinx-build --builder html --nitpicky --fail-on-warning --keep-going --fresh-env --quiet \
		--doctree-dir docs/_build/doctrees docs docs/_build/html

docs-check: docs $(VENV)/.installed-test  ## the docs site in a browser: axe, search, nothing from the web
	MEKEVAL_DOCS=docs/_build/html $(BIN)/python -m pytest -n 2 tests/browser/test_docs_pages.py

lab: $(VENV)/.installed-lab  ## JupyterLab on the notebooks
	cd notebooks && ../$(BIN)/jupyter lab

bench: .venv-bench/.installed  ## benchmarks, into docs/benchmarks.md; RAW=DIR for those on real data
	.venv-bench/bin/python benchmarks/write_table.py $(if $(RAW),--raw $(RAW))

bench-env: .venv-bench/.installed  ## the packages that benchmarks are held against, apart from ours

peers: .venv-bench/.installed  ## the tests against all peers, also those too heavy for `make test`
	.venv-bench/bin/python -m pytest tests/test_peers.py tests/test_segregation.py

# The extras that a user may install; the lowest versions that they and the core name must work too.
FOR_USERS = cluster fetch geo indiana lab monitoring pdf register xlsx
TESTS ?=

# What the tests take along, of a time with the lowest versions: later ones need a newer click or an older name in matplotlib.
BESIDE_OLD = 'check-jsonschema<0.38' 'pyparsing<3.3'

lowest: RESOLUTION = lowest-direct
newest: RESOLUTION = highest
lowest newest: $(VENV)/.installed-release  ## the tests with the lowest or newest versions; PYTHON=python3.12, TESTS=...
	$(BIN)/uv pip compile --quiet --python $(PYTHON) --resolution $(RESOLUTION) $(FOR_USERS:%=--extra %) \
		--no-header --output-file build/$@.txt pyproject.toml
	$(if $(filter lowest,$@),printf '%s\n' $(BESIDE_OLD) >> build/$@.txt)
	$(BIN)/uv venv --quiet --clear --python $(PYTHON) build/$@
	$(BIN)/uv pip install --quiet --python build/$@ --constraint build/$@.txt --editable ".[test]"
	build/$@/bin/python -m pytest $(if $(filter lowest,$@),-W ignore::DeprecationWarning -W ignore::FutureWarning) \
		-n 2 --dist loadfile --no-loadscope-reorder $(TESTS)

size: $(VENV)/.installed-release  ## how many packages and megabytes an installation is
	$(BIN)/python benchmarks/install.py

release: $(VENV)/.installed-release  ## dist/: sdist, wheel, lock file, SBOM and checksums of the last commit
	$(BIN)/python release/artefacts.py

api: $(VENV)/.installed-test  ## tests/api.txt: the public interface as it is now
	$(BIN)/python tests/test_api.py

MUTATED = mekeval.findings mekeval.disclosure mekeval.inference mekeval.estimate
SAMPLE ?= 400

mutants: $(VENV)/.installed-mutants  ## a sample of mutants of what decides, into build/mutants; MUTATED=..., SAMPLE=0 for all
	$(BIN)/python benchmarks/mutants.py $(MUTATED) --sample $(SAMPLE)

clean:
	rm -rf $(VENV) .venv-bench .venv-docs docs/_build reports build dist

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(VENV)/.installed-test: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[test]"
	touch $@ $(VENV)/.installed

$(VENV)/.installed-release: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[release]"
	mkdir -p build
	touch $@ $(VENV)/.installed

.venv-bench/.installed: pyproject.toml
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check --editable ".[bench,release,test]"
	touch $@

$(VENV)/.installed-mutants: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[test,mutants]"
	touch $@ $(VENV)/.installed $(VENV)/.installed-test

.venv-docs/.installed: pyproject.toml
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python -m pip install --quiet --disable-pip-version-check --editable ".[docs]"
	touch $@

$(VENV)/.installed-lab: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[lab]"
	touch $@ $(VENV)/.installed

pages: $(VENV)/.installed-test  ## docs/catalogue.md and docs/study.md from the catalogue and the schema
	$(BIN)/python docs/write_catalogue.py
	$(BIN)/python docs/write_study.py

methods: $(VENV)/.installed-test  ## docs/methods.md from docstrings and tests
	$(BIN)/python docs/write_methods.py
