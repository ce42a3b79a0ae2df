import datetime

import numpy as np
import pytest

from data_pipelines import ages


def datenum(year, month, day):
    """MATLAB's serial date number: 1 is the first of January of the year 0."""
    return datetime.date(year, month, day).toordinal() + 366


def test_matlabs_own_example():
    assert datenum(2000, 1, 1) == 730_486


@pytest.mark.parametrize(
    ("age", "group"),
    [(1, "0-18"), (18, "0-18"), (19, "19-29"), (29, "19-29"), (30, "30-39"), (39, "30-39"), (40, "40-49")]
    + [(49, "40-49"), (50, "50-59"), (59, "50-59"), (60, "60+"), (116, "60+"), (18.5, "19-29")],
)
def test_groups(age, group):
    assert ages.GROUPS[ages.groups(age)] == group


def test_groups_of_many():
    found = ages.groups(np.arange(12).reshape(3, 4) * 10)
    assert (found.dtype, found.shape) == (np.int64, (3, 4))
    assert found.tolist() == [[0, 0, 1, 2], [3, 4, 5, 5], [5, 5, 5, 5]]


@pytest.mark.parametrize(
    ("birth", "year", "age"),
    [
        (datenum(1981, 5, 5), 2009, 28),
        (datenum(1981, 6, 30), 2009, 28),
        (datenum(1981, 7, 1), 2009, 27),
        (datenum(1981, 12, 31) + 0.75, 2009.0, 27),
        (datenum(2010, 1, 1), 2009, -1),
        (47, 2009, None),  # before Python's calendar
        (np.nan, 2009, None),
        (datenum(1981, 5, 5), np.inf, None),
        (1e300, 2009, None),
    ],
)
def test_age_at_the_photograph(birth, year, age):
    assert ages.at_photo(birth, year) == age
