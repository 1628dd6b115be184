# Thin front of the build. Two commands do everything on a fresh Debian 12 with git and make:
#   make run    set up, build, run the twelve theophylline patients and the thirty-two warfarin patients
#   make test   set up, build, run the tests
BUILD ?= build
T ?= 60
SEED ?= 0
JOBS ?= $(shell nproc)
CMAKE_FLAGS ?=
PREFIX ?= /usr/local

.PHONY: run test test-all build setup bench san fuzz install docs priors check fresh arm64 format clean

setup:
	@sh tools/setup.sh

build: setup
	@mkdir -p $(BUILD)
	@[ -f $(BUILD)/build.ninja ] && [ -z "$(CMAKE_FLAGS)" ] || cmake -S . -B $(BUILD) -G Ninja $(CMAKE_FLAGS) >$(BUILD)/configure.log 2>&1 || { cat $(BUILD)/configure.log; exit 1; }
	@ninja -C $(BUILD) -j$(JOBS)

run: build
	@echo; $(BUILD)/doppel run theophylline
	@echo; $(BUILD)/doppel run warfarin
	@echo; echo "Open out/theophylline.html and out/warfarin.html in a browser."

test: check
	@sh tools/run_tests.sh $(BUILD)

# also the suites and studies that take minutes each, whole
test-all: check
	@DOPPEL_TEST_ALL=1 sh tools/run_tests.sh $(BUILD)

check: build
	@python3 tools/check_floors.py
	@python3 tools/check_headers.py

bench: build
	@sh tools/run_bench.sh $(BUILD)

# address and undefined sanitizers
san:
	@$(MAKE) --no-print-directory test BUILD=$(if $(filter file,$(origin BUILD)),build-san,$(BUILD)) CMAKE_FLAGS="-DDOPPEL_SANITIZE=ON $(CMAKE_FLAGS)"

# each parser's fuzz target for T seconds; SEED=n repeats a walk, 0 takes a new one
fuzz: FUZZ_BUILD = $(if $(filter file,$(origin BUILD)),build-fuzz,$(BUILD))
fuzz:
	@sh tools/setup.sh fuzz
	@mkdir -p $(FUZZ_BUILD)
	@CC=clang CXX=clang++ cmake -S . -B $(FUZZ_BUILD) -G Ninja -DDOPPEL_FUZZ=ON $(CMAKE_FLAGS) >$(FUZZ_BUILD)/configure.log 2>&1 || \
	  { cat $(FUZZ_BUILD)/configure.log; exit 1; }
	@ninja -C $(FUZZ_BUILD) -j$(JOBS) fuzzers
	@sh tools/run_fuzz.sh $(FUZZ_BUILD) $(T) $(SEED)

# make install PREFIX=/usr/local DESTDIR=
install: build
	@cmake --install $(BUILD) --prefix $(PREFIX)

docs: build
	@sh tools/make_docs.sh $(BUILD)

priors: build
	@$(BUILD)/doppel fit theophylline --leave-one-out --method agq -o twins/theophylline/priors.tsv
	@$(BUILD)/doppel fit warfarin --leave-one-out -o twins/warfarin/priors.tsv

# the check of the two commands: a bare Debian 12 in ROOT, everything from nothing (needs root)
fresh:
	@sh tools/fresh_root.sh $(ROOT)

# the tests on arm64 under emulation, libraries and build in ROOT
arm64:
	@sh tools/arm64.sh $(ROOT)

format:
	@clang-format -i $$(git ls-files '*.c' '*.h')

clean:
	@rm -rf build build-san build-fuzz out web/dist
