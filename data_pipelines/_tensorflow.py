"""The one place that imports TensorFlow: quiet, and blind to accelerators, which belong to JAX."""

import contextlib
import os


def import_tensorflow():
    """Returns the module `tensorflow`, its log silenced and every accelerator hidden from it."""
    # Read once, when TensorFlow's library is loaded; the user's own settings win. oneDNN announces itself
    # whatever the log level, and feeding has no use for it.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")
    # Refused once TensorFlow runs: then the program around us chose its devices before, and they are its own.
    with contextlib.suppress(RuntimeError):
        for kind in ("GPU", "TPU"):
            tf.config.set_visible_devices([], kind)
    return tf
