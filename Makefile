# `make` alone says what there is. Needs Python 3.11+ and Java 17+; everything else goes into .venv.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PACKAGES := $(VENV)/.packages
READY := $(VENV)/.ready
# Compiling all modules of all packages takes as long as unpacking them, and most are never imported: Python compiles
# those that are, once.
PIP_OPTIONS := --quiet --disable-pip-version-check --no-compile

.PHONY: help install demo test soak golden golden-help reference coverage lint types check dist lock clean
.DEFAULT_GOAL := help

help: ## what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

install: $(READY) ## set up .venv: locked versions, this package, Delta's two jars

demo: $(READY) ## plays in, released features and embeddings out, a bad day refused (minutes)
	@$(BIN)/segue demo

# mypy on one core, while the jars and their class data are made ready on another
test: $(PACKAGES) ## everything that CI runs
	@$(MAKE) --no-print-directory --jobs 2 lint types install
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

soak: $(READY) ## a month of bad nights three ways, and 500 adversarial runs (an hour; CI has small ones)
	@PYTHONPATH=.:tests SEGUE_SPARK_CONF=tests/spark.conf $(BIN)/python tests/simulation/soak.py

golden: $(READY) ## make the released root anew that tests start from (minutes; commit tests/golden)
	@PYTHONPATH=.:tests SEGUE_SPARK_CONF=tests/spark.conf $(BIN)/python tests/golden/make.py

lint: $(PACKAGES) ## ruff
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: $(PACKAGES) ## mypy
	@$(BIN)/mypy

# Spark's Python workers save what they ran when they end, so here each ends with its task: Spark kills those it keeps.
coverage: $(READY) ## lines and branches that the tests run; TESTS=tests/segue for some of them
	@mkdir -p build && sed '$$a spark.python.worker.reuse false' tests/spark.conf >build/coverage.conf
	@$(BIN)/coverage erase
	@status=0; SEGUE_SPARK_CONF=$(CURDIR)/build/coverage.conf \
	    $(BIN)/coverage run -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(TESTS) || status=$$?; \
	    $(BIN)/coverage combine --quiet && $(BIN)/coverage report && exit $$status

golden-help: $(READY) ## tests/segue/help.txt, mistakes.txt and docs/reference anew, from what is printed
	@PYTHONPATH=. $(BIN)/python tests/segue/test_help.py
	@PYTHONPATH=. $(BIN)/python tests/segue/test_mistakes.py
	@PYTHONPATH=. $(BIN)/python docs/make_reference.py

reference: $(READY) ## docs/reference anew, from contracts, operations, settings and help.txt
	@PYTHONPATH=. $(BIN)/python docs/make_reference.py

dist: $(READY) ## dist/: the wheel, and segue-jobs.zip for spark-submit --py-files
	@rm -rf dist build && mkdir -p dist
	@$(BIN)/python -m build --wheel --no-isolation --outdir dist >/dev/null
	@$(BIN)/python -m zipfile -c dist/segue-jobs.zip segue/ schemas/ features/ expectations/ jobs/
	@rm -rf build *.egg-info && ls -1 dist

lock: ## renew requirements.lock from the ranges in setup.cfg
	@CUSTOM_COMPILE_COMMAND='make lock' $(BIN)/pip-compile --quiet --upgrade --extra spark --extra lineage --extra alerts --extra dev \
	    --strip-extras --allow-unsafe --no-emit-index-url --no-emit-find-links --no-emit-trusted-host -o requirements.lock setup.cfg

clean: ## remove .venv and everything built
	@rm -rf $(VENV) dist build *.egg-info data

$(PACKAGES): requirements.lock setup.cfg
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Segue needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.11 ...")'
	@command -v java >/dev/null || [ -n "$$JAVA_HOME" ] || { echo "Segue needs Java 17 or newer, and there is no java on the PATH. Install a JDK or set JAVA_HOME."; exit 1; }
	@echo "Setting up $(VENV) (once, about two minutes) ..."
	@$(PYTHON) -m venv $(VENV)
	@# the locked pip first: one that comes with Python takes half as long again for the rest
	@$(BIN)/python -m pip install $(PIP_OPTIONS) "$$(grep '^pip==' requirements.lock)"
	@$(BIN)/python -m pip install $(PIP_OPTIONS) --requirement requirements.lock
	@$(BIN)/python -m pip install $(PIP_OPTIONS) --no-deps --no-build-isolation --editable .
	@touch $@

$(READY): $(PACKAGES)
	@$(BIN)/segue install-jars
	@touch $@
