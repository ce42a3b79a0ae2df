# `make run` and `make test` each do the whole set-up on a fresh machine. PYTHON=python3.12 chooses another interpreter.
PYTHON ?= python3
VENV ?= $(if $(filter python3,$(PYTHON)),.venv,.venv-$(notdir $(PYTHON)))
RUN ?= runs/digits

.PHONY: install run test test-faults lint clean

install: $(VENV)/installed

run: install
	$(VENV)/bin/python -m experiments.run --config=experiments/configs/inpainting.py --workdir=$(RUN)

test: $(VENV)/installed-test
	$(VENV)/bin/python -m pytest -n 3 --dist loadscope --no-loadscope-reorder --ignore=tests/faults

# What takes minutes: faults, again and again, and many more damaged files, configs and command lines.
test-faults: $(VENV)/installed-test
	$(VENV)/bin/python -m pytest -s tests/faults
	$(VENV)/bin/python -m pytest tests/fuzz --hypothesis-profile=thorough

lint: $(VENV)/installed-test
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

clean:
	rm -rf .venv .venv-* build *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.venv*' -exec rm -rf {} +

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# pip's time, downloads included, is printed apart from the job's.
$(VENV)/installed: setup.cfg pyproject.toml | $(VENV)/bin/python
	@start=$$(date +%s); $(VENV)/bin/pip install --quiet --editable '.[digits5k]' && touch $@ \
		&& echo "Downloaded and installed in $$(($$(date +%s) - start)) s."

$(VENV)/installed-test: setup.cfg pyproject.toml | $(VENV)/bin/python
	@start=$$(date +%s); $(VENV)/bin/pip install --quiet --editable '.[test]' && touch $@ $(VENV)/installed \
		&& echo "Downloaded and installed in $$(($$(date +%s) - start)) s."
