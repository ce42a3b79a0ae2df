"""How much arithmetic a function is."""

import math
from collections.abc import Callable

import jax


def products(function: Callable, *arguments) -> int:
    """Floating-point operations in the products of matrices and the convolutions of one call.

    As the function is written for this platform, so products with zeros count where it makes them. Bodies of scans
    count as often as they run, where XLA's own count has them once; of branches the one with the most counts, and the
    body of a loop of unknown length once.

    Args:
      function: of arrays.
      *arguments: arrays, or `jax.ShapeDtypeStruct`s in their places.
    """
    return _of_jaxpr(jax.make_jaxpr(function)(*arguments).jaxpr)


def _of_jaxpr(jaxpr) -> int:
    found, needed = 0, set(map(id, jaxpr.outvars))
    for equation in reversed(jaxpr.eqns):
        # What nobody asks for, gradients with respect to frozen kernels say, is not computed.
        if not needed.isdisjoint(map(id, equation.outvars)):
            needed.update(map(id, equation.invars))
            found += _of_equation(equation)
    return found


def _of_equation(equation) -> int:
    name, params = equation.primitive.name, equation.params
    if name == "dot_general":
        (contracted, _), _ = params["dimension_numbers"]
        return 2 * equation.outvars[0].aval.size * math.prod(equation.invars[0].aval.shape[i] for i in contracted)
    if name == "conv_general_dilated":
        kernel = equation.invars[1].aval
        features = kernel.shape[params["dimension_numbers"].rhs_spec[0]]
        return 2 * equation.outvars[0].aval.size * kernel.size // features
    inner = [
        _of_jaxpr(getattr(leaf, "jaxpr", leaf)) for leaf in jax.tree.leaves(tuple(params.values())) if _holds(leaf)
    ]
    return max(inner, default=0) if name == "cond" else params.get("length", 1) * sum(inner)


def _holds(leaf) -> bool:
    return hasattr(leaf, "eqns") or hasattr(leaf, "jaxpr")
