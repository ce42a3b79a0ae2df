"""Ages in years, and the six groups that Age-cGAN tells apart (Antipov et al. 2017, arXiv 1702.01983)."""

import datetime

import numpy as np

GROUPS = ("0-18", "19-29", "30-39", "40-49", "50-59", "60+")
# The highest age of each group but the last.
_LAST = (18, 29, 39, 49, 59)
# Days from MATLAB's day 1, the first of January of the year 0, to Python's, a year later.
_MATLAB_DAYS = 366


def groups(age: np.ndarray) -> np.ndarray:
    """The group of each age in years: int64 in 0..5, of any shape; 18 is in the first, 18.5 in the second."""
    return np.searchsorted(_LAST, age, side="left").astype(np.int64)


def at_photo(birth: float, year: float) -> int | None:
    """The age in years at which somebody was photographed, as the papers on wiki_crop compute it.

    Photographs are taken to be of the middle of their year: who was born in its second half has had no birthday yet.

    Args:
      birth: the day of birth as a MATLAB serial date number.
      year: when the photograph was taken.

    Returns: None where the day or the year is no date that can be.
    """
    if not (np.isfinite(birth) and np.isfinite(year)):
        return None
    try:
        day = datetime.date.fromordinal(int(birth) - _MATLAB_DAYS)
    except (ValueError, OverflowError):
        return None
    return int(year) - day.year - (day.month > 6)
