# `make demo` shows it, `make test` proves it; `make check` is the quick round while writing.

export ORLOP_PEERS ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/orlop-peers
export CARGO_TARGET_DIR ?= $(CURDIR)/target
export CARGO_TERM_COLOR ?= auto
peers := $(ORLOP_PEERS)/bin
cargo := cargo --locked

# What `make test` is made of, in its order; .ci/run takes them one by one to time them.
stages := peers formatted linted documented licensed tested

.PHONY: demo test check bench stages $(stages)

demo:
	@command -v helm >/dev/null || tests/peers/install helm3
	@$(cargo) build --quiet
	@docs/demo.sh "$(CARGO_TARGET_DIR)/debug/orlop"

test: $(stages)

stages:
	@echo $(stages)

peers:
	tests/peers/install

formatted:
	cargo fmt --check

linted:
	$(cargo) clippy --all-targets --all-features -- -D warnings

documented:
	RUSTDOCFLAGS='-D warnings' $(cargo) doc --no-deps --all-features

# The advisories stand in a git repository, which not every machine can reach: then the other checks still count.
licensed: peers
	$(peers)/cargo-deny check --hide-inclusion-graph licenses bans sources
	@if GIT_TERMINAL_PROMPT=0 timeout 20 git ls-remote --exit-code https://github.com/RustSec/advisory-db HEAD >/dev/null 2>&1; \
	then $(peers)/cargo-deny check --hide-inclusion-graph advisories; \
	else echo 'advisories: not checked, https://github.com/RustSec/advisory-db cannot be reached from here'; fi

tested: peers
	$(cargo) test --features peers

# Times orlop, built as it is released, and real sops and helm in one run; fails when a target is missed.
bench:
	tests/peers/install sops helm3
	$(cargo) build --profile dist --config dist.toml
	ORLOP="$(CARGO_TARGET_DIR)/$$(rustc --print host-tuple)/dist/orlop" $(cargo) bench --profile dev --bench compare

check:
	cargo fmt --check
	$(cargo) clippy --all-targets -- -D warnings
	$(cargo) test --lib
