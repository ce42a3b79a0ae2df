"""Trains, resumes, samples and scores runs. `load(workdir)` gives a run's networks to any program."""

from experiments.runs import load

__all__ = ["load"]
