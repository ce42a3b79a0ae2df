"""The walls between the rooms."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LIBRARY = {"jax", "flax", "optax", "numpy", "scipy", "dm_pix", "gans"}
FAMILIES = {path.parent.name for path in (ROOT / "gans").glob("*/gan.py")}


def imported(path):
    """(top package, whole name) of everything that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        yield from ((name.split(".")[0], name) for name in names)


def files(room):
    return sorted((ROOT / room).rglob("*.py"))


@pytest.mark.parametrize("path", files("gans"), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_library_needs_little_and_looks_down_only(path):
    for top, name in imported(path):
        assert top in LIBRARY or top in sys.stdlib_module_names, name


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_families_do_not_know_each_other(family):
    for path in files(f"gans/{family}"):
        for _, name in imported(path):
            assert name.split(".")[:2] not in [["gans", other] for other in FAMILIES - {family}], name


@pytest.mark.parametrize("path", files("data_pipelines"), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_pipelines_know_neither_jax_nor_the_other_rooms(path):
    assert not {top for top, _ in imported(path)} & {"jax", "flax", "optax", "gans", "experiments"}


def test_orbax_is_known_to_one_file():
    users = {path for path in files("experiments") if "orbax" in {top for top, _ in imported(path)}}
    assert {path.name for path in users} == {"checkpoints.py"}


@pytest.mark.parametrize(
    ("modules", "absent"),
    [
        ("gans, gans.inpainting, gans.parallel, gans.frozen.digits", "tensorflow orbax ml_collections experiments"),
        ("experiments.train, experiments.sample, experiments.describe", "tensorflow tensorflow_datasets"),
    ],
)
def test_what_an_import_brings(modules, absent):
    check = (
        f"import sys, {modules}; found = set(sys.modules) & set({absent.split()}); sys.exit(str(found) if found else 0)"
    )
    subprocess.run([sys.executable, "-c", check], check=True, cwd=ROOT)
