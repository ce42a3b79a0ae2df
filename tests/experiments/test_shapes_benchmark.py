"""The table of shapes beside training and held-out ones."""

import numpy as np
import pytest

from data_pipelines import solids
from experiments.configs import gan3d, vanilla
from tests.experiments import programs, untrained


@pytest.fixture(scope="module")
def workdirs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shapes")
    volumes = np.stack([solids.solid(0, i, 32) for i in range(17)])[..., None]
    sets = {"train_image": volumes[:12], "test_image": volumes[12:], "train_label": np.zeros(12, np.int64)}
    np.savez(folder / "some.npz", test_label=np.zeros(5, np.int64), **sets)
    found = []
    for seed in (0, 1):
        config = gan3d.get_config("meshes,tiny")
        config.seed, config.data.path = seed, str(folder / "some.npz")
        untrained.write(folder / str(seed), config)
        found.append(folder / str(seed))
    return found


def test_the_table(workdirs):
    done = programs.call("benchmarks.shapes", *workdirs, "--draws=3")
    assert done.returncode == 0, done.stderr
    assert "12 training volumes, sets of 5, 3 draws" in done.stdout
    table = [line.strip("| ").split(" | ") for line in done.stdout.splitlines() if line.startswith("| `")]
    values = {name.strip("`"): rest for name, *rest in table}
    for distance in ("chamfer", "iou"):
        assert {f"{score}_{distance}" for score in ("mmd", "coverage", "nna", "nearest")} <= values.keys()
    # Of two runs with the same weights, in other latents; the real ones lie nearer to each other.
    generated, held_out = (values["nearest_iou"][place].split(" ± ") for place in (0, 1))
    assert len(generated) == 2 and 0 < float(held_out[0]) < float(generated[0]) <= 1
    assert len(values["occupancy"]) == 3


def test_what_cannot_be_compared_is_told(workdirs, tmp_path):
    config = gan3d.get_config("meshes,tiny")
    config.data.path = "elsewhere.npz"
    untrained.write(tmp_path / "other", config)
    untrained.write(tmp_path / "pictures", vanilla.get_config("tiny"))
    for given, words in (
        ([], "Give the folders of finished runs."),
        ([workdirs[0], tmp_path / "other"], "has another config.data than"),
        ([tmp_path / "pictures"], "is a run of vanilla: give runs of gan3d."),
    ):
        done = programs.call("benchmarks.shapes", *given)
        assert done.returncode == 2
        assert words in done.stderr
