# Run `make help`. Tools are pinned here and built into .bin.
BIN         := $(CURDIR)/.bin
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOFUMPT     := mvdan.cc/gofumpt@v0.12.0
BENCHSTAT   := golang.org/x/perf/cmd/benchstat@v0.0.0-20260908200009-22c9c6c9d4da
BUF         := github.com/bufbuild/buf/cmd/buf@v1.75.0
PROTOC_GO   := google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.12
PROTOC_GRPC := google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.2

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
CC      := $(shell go env CC)
RACE    := $(if $(shell command -v $(CC)),-race)
install := GOBIN=$(BIN) go install

export PATH := $(BIN):$(PATH)
export CGO_ENABLED := 0

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1:/p' $(MAKEFILE_LIST) | sort | awk -F: '{printf "%-12s%s\n", $$1, $$2}'

.PHONY: build
build: ## the one static binary, .bin/ainur
	go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o $(BIN)/ainur ./cmd/ainur

.PHONY: quickstart
quickstart: build ## a real experiment on this machine, with Go alone
	$(BIN)/ainur run examples/quickstart.ainur.hcl

.PHONY: test
test: ## every test; one that needs what this machine lacks is skipped and says why
	go test -shuffle=on ./...

.PHONY: race
race: export CGO_ENABLED = $(if $(RACE),1,0)
race: ## test under the race detector, where there is a C compiler
	@test -n '$(RACE)' || echo 'race: no $(CC) here, so the tests run without the race detector'
	go test $(RACE) -shuffle=on -timeout 20m ./...

.PHONY: lint
lint: ## vet, staticcheck, formatting, modern Go, tidy modules
	$(install) $(STATICCHECK)
	$(install) $(GOFUMPT)
	go vet ./...
	staticcheck ./...
	@gofumpt -d . | { ! grep . || { echo 'lint: run make fmt'; exit 1; }; }
	@go fix -diff ./... || { echo 'lint: run go fix ./...'; exit 1; }
	go mod tidy -diff

.PHONY: layers
layers: ## which package may import which, purity of the cores, a reason for each module
	go test -count=1 -run '^Test(Layers|Pure|Impurities|Dependencies)' ./cmd/ainur

.PHONY: fuzz
fuzz: FUZZTIME = 10s
fuzz: ## every fuzz target for FUZZTIME each
	@set -e; for pkg in $$(go list ./...); do \
	  for f in $$(go test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
	    echo "== $$pkg $$f"; go test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$pkg; done; done

.PHONY: sim
sim: SEEDS = 1000
sim: ## the properties of the policies, the scheduler and the simulator, with SEEDS random cases each
	go test -count=1 ./agent/queue ./agent/concurrency ./agent/keepalive ./agent/prewarm ./agent/estimate ./agent/worker ./orchestrator/sim -rapid.checks=$(SEEDS)

.PHONY: live
live: ## the tests that start agents and sandboxes, as root; what is lacking is a failure
	AINUR_REQUIRE=root,python,go,cgroup,containerd,runc,crun,docker,debian go test -count=1 ./agent/... ./cmd/...

.PHONY: soak
soak: LENGTH = 10m
soak: ## an agent under a mixed load for LENGTH: what it uses does not grow
	AINUR_SOAK=$(LENGTH) go test -count=1 -timeout 1h -v ./agent/live/soak

.PHONY: bench
bench: ## every benchmark, summarised; keep .bin/bench.txt to compare with benchstat
	$(install) $(BENCHSTAT)
	go test -p 1 -run '^$$' -bench . -benchmem -count=10 ./... > $(BIN)/bench.txt
	benchstat $(BIN)/bench.txt

.PHONY: cover
cover: ## the share of statements that tests reach, by function and in all
	@mkdir -p $(BIN)
	go test -coverpkg=./... -coverprofile=$(BIN)/cover.out ./...
	go tool cover -func=$(BIN)/cover.out

WIRE := agent/agentpb orchestrator/node/nodepb

.PHONY: gen
gen: ## the wire types, from the .proto files
	$(install) $(BUF)
	$(install) $(PROTOC_GO)
	$(install) $(PROTOC_GRPC)
	for dir in $(WIRE); do (cd $$dir && buf generate && sha256sum *.proto buf.gen.yaml *.pb.go > gen.sha256) || exit 1; done

.PHONY: gen-check
gen-check: ## the wire types are those of the .proto files, by the sums that gen leaves: buf takes minutes to build
	@for dir in $(WIRE); do (cd $$dir && sha256sum --check --quiet gen.sha256) || { echo 'gen-check: run make gen'; exit 1; }; done

.PHONY: fmt
fmt: ## format Go and the experiment files
	$(install) $(GOFUMPT)
	gofumpt -w .
	go run ./cmd/ainur fmt examples

.PHONY: check
check: lint layers gen-check race quickstart ## what .ci/run runs

.PHONY: clean
clean: ## remove what make made; results/ stays
	rm -rf $(BIN)
