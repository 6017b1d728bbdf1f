# millrace. "make help" lists the targets.

GO       ?= go
SEEDS    ?= 1000
FUZZTIME ?= 30s
BENCH    ?= .
BENCHARGS = --html bin/bench.html --save bin/bench.json
VERSION  := $(shell git -c safe.directory='*' describe --tags --always --dirty 2>/dev/null || echo unknown)

# The version comes from git above: stamping by the go command fails in a checkout that
# belongs to somebody else, as under sudo.
BUILDFLAGS := -trimpath -buildvcs=false -ldflags '-X main.version=$(VERSION)'

# Packages whose tests ask for root.
ROOTPKGS = $(shell grep -rl --include='*_test.go' 'testutil\.Privileged\b' . | grep -v '^./internal/testutil/' | xargs -r -n1 dirname | sort -u)

# The pure packages, the shell around them and all that has goroutines without root.
RACEPKGS = ./mono/... ./stack/... ./congestion/... ./dataplane/... \
	./internal/lab/... ./internal/pktdrill/... ./internal/testutil/... ./internal/transcript/... ./trace/...

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/millrace
	@mkdir -p bin
	CGO_ENABLED=0 $(GO) build $(BUILDFLAGS) -o bin/ ./cmd/millrace

.PHONY: demo
demo: build ## build, then show claimed flows through AF_XDP beside kernel TCP (root)
	@if [ "$$(id -u)" != 0 ]; then \
		echo 'make demo makes network namespaces and loads an XDP program, which takes root: sudo bin/millrace demo' >&2; \
		exit 1; \
	fi
	bin/millrace demo

.PHONY: test
test: ## run all tests; as root, also those in namespaces (installs the programs they talk to)
	@.ci/install test
	@[ "$$(id -u)" = 0 ] || echo 'not root: the tests in network namespaces will skip (sudo -E env "PATH=$$PATH" make test runs them)'
	$(GO) build ./...
	$(GO) test -count=1 -p 1 -timeout 20m ./...
	$(GO) test -C bench/peers -count=1 -timeout 5m ./...

.PHONY: root
root: ## run the packages with root tests, and fail where one would skip
	@.ci/install test
	MILLRACE_REQUIRE_ROOT=1 $(GO) test -count=1 -p 1 -timeout 20m $(ROOTPKGS)

# NICs of QEMU, and the programs that the tests on them run.
ZCNICS  ?= virtio virtio-mq virtio-nozc igb
ZCTOOLS = curl iperf3 wrk ping ethtool ip cat

.PHONY: zc-lab
zc-lab: build ## run root tests with zero-copy on emulated NICs whose drivers have it (QEMU, 10 to 20 minutes)
	@.ci/install test
	CGO_ENABLED=0 $(GO) test -c -o bin/xsk.test ./dataplane/xsk
	CGO_ENABLED=0 $(GO) test -c -o bin/e2e.test ./internal/e2e
	CGO_ENABLED=0 $(GO) test -c -o bin/loader.test ./loader
	CGO_ENABLED=0 $(GO) test -c -o bin/root.test .
	@files=; for file in bin/xsk.test bin/e2e.test bin/loader.test bin/root.test bin/millrace; do files="$$files -f $$file"; done; \
	for tool in $(ZCTOOLS); do files="$$files -f $$(PATH=$$PATH:/usr/sbin:/sbin command -v $$tool)"; done; \
	failed=; for nic in $(ZCNICS); do \
		echo "== $$nic"; \
		ZC_LAB_LIMIT=$${ZC_LAB_LIMIT:-900} .ci/zc-lab $$files $$nic .ci/zc-tests $$nic || failed="$$failed $$nic"; \
	done; \
	echo "zc-lab: failed:$${failed:- nothing}"; [ -z "$$failed" ]

.PHONY: race
race: ## run the tests of what has goroutines under the race detector
	@.ci/install race
	CGO_ENABLED=1 $(GO) test -race -timeout 20m $(RACEPKGS)

.PHONY: sim
sim: ## run SEEDS simulations (1000) with faults drawn from the seed
	$(GO) test -count=1 -timeout 60m ./sim -run Seeds -args -seeds $(SEEDS)

# Packages whose tests judge by numbers of RFCs and models.
ORACLEPKGS = ./stack/tcp ./congestion/... ./sim ./sim/oracles

.PHONY: oracles
oracles: ## judge the numbers that RFCs and models give: a table of expected, measured, verdict
	@status=0; out=$$(mktemp); $(GO) test -count=1 -p 1 -timeout 20m -v -run '^TestOracle' $(ORACLEPKGS) >$$out 2>&1 || status=$$?; \
		grep ': oracle' $$out | sort -s -t "$$(printf '\t')" -k 2,2V | awk -F '\t' '{ printf "%-6s %-82s %24s %12s  %s\n", $$2, $$3, $$4, $$5, $$6; n++; if ($$6 != "ok") bad++ } \
			END { printf "%d numbers, %d wrong\n", n, bad }'; \
		[ $$status = 0 ] || grep -v ': oracle' $$out | grep -E '^(---|\s+--- |FAIL|panic|.*\.go:)' >&2; \
		rm -f $$out; exit $$status

.PHONY: fuzz
fuzz: ## run each fuzz target for FUZZTIME (30s)
	@grep -rEo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' . | sort | while IFS=: read -r file fn; do \
		name=$${fn#func }; dir=$$(dirname "$$file"); \
		echo "== $$dir $$name"; \
		$(GO) test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) "$$dir" || exit 1; \
	done

.PHONY: bench
bench: build ## measure this stack beside kernel TCP, with BENCHARGS (root, 8 minutes; run nothing else)
	bin/millrace bench compare --peers '' $(BENCHARGS)

.PHONY: peers
peers: build
	$(GO) build -C bench/peers $(BUILDFLAGS) -o ../../bin/millrace-peers .

.PHONY: bench-peers
bench-peers: peers ## the same with gVisor's netstack too: the whole comparison, and the bars (root, 10 minutes)
	bin/millrace bench compare --peers bin/millrace-peers $(BENCHARGS)

.PHONY: bench-readme
bench-readme: build ## put what make bench-peers measured last into the README, between its marks
	bin/millrace bench table bin/bench.json --into README.md

.PHONY: microbench
microbench: ## run Go's benchmarks that match BENCH (all)
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem ./...

.PHONY: lint
lint: ## gofmt, go vet, staticcheck and the rules of internal/tidy
	@bad=$$("$$($(GO) env GOROOT)/bin/gofmt" -l .); \
		if [ -n "$$bad" ]; then echo "not formatted (gofmt -w):"; echo "$$bad"; exit 1; fi
	$(GO) vet ./...
	$(GO) vet -C bench/peers ./...
	$(GO) tool staticcheck ./...
	$(GO) test -count=1 ./internal/tidy

.PHONY: check
check: lint ## lint, then vet and build for linux/arm64 and darwin too
	GOOS=linux GOARCH=amd64 $(GO) build ./...
	GOOS=linux GOARCH=arm64 $(GO) vet ./...
	GOOS=linux GOARCH=arm64 $(GO) build ./...
	GOOS=darwin GOARCH=arm64 $(GO) vet ./...
	GOOS=darwin GOARCH=arm64 $(GO) build ./...

.PHONY: generate
generate: ## compile the XDP program and generate its Go types (clang, llvm, libbpf-dev)
	@.ci/install generate
	$(GO) generate ./bpf

.PHONY: generate-check
generate-check: generate ## generate, and fail if that changes a committed file
	@git -c safe.directory='*' diff --exit-code --stat -- bpf || \
		{ echo 'bpf: what is generated differs from what is committed: make generate, and commit' >&2; exit 1; }

.PHONY: clean
clean: ## remove what was built
	rm -rf bin
