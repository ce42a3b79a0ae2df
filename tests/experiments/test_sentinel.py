import pytest
from ml_collections import ConfigDict

from experiments.sentinel import Collapsed, Sentinel


def settings(**changed):
    return ConfigDict({"diversity": 0.2, "accuracy": 0.99, "patience": 30, "stop": False} | changed)


def metrics(diversity=0.9, real=0.8, fake=0.8):
    return {
        "generator/diversity": diversity,
        "discriminator/accuracy_real": real,
        "discriminator/accuracy_fake": fake,
    }


def look(sentinel, *seen):
    return [sentinel.look(10 * (index + 1), one) for index, one in enumerate(seen)]


def test_a_collapse_is_said_once_when_it_has_lasted():
    said = look(Sentinel(settings(), 10), *[metrics(0.1)] * 6)
    assert [bool(sentence) for sentence in said] == [False, False, True, False, False, False]
    assert "Step 30" in said[2]
    assert "collapsed" in said[2]
    assert "0.100" in said[2]


def test_a_healthy_step_starts_the_count_anew():
    said = look(Sentinel(settings(), 10), metrics(0.1), metrics(0.1), metrics(), *[metrics(0.1)] * 3)
    assert [bool(sentence) for sentence in said] == [False] * 5 + [True]


def test_the_discriminators_victory_needs_both_sides():
    assert not any(look(Sentinel(settings(), 10), *[metrics(real=1.0, fake=0.5)] * 4))
    assert "discriminator has won" in look(Sentinel(settings(), 10), *[metrics(real=1.0, fake=1.0)] * 3)[2]


def test_stopping_is_the_configs_choice():
    with pytest.raises(Collapsed, match="collapsed") as stopped:
        look(Sentinel(settings(stop=True), 10), metrics(), *[metrics(0.0)] * 3)
    assert stopped.value.began == 10
