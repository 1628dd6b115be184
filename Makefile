# Thin front of the build. Two commands do everything on a fresh Debian 12 with git and make:
#   make run    set up, build, run the twelve theophylline patients and the thirty-two warfarin patients
#   make test   set up, build, run the tests
BUILD ?= build
T ?= 60
JOBS ?= $(shell nproc)
CMAKE_FLAGS ?=

.PHONY: run test test-all build setup bench san fuzz install docs priors check format clean

setup:
	@sh tools/setup.sh

build: setup
	@cmake -S . -B $(BUILD) -G Ninja $(CMAKE_FLAGS) >$(BUILD).log 2>&1 || { cat $(BUILD).log; exit 1; }
	@rm -f $(BUILD).log
	@ninja -C $(BUILD) -j$(JOBS)

run: build
	@echo; $(BUILD)/doppel run theophylline
	@echo; $(BUILD)/doppel run warfarin
	@echo; echo "Open out/theophylline.html and out/warfarin.html in a browser."

test: build check
	@sh tools/run_tests.sh $(BUILD)

test-all: build check
	@DOPPEL_TEST_ALL=1 sh tools/run_tests.sh $(BUILD)

check: build
	@python3 tools/check_floors.py
	@python3 tools/check_headers.py

bench: build
	@sh tools/run_bench.sh $(BUILD)

san:
	@$(MAKE) --no-print-directory test BUILD=build-san CMAKE_FLAGS="-DDOPPEL_SANITIZE=ON"

fuzz: setup
	@CC=clang cmake -S . -B build-fuzz -G Ninja -DDOPPEL_FUZZ=ON >/dev/null
	@ninja -C build-fuzz -j$(JOBS)
	@sh tools/run_fuzz.sh build-fuzz $(T)

install: build
	@cmake --install $(BUILD)

docs: build
	@sh tools/make_docs.sh $(BUILD)

priors: build
	@for k in theophylline warfarin; do $(BUILD)/doppel fit $$k --leave-one-out -o twins/$$k/priors.tsv; done

format:
	@clang-format -i $$(git ls-files '*.c' '*.h')

clean:
	@rm -rf build build-san build-fuzz out web/dist
