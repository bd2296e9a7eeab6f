# Whatever is built for this machine is built with the whole workspace, so that all share one set of dependencies.

.PHONY: run test lint bench lock \
  conformance picture build deploy check-template rehearse invoke invoke-all

# A virtual environment is made anew when its list of packages changes, which is the whole list: pip adds nothing to it. An
# install that broke off is not taken for a whole one.
target/python/%/ready: requirements/%.txt
	python3 -m venv --clear $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement $<
	touch $@

# --- The code ---

LINT := $(CURDIR)/target/python/lint

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

# Pins stay as they are where they still fit; LOCK_ARGS=--upgrade takes the newest.
lock: target/python/lint/ready
	cd requirements && for source in *.in; do $(LINT)/bin/uv pip compile --quiet --universal --python-version 3.11 \
	  --generate-hashes --custom-compile-command 'make lock' $(LOCK_ARGS) --output-file $${source%.in}.txt $$source || exit; done

# --- The client kit: docs/clients.md ---

# One check alone: ARGS="-k telegraf". What the clients wrote is kept with ARGS="--basetemp=FOLDER". With LOCAL_STACK set nothing is built.
conformance: target/python/conformance/ready target/conformance/node_modules
	$(if $(LOCAL_STACK),,cargo build --workspace --locked)
	target/python/conformance/bin/python -m pytest $(ARGS)

picture: target/python/conformance/ready
	$(if $(LOCAL_STACK),,cargo build --workspace --locked)
	target/python/conformance/bin/python -m clients.conformance.picture $(ARGS)

target/conformance/node_modules: clients/conformance/package.json clients/conformance/package-lock.json
	mkdir -p $(@D) && cp $^ $(@D)
	npm ci --prefix $(@D) --ignore-scripts --no-audit --no-fund --loglevel error
	touch $@

# --- Deployment: docs/operations.md ---

ARCH ?= arm64
STACK ?= wafer-metrics
DEPLOY := $(CURDIR)/target/python/deploy
export SAM_CLI_TELEMETRY := 0

# target/lambda/{scrape,refresh}/bootstrap, and the same as bootstrap.zip.
build: target/python/deploy/ready
	for format in binary zip; do PATH="$(DEPLOY)/bin:$$PATH" cargo lambda build --release --locked --bin scrape --bin refresh \
	  $(if $(filter x86_64,$(ARCH)),--x86-64,--arm64) --output-format $$format || exit; done

# make deploy BUCKET=… TOPIC=arn:… [ARCH=…] [STACK=…] [PARAMETERS="Name=value …"]
deploy: target/python/deploy/ready
	$(if $(BUCKET),,$(error BUCKET is the bucket of the request logs))
	$(if $(TOPIC),,$(error TOPIC is the ARN of the SNS topic for alarms))
	PATH="$(DEPLOY)/bin:$$PATH" sam build --parameter-overrides Architecture=$(ARCH)
	PATH="$(DEPLOY)/bin:$$PATH" sam deploy --stack-name $(STACK) --resolve-s3 --capabilities CAPABILITY_IAM \
	  --no-fail-on-empty-changeset --parameter-overrides Architecture=$(ARCH) RequestLogsBucket=$(BUCKET) \
	  AlarmTopicArn=$(TOPIC) $(PARAMETERS)

# The region only says which resources the linters know of.
check-template: target/python/deploy/ready
	$(DEPLOY)/bin/cfn-lint template.yaml
	AWS_DEFAULT_REGION=us-east-1 $(DEPLOY)/bin/sam validate --lint

# What is rehearsed differs from a release in how long it takes to build, and in nothing else.
QUICK := CARGO_TARGET_DIR=$(CURDIR)/target/rehearsal CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_LTO=off \
  CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16

rehearse: target/python/deploy/ready target/python/rehearsal/ready
	$(QUICK) target/python/rehearsal/bin/python -m deploy.rehearse

EVENT ?= events/scrape.json
invoke: target/python/deploy/ready
	$(DEPLOY)/bin/python -m deploy.invoke target/lambda $(EVENT)

invoke-all: target/python/deploy/ready
	$(if $(LOCAL_STACK),,cargo build --workspace --locked)
	PATH="$(DEPLOY)/bin:$$PATH" $(QUICK) cargo lambda build --release --locked --bin scrape --bin refresh --x86-64
	$(DEPLOY)/bin/python -m deploy.invoke target/rehearsal/lambda --all
