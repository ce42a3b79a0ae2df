import numpy as np
import pytest
from ml_collections import ConfigDict

from experiments import people_judge
from experiments.commands import UsageError


def test_pairs_are_two_photographs_of_each_person():
    identity = np.random.default_rng(0).permutation(np.repeat([7, 3, 9, 5], [4, 2, 1, 3]))
    batches = people_judge.pairs(identity, 5, np.random.default_rng(1))
    met = set()
    for _ in range(50):
        rows = next(batches)
        one, other = rows.reshape(2, 2)
        assert (identity[one] == identity[other]).all()
        assert (one != other).all()
        assert len({*identity[one]}) == 2
        met |= {*rows.tolist()}
    assert met == {*np.flatnonzero(identity != 9).tolist()}
    assert len(next(people_judge.pairs(identity, 100, np.random.default_rng(1)))) == 6


def test_persons_with_one_photograph_each_are_refused():
    with pytest.raises(UsageError, match="no person of this data set has two"):
        people_judge.trained(ConfigDict(), {"identity": np.arange(5)})
