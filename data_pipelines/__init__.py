"""Data sets as dicts of numpy arrays: reading, ordering, batching, maps over images.

Examples leave this package as `{name: numpy array}`. TensorFlow is imported when data is first read through
it, not before; digits5k, the user's own files and `loader='memory'` never need it.
"""


class DataError(ValueError):
    """A fault of the data or of what was asked of it; the message says what is wrong, where, what to do."""
