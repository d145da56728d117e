# Everyday commands; `make` lists them. All of them are short for what CONTRIBUTING.md explains.

.DEFAULT_GOAL := help
.PHONY: help run demo check test story all openapi docs bench

help: ## This list
	@sed -nE 's/^([a-z]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

run: ## Run the server as configured
	cargo run

demo: ## Run it with scripted upstreams: needs no services and no keys
	cargo run -- demo

check: ## Format, lints and the rules of the source
	cargo fmt --check
	cargo clippy --all-targets --locked -- -D warnings
	cargo test --locked --test architecture

test: ## The fast loop: unit tests, without services
	cargo test --locked --lib

story: ## Stories whose names hold F, with the services they need: make story F=chat
	tests/run $(F)

all: ## Everything that continuous integration runs
	tests/run

openapi: ## Write the OpenAPI document anew: read the diff
	cargo run --locked -- openapi > tests/openapi.json.new
	mv tests/openapi.json.new tests/openapi.json
	git diff --stat tests/openapi.json

docs: ## The documentation of the code, and the commands of README.md and docs/
	cargo doc --locked --no-deps --document-private-items
	cargo build --locked
	tests/docs/run target/debug/orchestrator-studio

bench: ## All benchmarks; CONTRIBUTING.md has their names
	cargo bench
