# Every target builds the whole workspace, so that all share one set of dependencies.

.PHONY: run test lint

run:
	cargo build --workspace --locked
	target/debug/local-stack $(ARGS)

test:
	cargo test --workspace --locked

lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --locked
