"""What generated samples are worth, as numbers: pure functions of features, probabilities or labels on the host.

NumPy arrays in, float64 out; only `linear` and `images`, which scores pictures beside their originals, compute in JAX.
The networks that make features and labels are in `gans.frozen`.
"""
