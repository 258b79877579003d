# Every verb of the project. `make` alone explains them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TASK ?= fashion
ENV ?= dev
ARGS ?=

# A folder of wheels named by PIP_FIND_LINKS serves uv as well. Without one, torch comes as its CPU build;
# `make setup TORCH=auto` picks the build for this machine's GPU.
TORCH ?= cpu
ifneq ($(PIP_FIND_LINKS),)
export UV_FIND_LINKS := $(PIP_FIND_LINKS)
TORCH_FLAG :=
else
TORCH_FLAG := --torch-backend $(TORCH)
endif

.PHONY: help setup data run plan test test-long fuzz check fmt compile lock bench bench-peers images images-load test-images manifests check-manifests cluster secrets deploy connect undeploy clean

help:  ## Show this list
	@echo "Noria: new data turns the wheel; a model goes up only when the gates say that it is not worse."; echo
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 26

setup: $(STAMP)  ## Make .venv with the pinned dependencies and the project in it

$(BIN)/python:
	@if command -v uv >/dev/null; then uv venv --quiet --seed --python $(PYTHON) $(VENV); \
	else $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "make setup: $(PYTHON) cannot make a virtual environment: apt-get install python3.11-venv, or install uv" >&2; exit 1; }; fi

# `install`, not `sync`: where torch is not the CPU build it brings libraries that the lock file does not name.
$(STAMP): requirements/dev.txt pyproject.toml | $(BIN)/python
	@echo "Installing the pinned dependencies into $(VENV)"
	@command -v uv >/dev/null || $(BIN)/python -m pip install --quiet "$$(grep '^uv==' requirements/dev.txt)"
	@PATH="$(CURDIR)/$(BIN):$$PATH" uv pip install --quiet --python $(BIN)/python --compile-bytecode $(TORCH_FLAG) -r requirements/dev.txt
	@PATH="$(CURDIR)/$(BIN):$$PATH" uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m compileall -q src components pipelines serving feature_repo
	@touch $@

data: setup  ## Bring the data set of TASK (fashion): a Debian package where there is one, else a download
	@$(BIN)/noria datasets --fetch $(TASK)

run: data  ## Run the main job end to end: ingest, validate, train, evaluate, gates, deploy, predict (ARGS="--param seed=2")
	@$(BIN)/noria run --task $(TASK) --env $(ENV) $(ARGS)

plan: setup  ## Show the pipeline's graph, parameters and cost without running it
	@$(BIN)/noria plan --task $(TASK) --env $(ENV) $(ARGS)

test: setup  ## Run the test suite, but for what `make test-long` and `make test-images` run
	@$(BIN)/python -m pytest -n 2 --dist loadgroup $(ARGS)

test-long: setup  ## Kill runs, alter and lose what they keep, fill disks, break lines; release on a Kubernetes API
	@$(BIN)/python -m pytest -n 2 --dist loadgroup tests/faults tests/cluster_api $(ARGS)

fuzz: setup  ## Fuzz the predictor's parsers for ten minutes (ARGS="--seconds 60")
	@$(BIN)/python -m fuzz $(ARGS)

check: setup  ## Lint, types, import contracts
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@PYTHONPATH=. $(BIN)/lint-imports --no-cache

fmt: setup  ## Format the code and mend what can be mended
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

compile: setup  ## Compile the pipeline, and the gRPC service's description, after a change of them
	@$(BIN)/python -W ignore -m pipelines.compiling
	@$(BIN)/python -m grpc_tools.protoc -Iserving/rpc --descriptor_set_out=serving/rpc/inference.binpb serving/rpc/inference.proto

lock: setup  ## Pin the dependencies of each role again
	@for role in dev serving steps features; do $(BIN)/uv pip compile --quiet --upgrade --no-emit-index-url --no-emit-find-links --no-annotate \
	  --no-header --python-version 3.11 $$([ $$role = dev ] || echo --constraint requirements/dev.txt) --extra $$role pyproject.toml -o requirements/$$role.txt; done
	@sed -i 's/+cpu$$//' requirements/*.txt

bench: setup  ## Measure what the documents claim; writes bench/RESULTS.md (ARGS="--only steps,command")
	@$(BIN)/python -m bench $(ARGS)

bench-peers: .bench/feast/.installed | $(STAMP)  ## Make the environments of the programs that Noria is measured against
	@$(BIN)/python -m bench.peers

.bench/feast/.installed: | $(STAMP)
	@$(BIN)/uv venv --quiet --clear --python $(PYTHON) .bench/feast
	@$(BIN)/uv pip install --quiet --python .bench/feast/bin/python --compile-bytecode feast==0.67.0
	@touch $@

images:  ## Build the image of every role, each with a list of what it holds (STEPS_TORCH=cu130 for GPUs)
	@BUILD_FLAGS="$(BUILD_FLAGS)" STEPS_TORCH="$(STEPS_TORCH)" images/build.sh

images-load:  ## Put the images, and those of dev's services, into this machine's kind or minikube cluster (CLUSTER=noria)
	@CLUSTER="$(CLUSTER)" images/load.sh

test-images: setup  ## Build the images and test them as containers; needs Docker and ten minutes
	@BUILD_FLAGS="$(BUILD_FLAGS)" $(BIN)/python -m pytest tests/images --timeout 1500 $(ARGS)

manifests: setup  ## Render manifests/dev, qa and prod from the chart, after a change of helm/
	@$(BIN)/python -m helm.render

check-manifests: .checkov/.installed  ## Let checkov look at the manifests for what is not hardened
	@.checkov/bin/checkov --skip-download --directory manifests --framework kubernetes --quiet --compact

.checkov/.installed: | $(STAMP)
	@$(BIN)/uv venv --quiet --clear --python $(PYTHON) .checkov
	@$(BIN)/uv pip install --quiet --python .checkov/bin/python checkov==3.3.30
	@touch $@

cluster: setup  ## Make a kind cluster with Kubeflow Pipelines and KServe, or install them (CLUSTER=here); needs Docker and the internet
	@PATH="$$PATH:$(CURDIR)/$(BIN)" BIN=$(BIN) helm/make-cluster $(or $(CLUSTER),noria)

secrets: setup  ## Make the Secrets that the objects of ENV refer to, as far as they are missing
	@PATH="$$PATH:$(CURDIR)/$(BIN)" $(BIN)/python -m helm.credentials $(ENV)

deploy: setup  ## Bring the manifests of ENV, and missing Secrets, into the cluster of KUBECONFIG
	@PATH="$$PATH:$(CURDIR)/$(BIN)" BIN=$(BIN) helm/deploy $(ENV)

connect: setup  ## Lead the ways into the cluster to this machine, until Ctrl-C: `noria status`, submit, rollback (SIGN=1) work on it
	@PATH="$$PATH:$(CURDIR)/$(BIN)" SIGN="$(SIGN)" $(BIN)/python -m helm.connect $(ENV)

undeploy: setup  ## Take it all out of the cluster again, but for Kubeflow Pipelines and the keys beside it (ALL=1: these too; YES=1)
	@PATH="$$PATH:$(CURDIR)/$(BIN)" BIN=$(BIN) ALL="$(ALL)" YES="$(YES)" helm/undeploy $(ENV)

clean:  ## Remove the environment and all that Noria keeps in this folder (.noria)
	@rm -rf $(VENV) .noria
