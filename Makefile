# Thin on purpose: this file finds a Python, and `python -m crmlab` does the work.
# Without make (Windows): py -3.13 -m crmlab lab

.DEFAULT_GOAL := help
unexport PYTHONDONTWRITEBYTECODE

# Candidates are tried by running them (some installers leave commands that only print an error):
# the project's own, then the version in .python-version, then others that will do.
WANTED := $(shell cat .python-version)
VERSIONS := $(WANTED) $(filter-out $(WANTED),3.13 3.12 3.14 3.15)
HOMES := $(sort $(wildcard $(PYENV_ROOT)/versions $(HOME)/.pyenv/versions \
	$(HOME)/.local/share/uv/python $(patsubst %/shims,%/versions,$(filter %/shims,$(subst :, ,$(PATH))))))
OTHERS = $(foreach version,$(VERSIONS),python$(version) \
	$(wildcard $(addsuffix /*$(version)*/bin/python$(version),$(HOMES)))) python3 python
CANDIDATES = $(if $(PYTHON),"$(PYTHON)",.venv/bin/python .venv/Scripts/python.exe $(OTHERS))
TEST = import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 12))
NEEDED = $(if $(PYTHON),PYTHON=$(PYTHON) will not do: ,)crmlab needs Python 3.12 or newer with \
	venv ($(WANTED) is best); install it or name it: make ... PYTHON=/path/to/python$(WANTED)

run = @for python in $(CANDIDATES); do \
	if "$$python" -c "$(TEST)" >/dev/null 2>&1; then exec "$$python" -m crmlab $(strip $(1)); fi; \
	done; echo "$(NEEDED)" >&2; exit 1

.PHONY: help lab test test-extras setup learn doctor demo notebooks slides editions site variants \
	grade drift replicate bench validate lint lock warm clean

help: ## this list
	@echo "make lab    opens the course        make test    runs every test"
	@echo "Both set up what they need (.venv/, a few minutes the first time). All targets:"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-11s %s\n", $$1, $$2}' Makefile
	@echo "Choose a Python with PYTHON=/path/to/python; python -m crmlab COMMAND --help says more."

lab: ## open the course in JupyterLab (SOURCE=1: with solutions; LAB_ARGS="--no-browser")
	$(call run,lab $(if $(SOURCE),--source) $(if $(LAB_ARGS),-- $(LAB_ARGS)))

test: ## run every test: code, docstrings, notebooks (ONLY=code or notebooks; JOBS=1)
	$(call run,test $(if $(ONLY),--only $(ONLY)) $(if $(JOBS),--jobs $(JOBS)))

test-extras: ## run the tests that need peers and engines, in .venv-extras/
	$(call run,test-extras)

setup: ## make .venv/ and fill the compile cache (AGAIN=1: from scratch)
	$(call run,setup $(if $(AGAIN),--again))

learn: ## make or update the student edition in learn/
	$(call run,learn)

doctor: ## examine the environment and say how to fix any problem
	$(call run,doctor)

demo: ## write an example report into build/demo/
	$(call run,demo)

notebooks: ## execute the notebooks in place, for authors (N=03: only that one)
	$(call run,notebooks $(N))

slides: ## write slides into build/slides/ (N=03: only that notebook)
	$(call run,slides $(N))

editions: ## write all editions of the course, and zip files, into build/editions/
	$(call run,editions)

site: ## build the site into build/site/: course, reference, glossary, ledger
	$(call run,site)

variants: ## one bank per student (IDS=file, KEY=file, N=03, CHECKS=1) into build/variants/
	$(call run,variants "$(IDS)" $(if $(KEY),--key "$(KEY)") $(if $(N),--number $(N)) $(if $(CHECKS),--with-checks))

grade: ## grade what students submitted (FOLDER=submissions, N=03) into build/grades/
	$(call run,grade "$(FOLDER)" $(if $(N),--number $(N)))

drift: ## what other processors and seeds change (N=03; BRIEF=1), into build/drift/
	$(call run,drift $(N) $(if $(BRIEF),--brief))

replicate: ## recompute every published number of the ledger
	$(call run,replicate)

bench: ## compare the speed of crmlab with its peers, in .venv-extras/ (ARGS=--full: all sizes)
	$(call run,bench $(ARGS))

validate: ## list the slow statistical studies, or run one (ARGS="calibration --minutes 30")
	$(call run,validate $(ARGS))

lint: ## check the style of the code and its types
	$(call run,lint)

lock: ## resolve requirements.lock again, for maintainers (UPGRADE=1: newest versions)
	$(call run,lock $(if $(UPGRADE),--upgrade))

warm: ## compile the kernels into .cache/ (part of setup)
	$(call run,warm)

clean: ## delete everything that can be made again, never learn/ (ALL=1: also .venv/ and .cache/)
	$(call run,clean $(if $(ALL),--all))
