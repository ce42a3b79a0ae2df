import jax.numpy as jnp
import numpy as np
import pytest

from experiments import runs, scoring
from experiments.configs import inpainting
from gans.core import Gan, new_state


def test_accuracy_counts_each_real_example_once(monkeypatch):
    config = inpainting.get_config("tiny")
    count = 7  # not a multiple of the batch, so that the last one is filled up
    monkeypatch.setattr(scoring, "BATCH", 4)
    test = {"image": np.zeros((count, 28, 28, 1), np.uint8), "label": np.arange(count)}

    def evaluate(state, batch, key):
        return {
            "correct_all": batch["label"] >= 0,
            "correct_last": batch["label"] == count - 1,
            "verdict": batch["label"],
        }

    gan = Gan(None, {}, None, lambda count: {"image": None}, evaluate)
    found = scoring.scores(config, gan, new_state({}), {"judge": {"sha256": "abc", "path": "x"}}, test)
    assert found.keys() == {"accuracy_all", "accuracy_last"}
    assert found["accuracy_all"]["value"] == 100
    assert found["accuracy_last"]["value"] == pytest.approx(100 / 7, abs=1e-6)
    assert "7 pictures" in found["accuracy_all"]["protocol"]
    assert "judge abc" in found["accuracy_all"]["protocol"]


def test_the_table_says_what_a_day_of_digits_means():
    # The document's own numbers: 74.90% and 87.82% of 21,000 digits.
    entries = {
        f"accuracy_{name}": {"value": value, "step": 5, "protocol": "p"}
        for name, value in (("masked", 74.90), ("restored", 87.82))
    }
    table = scoring.table(entries)
    assert "74.90%" in table
    assert "5,271" in table
    assert "2,558" in table


def test_scores_are_merged_by_name(tmp_path):
    scoring.write_scores(tmp_path, {"a": {"value": 1}, "b": {"value": 2}})
    scoring.write_scores(tmp_path, {"b": {"value": 3}})
    assert runs.read_json(tmp_path / "scores.json") == {"a": {"value": 1}, "b": {"value": 3}}


def test_masks_of_evaluation_are_the_same_in_every_run():
    from experiments import data

    config, other = inpainting.get_config("tiny"), inpainting.get_config("tiny,document")
    other.seed = 9
    test = {"image": np.full((5, 28, 28, 1), 200, np.uint8), "label": np.arange(5)}
    masks = [next(data.evaluation_batches(c, test, 5))["mask"] for c in (config, other)]
    np.testing.assert_array_equal(*masks)
    assert len({mask.tobytes() for mask in masks[0]}) > 1
    assert jnp.all(masks[0].sum((1, 2, 3)) == 64)
