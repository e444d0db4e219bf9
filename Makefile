# What people run in this repository. `make` alone lists it.

CARGO ?= cargo
# cargo may have been installed a moment ago by tests/prepare.sh.
export PATH := $(PATH):$(HOME)/.cargo/bin

.DEFAULT_GOAL := help
.PHONY: help demo test bench lint release prepare

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## install Wharf on this machine and deploy the examples (root)
	./install.sh --demo

prepare: ## install and start what the tests need (root)
	@tests/prepare.sh

test: prepare ## every test, with a real Docker and a real browser
	WHARF_TEST_DOCKER=1 WHARF_TEST_PEBBLE=1 $(CARGO) test --locked --no-fail-fast
	tests/browser.sh "$${CARGO_TARGET_DIR:-target}/x86_64-unknown-linux-gnu/debug/wharf"

bench: prepare ## measure what docs/BENCHMARKS.md promises
	$(CARGO) build --release --locked
	benches/promises.py "$${CARGO_TARGET_DIR:-target}/x86_64-unknown-linux-gnu/release/wharf"
	$(CARGO) bench --locked --bench scheduler

lint: ## formatting and warnings
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings

release: ## one static binary
	$(CARGO) build --release --locked
	@file=$$(find "$${CARGO_TARGET_DIR:-target}" -maxdepth 3 -path '*/release/wharf' -type f -printf '%T@ %p\n' \
	  | sort -rn | head -n 1 | cut -d ' ' -f 2-) && printf '%s, %s bytes\n' "$$file" "$$(stat -c %s "$$file")"
