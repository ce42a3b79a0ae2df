import numpy as np
import pytest

from experiments import set_scores as set_scores_module
from experiments.set_scores import set_scores
from gans.scores import kernel

RANDOM = np.random.default_rng(0)


def seen(count, generated, features=4, classes=5):
    """What a judge saw: features around the class' own place, and sure verdicts."""
    real = RANDOM.integers(0, classes, count)
    found = {"real_verdict": real, "generated_verdict": generated}
    for name, verdicts in (("real", real), ("generated", generated)):
        places = np.eye(classes, features)[verdicts]
        found[f"{name}_features_digits"] = places + 0.1 * RANDOM.standard_normal((count, features))
        found[f"{name}_probabilities_digits"] = np.eye(classes)[verdicts]
    return found


def test_good_samples_score_better_than_a_collapse():
    good = set_scores(seen(1000, RANDOM.integers(0, 5, 1000)), ("digits",), 5)
    collapsed = set_scores(seen(1000, np.zeros(1000, int)), ("digits",), 5)
    assert good["modes_5"] == 5
    assert collapsed["modes_5"] == 1
    assert good["kl_5"] < 0.01
    assert collapsed["kl_5"] == pytest.approx(np.log(5))
    assert good["inception_score_digits"] > 4.9
    assert collapsed["inception_score_digits"] == pytest.approx(1)
    assert good["mode_score_digits"] > collapsed["mode_score_digits"]
    in_order = set_scores(seen(1000, np.sort(RANDOM.integers(0, 5, 1000))), ("digits",), 5)
    assert in_order["inception_score_digits"] > 4.9
    for name in ("fid_digits_1k", "kid_digits_1k"):
        assert abs(good[name]) < 0.01 < collapsed[name]
    for name in ("recall_digits_1k", "coverage_digits_1k"):
        assert good[name] > 0.9 > collapsed[name]


def test_a_distance_that_needs_more_pictures_is_left_out():
    found = set_scores(seen(100, np.arange(100) % 5, features=200), ("digits",), 5)
    assert "fid_digits_100" not in found
    assert "kid_digits_100" in found


def test_verdicts_alone_give_modes_and_label_accuracy():
    verdicts = np.arange(1000)
    found = set_scores(
        {"real_verdict": verdicts, "generated_verdict": verdicts, "generated_right": verdicts < 950}, ("digits",), 1000
    )
    assert found == {"modes_1000": 1000.0, "kl_1000": pytest.approx(0), "label_accuracy_digits": 95.0}


def test_each_network_gives_scores_of_its_own():
    once = seen(200, RANDOM.integers(0, 5, 200))
    once |= {name.replace("digits", "inception"): value for name, value in once.items()}
    found = set_scores(once, ("digits", "inception"), 5)
    assert found["fid_inception_200"] == found["fid_digits_200"]
    assert found["inception_score_inception"] == found["inception_score_digits"]


def test_the_kernel_distance_of_many_pictures_is_over_subsets(monkeypatch):
    monkeypatch.setattr(set_scores_module, "SUBSET", 150)
    once = seen(200, RANDOM.integers(0, 5, 200))
    features = once["real_features_digits"], once["generated_features_digits"]
    expected = kernel.kernel_distance(*features, subset_size=150)[0]
    assert set_scores(once, ("digits",), 5)["kid_digits_200"] == expected
