"""The same train steps in several frameworks: what `experiments.benchmarks.train_step` sets side by side."""
