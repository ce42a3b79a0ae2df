"""The README keeps its word."""

import re
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_the_program_in_the_readme_runs():
    (program,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    names = {}
    exec(program, names)
    assert int(names["state"].step) == 3
    assert names["restored"].shape == (8, 28, 28, 1)
    known = names["mask"] == 0
    np.testing.assert_array_equal(names["restored"][known], names["image"][known])


def test_every_command_and_file_in_the_readme_exists():
    modules = re.findall(r"python -m ([\w.]+)", README)
    assert {"experiments.run", "experiments.apply", "data_pipelines.prepare"} <= set(modules)
    for module in modules:
        path = ROOT / module.replace(".", "/")
        assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), module
    for path in re.findall(r"\]\(([\w/.]+)\)", README):
        assert (ROOT / path).is_file(), path
