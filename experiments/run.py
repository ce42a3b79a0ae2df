r"""Trains a GAN from a config; starting again in the same workdir goes on from the last checkpoint.

    python -m experiments.run --config=experiments/configs/inpainting.py --workdir=runs/digits
    python -m experiments.run --config=experiments/configs/inpainting.py:document,mnist --workdir=runs/document \
        --config.optimizers.adversarial.generator.learning_rate=1e-4
"""

import os
import sys
from pathlib import Path

from absl import flags
from ml_collections import config_flags

from experiments import checkpoints, logs, train
from experiments.commands import default_workdir, define_config, fail, start
from experiments.sentinel import Collapsed

CONFIG = define_config()
WORKDIR = flags.DEFINE_string("workdir", None, "The run's folder; by default runs/CONFIG-PRESETS.")
INIT_FROM = flags.DEFINE_string("init_from", None, "Workdir of another run whose networks a new run starts with.")


def main() -> int:
    train.keep_bits(CONFIG.value, os.environ)
    config = config_flags.get_config_filename(flags.FLAGS["config"])
    workdir = Path(WORKDIR.value) if WORKDIR.value else default_workdir(config)
    try:
        print(train.train(CONFIG.value, workdir, INIT_FROM.value and Path(INIT_FROM.value)))
    except (logs.Diverged, Collapsed) as error:
        fail(f"{error} The last good checkpoint is kept in {workdir / 'checkpoints'}.", status=1)
    except checkpoints.Unsaved as error:
        fail(f"{error} Those before it are whole; when that is mended, the same command goes on from them.", status=1)
    except train.Interrupted as interrupted:
        print(f"{interrupted}; the same command goes on from here.", file=sys.stderr)
        return interrupted.status
    return 0


if __name__ == "__main__":
    start(main)
