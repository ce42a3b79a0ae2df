"""Numbers that stay, unless somebody means to change what a step computes."""

import numpy as np


def assert_golden(metrics, golden, tolerance):
    """Checks that the metrics of a step are these and no others, to a relative tolerance."""
    assert metrics.keys() == golden.keys()
    for name, value in golden.items():
        np.testing.assert_allclose(metrics[name], value, rtol=tolerance, err_msg=name)
