# What a fresh machine must have: Python 3.10+ with venv, a C++20 compiler, make. Nothing else.
PYTHON ?= python3
DEMO ?= recsys2021
HTTP_PORT ?= 8000
BUILD_JOBS ?= $(shell nproc)
GRPC_PORT ?= 8980
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check
# The extension is built with the environment's own tools, so that a change in cpp/ costs seconds: those of an isolated
# build lie elsewhere each time, and then everything is compiled again. It is first built where nothing else is yet.
BUILD_TOOLS := cmake ninja $(shell sed -n 's/^requires = //p' pyproject.toml | grep -o '"[^"]*"')
NATIVE := CMakeLists.txt $(shell find cpp services/proto -name '*.cpp' -o -name '*.hpp' -o -name 'CMakeLists.txt' \
  -o -name '*.cmake' -o -name '*.proto')
CPP := $(shell find bench cpp tests/native -name '*.cpp' -o -name '*.hpp')

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-python test-others test-levels test-sanitized lint bench report report-recsys2021 report-online-retail wheel asan portable clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.installed ## the environment: .venv with friesian_fast (editable) and every extra

$(VENV)/.tools: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "error: $(PYTHON) is older than 3.10; name a newer one: make PYTHON=python3.12 setup" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
	  { echo "error: $(PYTHON) cannot make a venv; install its venv package (Debian: apt install python3-venv)" >&2; exit 1; }
	$(INSTALL) --constraint constraints.txt $(BUILD_TOOLS)
	@touch $@

$(VENV)/.requirements: $(VENV)/.tools
	$(INSTALL) --constraint constraints.txt --no-build-isolation --editable '.[all,dev]'
	@touch $@

$(VENV)/.installed: $(VENV)/.requirements $(NATIVE)
	$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup ## raw logs to a serving recommender; ONCE=1 stops after the answers, DEMO=online_retail is the other use case
	@$(BIN)/friesian demo $(DEMO) --dir demo --http-port $(HTTP_PORT) --grpc-port $(GRPC_PORT) $(if $(ONCE),--once)

# Each is a process of its own, so that --jobs=2 has two of them busy; the longest first, so that both end together.
TEST_PARTS := feature train e2e usecases services

# The core needs nothing but the tools, and so is compiled while the environment is still being filled.
test: asan test-python test-levels test-sanitized lint portable ## all that CI runs: tests, lint, the core under sanitizers and without SIMD

test-python: $(TEST_PARTS:%=test-%) test-others

$(TEST_PARTS:%=test-%): test-%: setup
	$(BIN)/pytest tests/$*

test-others: setup
	$(BIN)/pytest $(TEST_PARTS:%=--ignore=tests/%)

# What the levels that this CPU has but does not choose answer, from end to end.
test-levels: setup
	FRIESIAN_SIMD_LEVEL=avx2 $(BIN)/pytest tests/recall tests/store tests/recommend
	FRIESIAN_SIMD_LEVEL=scalar $(BIN)/pytest tests/recall tests/store tests/recommend

# What reads bytes from outside: rows, layouts, columns, JSON, requests. The interpreter is not sanitized, so the
# library has to be there before it, and so has what exceptions are thrown through.
test-sanitized: asan setup
	FRIESIAN_CORE=$$(echo build/asan/cpp/bindings/_core.*.so) ASAN_OPTIONS=detect_leaks=0 \
	  LD_PRELOAD="$$($(CXX) -print-file-name=libasan.so) $$($(CXX) -print-file-name=libstdc++.so)" \
	  $(BIN)/pytest -p tests.sanitized_core tests/kernels/test_rows.py tests/kernels/test_rows_damage.py \
	  tests/kernels/test_rows_levels.py \
	  tests/kernels/test_json_array.py tests/kernels/test_plain_request.py tests/kernels/test_timer.py \
	  tests/kernels/test_filter.py tests/store tests/recall/test_layout_damage.py \
	  tests/services/test_damaged_requests.py

lint: setup ## ruff, mypy --strict, clang-format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run --Werror $(CPP)

bench: setup ## every benchmark, each beside its peer; see bench/README.md
	$(BIN)/pytest bench --benchmark-only --benchmark-columns=min,median,rounds --benchmark-group-by=group

report: report-recsys2021 report-online-retail ## build/report/: the pages of how good the use cases are, made anew from the data

report-recsys2021: setup
	rm -rf build/report/work/recsys2021
	@mkdir -p build/report/work/recsys2021 build/report/recsys2021
	cd build/report/work/recsys2021 && export PATH="$(abspath $(BIN)):$$PATH" && \
	  friesian recsys2021 generate 100000 raw && \
	  friesian recsys2021 preprocess --data_dir raw --cross_sizes 600 && \
	  friesian recsys2021 train_wnd --data_dir raw/preprocessed --model_dir wnd --batch_size 3200 --epoch 5 \
	    --learning_rate 3e-4 --schedule linear --dropout 0.3 --early_stopping 0 && \
	  friesian recsys2021 report --data_dir raw/preprocessed --model_dir wnd --out ../../recsys2021/index.html

report-online-retail: setup
	@mkdir -p build/report/work/online_retail
	cd build/report/work/online_retail && for step in prepare train publish; do \
	  $(abspath $(BIN))/friesian online_retail $$step || exit 1; done
	cd build/report/work/online_retail && $(abspath $(BIN))/friesian online_retail report --out ../../online_retail

wheel: setup ## dist/*.whl, installed into an empty venv and tried
	rm -rf dist
	$(BIN)/pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir dist .
	$(BIN)/pytest tests/packaging -k wheel

CORE_TESTS = $(BIN)/cmake -S . -G Ninja -DCMAKE_MAKE_PROGRAM=$(abspath $(BIN))/ninja -DFRIESIAN_TESTS=ON

asan: $(VENV)/.tools ## the core under AddressSanitizer and UBSan
	$(CORE_TESTS) -B build/asan -DCMAKE_BUILD_TYPE=None -DFRIESIAN_ASAN=ON \
	  -DPython_EXECUTABLE=$(abspath $(BIN))/python > /dev/null
	$(BIN)/cmake --build build/asan --parallel $(BUILD_JOBS) --target friesian_core_tests _core
	build/asan/friesian_core_tests
	@# A function that the linker could merge across levels would run AVX code on a CPU without it.
	! find build/asan -name '*_avx*.o' | xargs nm -C | grep ' W '

portable: $(VENV)/.tools ## the core alone, as on a machine that is not x86: the scalar level only
	$(CORE_TESTS) -B build/portable -DFRIESIAN_PYTHON=OFF -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 > /dev/null
	$(BIN)/cmake --build build/portable --parallel $(BUILD_JOBS)
	build/portable/friesian_core_tests

clean: ## remove build products; the demo's data and .venv stay
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .benchmarks
