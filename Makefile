# What there is to do here. `make` lists it. Needs Rust; the rest is looked for, and fetched or skipped aloud.

.DEFAULT_GOAL := help
.PHONY: help dev postgres pgbouncer test python node grpcurl fuzz planted mutants test-pg18 busy lint features moves torture cuts bench break setup-doc full

CARGO ?= cargo
ARGS ?=
# The program alone, in the least time; and as the tests start it, for which their libraries are there (tests/support/process.rs).
BINARY = --package fbs-router --bin fbs-router
TESTED = --workspace --bin fbs-router --examples
E2E = --workspace --test e2e

help: ## This list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

dev: postgres ## Everything on this machine, with a Postgres of its own: ARGS="--port 50051"
	@$(CARGO) run --quiet --locked $(BINARY) -- dev $(ARGS)

postgres: ## Finds PostgreSQL server binaries, or fetches them once; prints their folder
	@scripts/postgres

pgbouncer: ## Finds PgBouncer, or fetches it once, or says that what needs it is skipped
	@scripts/pgbouncer

# Two more than processors: tests wait for Postgres and for time, too.
test test-pg18 busy: export RUST_TEST_THREADS ?= $(shell echo $$(($$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1) + 2)))

test: postgres pgbouncer ## All tests, on a real Postgres, and from Python, Node and grpcurl
	$(CARGO) test --workspace --locked
	@$(MAKE) --no-print-directory python
	@$(MAKE) --no-print-directory node
	@$(MAKE) --no-print-directory grpcurl

python: postgres ## The Python client suite, against `fbs-router dev`
	@$(CARGO) build --quiet --locked $(TESTED)
	@scripts/python-client

node: postgres ## The Node client suite, against `fbs-router dev`
	@$(CARGO) build --quiet --locked $(TESTED)
	@scripts/node-client

grpcurl: postgres ## A document's whole life with grpcurl, against `fbs-router dev`
	@$(CARGO) build --quiet --locked $(TESTED)
	@scripts/grpcurl-life

fuzz: postgres ## Looks for input that breaks something, each target for SECONDS (60)
	FBS_ROUTER_FUZZ_SECONDS=$(or $(SECONDS),60) $(CARGO) test --locked --package fbs-router --lib -- --nocapture fuzz
	FBS_ROUTER_SEED=random $(CARGO) test --locked $(E2E) -- --nocapture random_input

planted: postgres ## Plants each bug of tests/planted, and expects the test that it names to fail; ARGS=--torture: the history test
	scripts/planted $(ARGS)

mutants: postgres ## Changes what decides, proves and permits a line at a time, and expects a test to fail
	scripts/mutants $(ARGS)

test-pg18: pgbouncer ## All tests, on a fetched PostgreSQL 18
	PG_BINDIR="$$(scripts/postgres --fetch)" && export PG_BINDIR && $(CARGO) test --workspace --locked

lint: ## Format, clippy, dependencies, protos
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	scripts/advisories
	scripts/buf-lint

features: ## Builds each crate with the features its users choose
	$(CARGO) check --quiet --locked --package fbs-router --no-default-features
	$(CARGO) check --quiet --locked --package fbs-router-proto --no-default-features --features client
	$(CARGO) check --quiet --locked --package fbs-router-proto --no-default-features --features server

busy: postgres pgbouncer ## The end-to-end tests beside BESIDE (6) processes that only compute: what takes a quick machine for granted fails
	$(CARGO) test --quiet --locked $(E2E) --no-run
	scripts/busy $(or $(BESIDE),6) $(CARGO) test --locked $(E2E) $(ARGS)

moves: postgres ## MOVES (20) moves of ROWS (10000) documents, with writers, while movers and Postgres are killed
	FBS_MOVES=$(or $(MOVES),20) FBS_ROWS=$(or $(ROWS),10000) $(CARGO) test --locked $(E2E) -- --nocapture no_write_is_lost_or_doubled

torture: postgres ## MINUTES (10) of faults under callers, from SEED (a random one), and what they were told explained; CHECK=FILE judges a record again
	FBS_TORTURE_CHECK=$(CHECK) FBS_TORTURE_SEED=$(or $(SEED),$(shell od -An -N4 -tu4 /dev/urandom)) FBS_TORTURE_SECONDS=$$(($(or $(MINUTES),10) * 60)) \
		$(CARGO) test --locked $(E2E) -- --nocapture --exact faults::torture::what_callers_were_told_under_faults_is_the_history_of_documents

cuts: postgres ## Interrupts every RPC at every point at which it waits, and before, in and after every message to Postgres and back
	FBS_CUTS=all $(CARGO) test --locked $(E2E) -- --nocapture every_call::

bench: postgres ## Benchmarks, with their peers and limits
	$(CARGO) run --release --locked --package fbs-router-bench -- $(ARGS)

break: postgres ## Breaks databases under a running service, and shows what callers see
	@FBS_ROUTER_LOG=off $(CARGO) run --quiet --locked $(BINARY) -- dev --break $(ARGS)

setup-doc: postgres ## Types what docs/setup.md says, on an empty Postgres
	@$(CARGO) build --quiet --locked $(TESTED)
	@scripts/setup-doc

full: ## Everything that takes long (hours), and a page that sums it up; PARTS for some of it
	scripts/full $(PARTS)
