r"""Trains a GAN from a config; starting again in the same workdir goes on from the last checkpoint.

    python -m experiments.run --config=experiments/configs/inpainting.py --workdir=runs/digits
    python -m experiments.run --config=experiments/configs/inpainting.py:document,mnist --workdir=runs/document \
        --config.optimizers.adversarial.generator.learning_rate=1e-4

On several hosts the same on each, with its own number; tasks of SLURM or Open MPI and TPU pods need no flags:

    python -m experiments.run --config=... --workdir=SHARED --coordinator=node0:29500 --processes=2 --process=0
"""

import os
import sys
from pathlib import Path

from absl import flags
from ml_collections import config_flags

from experiments import checkpoints, hosts, logs, train
from experiments.commands import Failure, default_workdir, define_config, start
from experiments.sentinel import Collapsed

CONFIG = define_config()
WORKDIR = flags.DEFINE_string("workdir", None, "The run's folder; by default runs/CONFIG-PRESETS.")
INIT_FROM = flags.DEFINE_string("init_from", None, "Workdir of another run whose networks a new run starts with.")
COORDINATOR = flags.DEFINE_string("coordinator", None, "HOST:PORT of process 0, for a run of several processes.")
PROCESSES = flags.DEFINE_integer("processes", None, "How many processes there are; 1: alone on a cluster, too.")
PROCESS = flags.DEFINE_integer("process", None, "The number of this process, counted from 0.")


def main() -> int:
    train.keep_bits(CONFIG.value, os.environ)
    config = config_flags.get_config_filename(flags.FLAGS["config"])
    workdir = Path(WORKDIR.value) if WORKDIR.value else default_workdir(config)
    with hosts.joined(COORDINATOR.value, PROCESSES.value, PROCESS.value):
        return _train(workdir)


def _train(workdir: Path) -> int:
    """The exit status."""
    try:
        hosts.tell(train.train(CONFIG.value, workdir, INIT_FROM.value and Path(INIT_FROM.value)))
    except (logs.Diverged, Collapsed) as error:
        raise Failure(f"{error} The last good checkpoint is kept in {workdir / 'checkpoints'}.") from error
    except checkpoints.Unsaved as error:
        message = "Those before it are whole; when that is mended, the same command goes on from them."
        raise Failure(f"{error} {message}") from error
    except train.Interrupted as interrupted:
        if hosts.first():
            print(f"{interrupted}; the same command goes on from here.", file=sys.stderr)
        return interrupted.status
    return 0


if __name__ == "__main__":
    start(main)
