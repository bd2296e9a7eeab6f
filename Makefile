# Whatever is built for this machine is built with the whole workspace, so that all share one set of dependencies.

.PHONY: run test lint bench bench-refresh conformance picture build deploy check-template rehearse invoke invoke-all

run:
	cargo build --workspace --locked
	target/debug/local-stack $(ARGS)

test:
	cargo test --workspace --locked

lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --locked

# ROWS="1,10,50" are the rows a day to try, in millions. Figures: docs/numbers.md.
bench:
	cargo bench --workspace --locked --profile dev --bench scale

# The refresh of large fleets, optimised: it is built by itself, and shares nothing with the rest. About an hour.
# ENDPOINTS="200,2000,5000" are the fleets to try.
bench-refresh:
	cargo bench --locked --bench refresh

# --- The client kit: docs/clients.md ---

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

# --- Deployment: docs/operations.md ---

ARCH ?= arm64
STACK ?= wafer-metrics
TOOLS := $(CURDIR)/target/python/tools
export SAM_CLI_TELEMETRY := 0

# A virtual environment is made anew when the list of its packages changes.
target/python/%/ready: deploy/%.txt
	python3 -m venv --clear $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check --requirement $<
	touch $@

# target/lambda/{scrape,refresh}/bootstrap, and the same as bootstrap.zip.
build: target/python/tools/ready
	for format in binary zip; do PATH="$(TOOLS)/bin:$$PATH" cargo lambda build --release --locked --bin scrape --bin refresh \
	  $(if $(filter x86_64,$(ARCH)),--x86-64,--arm64) --output-format $$format || exit; done

# make deploy BUCKET=… TOPIC=arn:… [ARCH=…] [STACK=…] [PARAMETERS="Name=value …"]
deploy: target/python/tools/ready
	$(if $(BUCKET),,$(error BUCKET is the bucket of the request logs))
	$(if $(TOPIC),,$(error TOPIC is the ARN of the SNS topic for alarms))
	PATH="$(TOOLS)/bin:$$PATH" sam build --parameter-overrides Architecture=$(ARCH)
	PATH="$(TOOLS)/bin:$$PATH" sam deploy --stack-name $(STACK) --resolve-s3 --capabilities CAPABILITY_IAM --no-fail-on-empty-changeset \
	  --parameter-overrides Architecture=$(ARCH) RequestLogsBucket=$(BUCKET) AlarmTopicArn=$(TOPIC) $(PARAMETERS)

# The region only says which resources the linters know of.
check-template: target/python/tools/ready
	$(TOOLS)/bin/cfn-lint template.yaml
	AWS_DEFAULT_REGION=us-east-1 $(TOOLS)/bin/sam validate --lint

# What is rehearsed differs from a release in how long it takes to build, and in nothing else.
QUICK := CARGO_TARGET_DIR=$(CURDIR)/target/rehearsal CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_LTO=off \
  CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16

# Deploys the template into an AWS emulator, with make deploy, and scrapes it.
rehearse: target/python/tools/ready target/python/rehearsal/ready
	$(QUICK) target/python/rehearsal/bin/python deploy/rehearse.py

# make invoke EVENT=events/scrape.json: a function built for x86_64, against the local stack of make run.
EVENT ?= events/scrape.json
invoke: target/python/tools/ready
	python3 deploy/invoke.py target/lambda $(EVENT)

# Every event, the function's process killed after each.
invoke-all: target/python/tools/ready
	cargo build --workspace --locked
	PATH="$(TOOLS)/bin:$$PATH" $(QUICK) cargo lambda build --release --locked --bin scrape --bin refresh --x86-64
	python3 deploy/invoke.py target/rehearsal/lambda --all target/debug/local-stack
