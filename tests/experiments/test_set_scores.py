import numpy as np
import pytest

from experiments.set_scores import set_scores

RANDOM = np.random.default_rng(0)


def seen(count, generated, features=4, classes=5):
    """What a judge saw: features around the class' own place, and sure verdicts."""
    real = RANDOM.integers(0, classes, count)
    found = {"real_verdict": real, "generated_verdict": generated}
    for name, verdicts in (("real", real), ("generated", generated)):
        places = np.eye(classes, features)[verdicts]
        found[f"{name}_features"] = places + 0.1 * RANDOM.standard_normal((count, features))
        found[f"{name}_probabilities"] = np.eye(classes)[verdicts]
    return found


def test_good_samples_score_better_than_a_collapse():
    good = set_scores(seen(1000, RANDOM.integers(0, 5, 1000)), "digits", 5)
    collapsed = set_scores(seen(1000, np.zeros(1000, int)), "digits", 5)
    assert good["modes_5"] == 5
    assert collapsed["modes_5"] == 1
    assert good["kl_5"] < 0.01
    assert collapsed["kl_5"] == pytest.approx(np.log(5))
    assert good["inception_score_digits_1k"] > 4.9
    assert collapsed["inception_score_digits_1k"] == pytest.approx(1)
    assert good["mode_score_digits_1k"] > collapsed["mode_score_digits_1k"]
    for name in ("fid_digits_1k", "kid_digits_1k"):
        assert abs(good[name]) < 0.01 < collapsed[name]
    for name in ("recall_digits_1k", "coverage_digits_1k"):
        assert good[name] > 0.9 > collapsed[name]


def test_a_distance_that_needs_more_pictures_is_left_out():
    found = set_scores(seen(100, np.arange(100) % 5, features=200), "digits", 5)
    assert "fid_digits_100" not in found
    assert "kid_digits_100" in found


def test_verdicts_alone_give_modes_and_label_accuracy():
    verdicts = np.arange(1000)
    found = set_scores(
        {"real_verdict": verdicts, "generated_verdict": verdicts, "generated_right": verdicts < 950}, "digits", 1000
    )
    assert found == {"modes_1000": 1000.0, "kl_1000": pytest.approx(0), "label_accuracy_digits": 95.0}
