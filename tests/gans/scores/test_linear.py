import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from gans.scores import linear


def examples(count=300, size=6, classes=4):
    random = np.random.default_rng(0)
    features = random.standard_normal((count, size)).astype(np.float32)
    scores = features @ random.standard_normal((size, classes)) + random.gumbel(size=(count, classes))
    return features, scores.argmax(1)


@pytest.mark.parametrize("l2", [1e-3, 1e-1])
def test_the_weights_are_those_of_scikit_learn(l2):
    features, labels = examples()
    sample_weight = np.linspace(0.5, 1.5, len(labels)).astype(np.float32)
    found = linear.fit(features, labels, 4, l2, sample_weight, tolerance=1e-6)
    theirs = LogisticRegression(C=1 / (l2 * len(labels)), tol=1e-10, max_iter=10_000)
    theirs.fit(features, labels, sample_weight)
    np.testing.assert_allclose(found.kernel, theirs.coef_.T, atol=1e-3)
    np.testing.assert_allclose(found.bias, theirs.intercept_, atol=1e-3)
    their_weights = linear.Weights(theirs.coef_.T.astype(np.float32), theirs.intercept_.astype(np.float32))
    best = float(linear.loss(their_weights, features, labels, sample_weight, l2))
    assert float(linear.loss(found, features, labels, sample_weight, l2)) == pytest.approx(best, abs=1e-6)
    np.testing.assert_array_equal(linear.predict(found, features), theirs.predict(features))
    again = linear.fit(features, labels, 4, l2, sample_weight, tolerance=1e-6)
    np.testing.assert_array_equal(found.kernel, again.kernel)


@pytest.mark.parametrize("l2", [1e-3, 1e-1])
def test_with_hinges_it_is_a_linear_support_vector_machine(l2):
    features, labels = examples()
    found = linear.fit(features, labels, 4, l2, np.ones(len(labels), np.float32), tolerance=1e-6, hinge=True)
    # Theirs regularises the bias, which a feature of 1,000 in its place all but undoes.
    theirs = LinearSVC(C=1 / (l2 * len(labels)), tol=1e-10, max_iter=100_000, dual=False, intercept_scaling=1e3)
    theirs.fit(features, labels)
    np.testing.assert_allclose(found.kernel, theirs.coef_.T, atol=2e-3)
    np.testing.assert_allclose(found.bias, theirs.intercept_, atol=2e-3)
    np.testing.assert_array_equal(linear.predict(found, features), theirs.predict(features))
    assert linear.accuracy(features[:200], labels[:200], features[200:], labels[200:], hinge=True) > 0.6


def test_accuracy_of_what_can_and_what_cannot_be_told_apart():
    random = np.random.default_rng(1)
    labels = np.arange(120) % 3
    # Sides of any scale and place, and a feature that never varies.
    apart = 100 * np.eye(3)[labels] + random.standard_normal((120, 3)) + 1000
    features = np.concatenate([apart, np.full((120, 1), 0.3)], 1).astype(np.float32)
    assert linear.accuracy(features[:90], labels[:90], features[90:], labels[90:]) == 1
    noise = random.standard_normal((120, 4)).astype(np.float32)
    assert linear.accuracy(noise[:90], labels[:90], noise[90:], labels[90:]) < 0.7


def test_the_strength_is_chosen_on_held_out_examples_and_used_for_all(monkeypatch):
    calls = []

    def fit(features, labels, classes, l2, sample_weight, hinge):
        calls.append((int(sample_weight.sum()), l2))
        sign = 1.0 if l2 in (1e-3, 1e-2) else -1.0
        return linear.Weights(np.array([[-sign, sign]]), np.zeros(2))

    monkeypatch.setattr(linear, "fit", fit)
    labels = np.arange(50) % 2
    features = (labels - 0.5)[:, None].astype(np.float32)
    assert linear.accuracy(features, labels, features, labels) == 1
    assert sorted(calls[:-1]) == [(45, l2) for l2 in linear.STRENGTHS]
    assert calls[-1] == (50, 1e-2)  # the stronger of the two that are right


@pytest.mark.parametrize(
    ("train", "labels", "message"),
    [
        (np.zeros((4, 2)), np.arange(3), r"\(4, 2\) and labels \(3,\)"),
        (np.full((4, 2), np.nan), np.arange(4), "not finite"),
        (np.zeros((4, 2)), np.zeros(4, int), "one label"),
    ],
)
def test_what_cannot_be_classified(train, labels, message):
    with pytest.raises(ValueError, match=message):
        linear.accuracy(train, labels, train, labels)
