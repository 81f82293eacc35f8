# make build test lint interop fuzz bench bench-dvc bench-remotes bench-go demo docs install cross
#
# build, test and demo need Go and git only. lint fetches staticcheck; interop
# needs the real DVC, named by CAIRN_DVC.

VERSION     ?= 0.1.0
STATICCHECK ?= honnef.co/go/tools/cmd/staticcheck@v0.8.2
FUZZTIME    ?= 20s
PREFIX      ?= /usr/local
# -v or -json, as the caller likes.
GOTESTFLAGS ?=
TESTPKGS    ?= ./...
# Of `cairn bench`; peers are taken from the PATH.
BENCHFLAGS  ?= -n 5 --dir /dev/shm --md
# A Python with dvc[testing] and pytest-xdist, for DVC's own benchmarks.
BENCHPYTHON ?= python3

GO      := go
LDFLAGS := -s -w -X github.com/cairndata/cairn/pkg/cli.version=$(VERSION)
BUILD   := CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)'

# Packages whose code runs in several goroutines: they are tested once more with
# the race detector, where there is the C compiler that it needs. With -short,
# tests that make every operation fail in turn take every seventh: all of them
# have been run without the detector.
RACE := ./pkg/object/... ./pkg/cache/... ./pkg/remote/... ./pkg/index/... ./pkg/disk/... ./pkg/repo/...

.PHONY: build test race lint interop fuzz bench bench-dvc bench-remotes bench-go demo docs install cross clean

build:
	$(BUILD) -o bin/cairn ./cmd/cairn

test:
	$(GO) test -timeout 30m -shuffle=on $(GOTESTFLAGS) $(TESTPKGS)
	@if command -v "$$($(GO) env CC)" >/dev/null; then \
		$(MAKE) --no-print-directory race; \
	else \
		echo "no C compiler here: not tested with the race detector" >&2; \
	fi

race:
	CGO_ENABLED=1 $(GO) test -race -short -timeout 30m -shuffle=on $(GOTESTFLAGS) $(RACE)

lint:
	@unformatted=$$(gofmt -l cmd pkg); if [ -n "$$unformatted" ]; then \
		echo "gofmt these files:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(GO) mod verify
	$(GO) test -run 'TestFloors|TestImportsHaveAHome|TestBelowTheCommandLine' ./pkg/cli
	$(GO) run $(STATICCHECK) ./...

# Many of these tests wait for servers that stall: more of them at once than
# there are cores.
interop: build
	@test -n "$$CAIRN_DVC" || { echo "set CAIRN_DVC to the real DVC: pip install 'dvc[s3]==3.67.1'" >&2; exit 1; }
	CAIRN_BIN=$(CURDIR)/bin/cairn $(GO) test -count=1 -parallel 4 -timeout 60m $(GOTESTFLAGS) ./pkg/interop/...

# Each fuzz test in turn, FUZZTIME long.
fuzz:
	.ci/fuzz.sh $(FUZZTIME)

bench: build
	bin/cairn bench $${CAIRN_DVC:+--tool dvc=$$CAIRN_DVC} $(BENCHFLAGS)

# DVC's own benchmarks, with DVC and with cairn; see the script for its options.
bench-dvc: build
	python3 .ci/bench_dvc.py --cairn $(CURDIR)/bin/cairn --python "$$(command -v $(BENCHPYTHON))" $(BENCHDVCFLAGS)

# Go's own: hashing, manifests, the index, scans, checkout, transfer, YAML.
bench-go:
	$(GO) test -run '^$$' -bench . -benchmem ./...

# Against DVC and rclone on loopback servers; see the script for its options.
bench-remotes: build
	python3 .ci/bench_remotes.py --cairn $(CURDIR)/bin/cairn $(BENCHREMOTESFLAGS)

demo: build
	.ci/demo.sh bin/cairn

docs: build
	rm -rf docs/commands
	bin/cairn gendocs docs

install: build
	install -d $(DESTDIR)$(PREFIX)/bin
	install -m 755 bin/cairn $(DESTDIR)$(PREFIX)/bin/cairn

cross:
	@for os in linux darwin windows; do for arch in amd64 arm64; do \
		suffix=; [ $$os = windows ] && suffix=.exe; \
		echo "build $$os/$$arch"; \
		GOOS=$$os GOARCH=$$arch $(BUILD) -o dist/cairn-$$os-$$arch$$suffix ./cmd/cairn || exit 1; \
	done; done

clean:
	rm -rf bin dist
