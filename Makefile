# Run `make help`. Tools are pinned here and built into .bin on first use.
GOBIN        := $(CURDIR)/.bin
export PATH  := $(GOBIN):$(PATH)
VERSION      := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
STATICCHECK  := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOFUMPT      := mvdan.cc/gofumpt@v0.12.0
BENCHSTAT    := golang.org/x/perf/cmd/benchstat@v0.0.0-20260908200009-22c9c6c9d4da
BUF          := github.com/bufbuild/buf/cmd/buf@v1.75.0
PROTOC_GO    := google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.12
PROTOC_GRPC  := google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.2
# The race detector needs a C compiler; without one the tests run without it.
RACE         := $(if $(shell command -v cc),-race)
GENERATED    := agent/agentpb/agent.pb.go agent/agentpb/agent_grpc.pb.go

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' $(MAKEFILE_LIST) | sort | column -ts '	'

.PHONY: build
build: ## the binary, .bin/ainur
	CGO_ENABLED=0 go build -trimpath -ldflags '-X main.version=$(VERSION)' -o $(GOBIN)/ainur ./cmd/ainur

.PHONY: quickstart
quickstart: build ## run a real experiment on this machine; needs Go alone
	$(GOBIN)/ainur run examples/quickstart.ainur.hcl

.PHONY: test
test: ## every test; what this machine lacks is skipped and says why
	CGO_ENABLED=0 go test -shuffle=on ./...

.PHONY: race
race: ## every test under the race detector
	$(if $(RACE),,@echo 'no C compiler: without the race detector')
	go test $(RACE) -shuffle=on -timeout 15m ./...

.PHONY: lint
lint: $(GOBIN)/staticcheck $(GOBIN)/gofumpt ## vet, staticcheck, formatting, modern Go, tidy modules
	go vet ./...
	staticcheck ./...
	@test -z "$$(gofumpt -l $$(git ls-files '*.go' | grep -v '\.pb\.go$$'))" || { gofumpt -d .; exit 1; }
	@go fix -diff ./... || { echo 'run: go fix ./...'; exit 1; }
	go mod tidy -diff

.PHONY: layers
layers: ## the direction of imports and the purity of cores
	go test -count=1 -run 'TestLayers|TestPure|TestDependencies' ./cmd/ainur

.PHONY: fuzz
fuzz: FUZZTIME = 10s
fuzz: ## every fuzz target for FUZZTIME each
	@set -e; for pkg in $$(go list ./...); do \
	  for f in $$(go test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
	    echo "== $$pkg $$f"; go test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$pkg; done; done

.PHONY: sim
sim: SEEDS = 1000
sim: ## the simulator's properties over SEEDS seeds
	go test -count=1 -run 'SameSeed' ./orchestrator/sim -rapid.checks=$(SEEDS)

.PHONY: live
live: ## the tests that start agents and sandboxes
	go test -count=1 ./cmd/ainur ./agent/sandbox/...

.PHONY: bench
bench: $(GOBIN)/benchstat ## benchmarks, summarised
	go test -run '^$$' -bench . -benchmem -count=6 ./... | tee /tmp/ainur-bench.txt | grep -v '^ok\|no test files'
	benchstat /tmp/ainur-bench.txt

.PHONY: cover
cover: ## statement coverage by package
	go test -cover ./...

.PHONY: gen
gen: $(GOBIN)/buf $(GOBIN)/protoc-gen-go $(GOBIN)/protoc-gen-go-grpc ## the wire types from agent.proto
	cd agent/agentpb && buf generate

.PHONY: gen-check
gen-check: ## fails when agent.proto was changed and nothing generated since
	@test -z "$$(git diff HEAD --name-only -- agent/agentpb/agent.proto)" || test -n "$$(git diff HEAD --name-only -- $(GENERATED))" || { echo 'run: make gen'; exit 1; }

.PHONY: fmt
fmt: $(GOBIN)/gofumpt ## format Go and the examples
	gofumpt -w $$(git ls-files '*.go' | grep -v '\.pb\.go$$')
	go run ./cmd/ainur fmt examples

.PHONY: check
check: lint gen-check race quickstart ## what .ci/run runs

.PHONY: clean
clean: ## remove what make has made
	rm -rf $(GOBIN)

$(GOBIN)/staticcheck: ; GOBIN=$(GOBIN) go install $(STATICCHECK)
$(GOBIN)/gofumpt: ; GOBIN=$(GOBIN) go install $(GOFUMPT)
$(GOBIN)/benchstat: ; GOBIN=$(GOBIN) go install $(BENCHSTAT)
$(GOBIN)/buf: ; GOBIN=$(GOBIN) go install $(BUF)
$(GOBIN)/protoc-gen-go: ; GOBIN=$(GOBIN) go install $(PROTOC_GO)
$(GOBIN)/protoc-gen-go-grpc: ; GOBIN=$(GOBIN) go install $(PROTOC_GRPC)
