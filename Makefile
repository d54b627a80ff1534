# nnz. `make run` shows what it does, `make test` checks it; both need Go and
# nothing else.

GO  ?= go
BIN := bin/nnz

# The packages whose arm64 assembly and portable fallbacks run under qemu.
ARM64_PACKAGES := ./sparse/... ./graph/... ./loader/... ./internal/... ./kernels/... ./runtime/...

# The packages that start goroutines, checked by the race detector.
RACE_PACKAGES := ./internal/parallel/... ./runtime

FUZZ_TIME ?= 10s
SOAK_TIME ?= 10m

export CGO_ENABLED ?= 0

.PHONY: build edge run test test-race test-checkptr test-arm64 test-isa wasm soak lint generate generate-check bench fuzz peers peers-install peers-networks cross clean

build:
	$(GO) build -trimpath -o $(BIN) ./cmd/nnz

# The example of a service, as small as it gets: without HTTP/2 and symbols.
edge:
	$(GO) build -trimpath -tags nethttpomithttp2 -ldflags '-s -w' -o bin/edge ./examples/edge

run: build
	$(BIN) demo

test:
	$(GO) vet ./...
	$(GO) test ./... ./internal/testdata # whose name the dots leave out

# The race detector needs cgo and a C compiler.
test-race:
	CGO_ENABLED=1 $(GO) test -race $(RACE_PACKAGES)

test-arm64:
	@if command -v qemu-aarch64-static >/dev/null; then \
		GOARCH=arm64 $(GO) test -exec qemu-aarch64-static $(ARM64_PACKAGES); \
	elif [ -n "$$CI" ]; then \
		echo "test-arm64: qemu-aarch64-static is missing" >&2; exit 1; \
	else \
		echo "test-arm64: skipped, as there is no qemu-aarch64-static (package qemu-user-static)"; \
	fi

# Conversions of unsafe pointers are checked while tests run.
test-checkptr:
	$(GO) test -gcflags=all=-d=checkptr ./kernels/... ./runtime ./graph ./internal/...

# Portable code as WebAssembly, under whatever WASI runtime there is.
wasm:
	@if command -v wasmtime >/dev/null; then exec="$$($(GO) env GOROOT)/lib/wasm/go_wasip1_wasm_exec"; \
	elif command -v node >/dev/null; then exec="node --no-warnings $(CURDIR)/.ci/wasi.mjs"; \
	else echo "wasm: skipped, as there is no wasmtime or node"; exit; fi; \
	GOOS=wasip1 GOARCH=wasm $(GO) test -exec "$$exec" ./sparse/... ./graph/... ./kernels/...

# The whole network tests on each lesser instruction set of an amd64 CPU, and
# without any assembly.
test-isa:
	NNZ_ISA=generic $(GO) test ./runtime/... ./cmd/...
	NNZ_ISA=avx2 $(GO) test ./runtime/... ./cmd/...
	$(GO) test -tags purego ./kernels/... ./runtime/...

# Random layers on every instruction set against float64, for a time. A failure
# names the seed of its layer.
soak:
	NNZ_SOAK=$(SOAK_TIME) $(GO) test -v -count 1 -timeout 0 -run '^TestSoak$$' ./runtime

lint:
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "not formatted by gofmt:"; echo "$$unformatted"; exit 1; fi
	GOARCH=amd64 $(GO) vet ./...
	GOARCH=arm64 $(GO) vet ./...
	$(GO) vet -tags purego ./...

# Assembly is written by the generators of kernels/_gen, a module of its own, so
# that nobody who imports nnz needs avo. Run it on amd64.
generate:
	$(GO) generate ./kernels/...

generate-check: generate
	@changed=$$(git status --porcelain -- kernels); if [ -n "$$changed" ]; then echo "generated files differ:"; echo "$$changed"; exit 1; fi

bench: build
	$(GO) test -run '^$$' -bench . -benchtime 200ms ./kernels/...
	$(BIN) bench builtin:resnet50@0.9 --threads 1

# Other engines, beside ours in one measurement. What cannot be installed or
# built is left out, and the table says so. PEERS_FLAGS limits the layers, such
# as --class 3x3 --sparsity 0.9.
PEERS := bin/peers
PEERS_FLAGS ?=
MASKS ?= $(or $(NNZ_TESTDATA),../shared/testdata)/dlmc
PEER_PACKAGES := libdnnl-dev libopenblas-dev libxsmm-dev libxnnpack-dev libpthreadpool-dev g++
PEER_LIBS_onednn   := -ldnnl
PEER_LIBS_openblas := -lopenblas
PEER_LIBS_libxsmm  := -lxsmmext -lxsmm -lxsmmnoblas -fopenmp -lpthread -ldl -lm
PEER_LIBS_xnnpack  := -lXNNPACK -lpthreadpool

peers: build peers-install $(addprefix peer-,onednn openblas libxsmm xnnpack)
	$(BIN) bench peers --drivers $(PEERS) $(if $(wildcard $(MASKS)),--masks $(MASKS)) $(PEERS_FLAGS)
	$(MAKE) peers-networks

# Whole networks beside ONNX Runtime, in some 15 minutes. NETWORKS_FLAGS limits
# them, such as --network resnet50 --threads 1.
NETWORKS_FLAGS ?= --network all $(NETWORKS_FILES)
NETWORKS_FILES ?= $(wildcard $(addprefix $(dir $(MASKS)),trained/lenet*90_global.opset17/model.onnx trained/resnet8_pruned80_global.opset17/model.onnx \
	models/squeezenet10_fp32/model.onnx mlperf_tiny/*/model.onnx))

# gomlx takes seconds a run, which would leave the others few turns.
GOMLX_FLAGS ?= --network mobilenet_v1,bert_base_128 --sparsity 0.9 --threads 1 --runs 3 $(NETWORKS_FILES)

peers-networks: build peers-install peer-gomlx
	$(BIN) bench networks --drivers $(PEERS) --json $(PEERS)/networks.json --chart $(PEERS)/networks.svg $(NETWORKS_FLAGS)
	$(BIN) bench networks --drivers $(PEERS) --peer onnxruntime,gomlx --json $(PEERS)/gomlx.json $(GOMLX_FLAGS)

peers-install:
	@mkdir -p $(PEERS)
	@sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; for package in $(PEER_PACKAGES); do \
		dpkg -s $$package >/dev/null 2>&1 || $$sudo apt-get install -q -y --no-install-recommends $$package || echo "peers: no package $$package"; \
	done
	@[ -d $(PEERS)/node_modules/onnxruntime-node ] || npm install --ignore-scripts --prefix $(PEERS) onnxruntime-node || echo "peers: no onnxruntime-node"

peer-gomlx: # a module of its own
	@$(GO) build -C bench/peers/drivers/gomlx -o $(abspath $(PEERS))/gomlx . || echo "peers: no gomlx"

peer-%:
	@g++ -O3 -march=native -std=c++17 -o $(PEERS)/$* bench/peers/drivers/$*.cpp $(PEER_LIBS_$*) || echo "peers: no $*"

# Every fuzz target in turn: go test runs one at a time.
fuzz:
	@grep -rl --include='*_test.go' '^func Fuzz' . | while read -r file; do \
		for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\).*/\1/p' "$$file"); do \
			echo "$$(dirname "$$file") $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZ_TIME) -fuzzminimizetime 1000x "$$(dirname "$$file")" || exit 1; \
		done; \
	done

# Every platform that the command builds for, all without cgo. What go vet
# looks at, tests too, compiles.
cross:
	@for target in linux/amd64 linux/arm64 darwin/arm64 windows/amd64 wasip1/wasm; do \
		echo "build and vet $$target"; \
		export CGO_ENABLED=0 GOOS=$${target%/*} GOARCH=$${target#*/}; \
		$(GO) build -o /dev/null ./... && $(GO) vet ./... || exit 1; \
	done

clean:
	rm -rf bin
