# From a fresh clone: 'make up' starts the hub, 'make test' tries it.
# Each target first installs what it lacks (see .ci/prepare) and says so.

.DEFAULT_GOAL := help
.PHONY: help up install test check bench format soak lock

# The broker lies in sbin, which is not on every user's path.
export PATH := $(PATH):/usr/local/sbin:/usr/sbin

bin := .venv/bin
lock_options := --quiet --allow-unsafe --strip-extras --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host

help: ## say what can be made
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1	\2/p' $(MAKEFILE_LIST) | expand -t 16

up: install ## start the hub in the foreground; Ctrl-C stops it
	@exec $(bin)/devicehub up

install: ## install what the hub needs, and the hub into .venv
	@.ci/prepare run

dependencies:
	@.ci/prepare dev
.PHONY: dependencies

test: dependencies ## run every test except the long ones
	@echo "Running the tests that start whole hubs beside all others; each half tells how it went when it has ended."
	@$(both_at_once)

check: dependencies ## what CI runs: format, lint, types, layers, tests
	@$(bin)/ruff format --check .
	@$(bin)/ruff check .
	@$(bin)/mypy
	@.ci/webui check
	@$(both_at_once)

# Those that start whole hubs mostly wait; beside them run all others.
both_at_once := +$(MAKE) --no-print-directory --keep-going --output-sync=target --jobs=2 test-hubs test-others
.PHONY: test-hubs test-others
test-hubs:
	@$(bin)/python -m pytest -m "not soak" tests/e2e
test-others:
	@$(bin)/python -m pytest -m "not soak" --ignore=tests/e2e

bench: dependencies ## load a hub of its own and print its figures; BENCH="--only twins" narrows it
	@$(bin)/python -m tests.bench $(BENCH)

soak: dependencies ## run the long kill and endurance tests
	@$(bin)/python -m pytest -m soak

format: dependencies ## put the code into the form that check wants
	@$(bin)/ruff format .
	@$(bin)/ruff check --fix .
	@.ci/webui format

lock: dependencies ## pin the newest allowed versions of what pyproject.toml names
	@$(bin)/pip-compile --upgrade $(lock_options) --output-file=requirements.lock pyproject.toml
	@$(bin)/pip-compile --upgrade $(lock_options) --extra=dev --constraint=requirements.lock \
		--output-file=requirements-dev.lock pyproject.toml
	@$(bin)/pip-compile --upgrade $(lock_options) --output-file=requirements-node.lock requirements-node.in
	@$(bin)/pip-compile --upgrade $(lock_options) --build-deps-for=editable --only-build-deps \
		--constraint=requirements-dev.lock --output-file=requirements-build.lock pyproject.toml
