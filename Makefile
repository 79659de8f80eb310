# Every target sets up what it needs first: a virtual environment in .venv, from the exact lock in requirements/.
# PYTHON starts the set-up, any Python 3 will do; MMUNIFORMER_PYTHON chooses the Python 3.10 to 3.12 of the environment.
PYTHON ?= python3
TASK ?= recognition
ARCH ?= uniformer
# One test process a core, one thread a process
PYTEST = OMP_NUM_THREADS=1 .venv/bin/python -m pytest

.PHONY: help setup demo test test-slow lint docs

help:
	@echo 'make demo [TASK=recognition]  train a small model on generated data and show what it learned'
	@echo '                              (ARCH=light: a light model, for recognition)'
	@echo 'make test                     the tests, in parallel, without the slow ones'
	@echo 'make test-slow                the slow tests'
	@echo 'make lint                     ruff'
	@echo 'make docs                     the documentation as a site, into site/'
	@echo 'make setup                    only the environment, which the others make when it is missing'

setup:
	@$(PYTHON) tools/dev/setup_env.py

demo: setup
	@.venv/bin/python demo/train_demo.py --task $(TASK) --arch $(ARCH)

test: setup
	@$(PYTEST) -n auto --maxprocesses 8 -m 'not slow'

test-slow: setup
	@.venv/bin/python -m pytest -m slow

lint: setup
	@.venv/bin/ruff check .

# An installed pin is not looked for again, so a second run needs no network. Warnings, dead links too, are errors.
docs: setup
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements/lock-docs.txt
	@NO_MKDOCS_2_WARNING=1 .venv/bin/python -m mkdocs build --strict
	@echo 'The site is in site/; open site/index.html.'
