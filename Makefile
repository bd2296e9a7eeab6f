# Every target builds the whole workspace, so that all share one set of dependencies.

.PHONY: run test lint conformance picture

run:
	cargo build --workspace --locked
	target/debug/local-stack $(ARGS)

test:
	cargo test --workspace --locked

lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

conformance: target/conformance/python target/conformance/node_modules
	cargo build --workspace --locked
	target/conformance/python/bin/python clients/conformance $(ARGS)

picture: target/conformance/python
	cargo build --workspace --locked
	target/conformance/python/bin/pip install --quiet --requirement clients/conformance/picture-requirements.txt
	target/conformance/python/bin/python clients/conformance/picture.py $(ARGS)

# An install that broke off must not be taken for a whole one.
target/conformance/python: clients/conformance/requirements.txt
	rm -rf $@ && python3 -m venv $@
	$@/bin/pip install --quiet --no-deps --requirement $< || { rm -rf $@; exit 1; }
	touch $@

target/conformance/node_modules: clients/conformance/package.json clients/conformance/package-lock.json
	mkdir -p $(@D) && cp $^ $(@D)
	npm ci --prefix $(@D) --ignore-scripts --no-audit --no-fund --loglevel error
	touch $@
