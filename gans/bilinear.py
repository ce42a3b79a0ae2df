"""Functions that are linear in an image and in a kernel, with programs of their own for all derivatives."""

from collections.abc import Callable

import jax

Bilinear = Callable[[jax.Array, jax.Array], jax.Array]


def closed(forward: Bilinear, adjoint: Bilinear, plain: Bilinear | None = None) -> tuple[Bilinear, Bilinear]:
    """Both functions, each of which is the other's derivative with respect to the image.

    With the gradient with respect to the kernel, which is XLA's own of `plain`, they are closed under
    differentiation: that of whatever order is one of these three programs. XLA's own derivatives of a fast program, the
    second ones above all, need not be fast.

    Args:
      forward: (x, kernel) -> y.
      adjoint: (y, kernel) -> x, the adjoint of `forward` for that kernel.
      plain: the same as `forward`, in terms whose gradient with respect to the kernel XLA computes fast; by default
        `forward` itself.
    """
    plain = plain or forward

    @jax.custom_vjp
    def there(x, kernel):
        return forward(x, kernel)

    @jax.custom_vjp
    def back(y, kernel):
        return adjoint(y, kernel)

    def correlate(x, y, shape):
        """The gradient of <there(x, kernel), y> with respect to the kernel."""
        return jax.linear_transpose(lambda kernel: plain(x, kernel), jax.ShapeDtypeStruct(shape, x.dtype))(y)[0]

    correlate = jax.custom_vjp(correlate, nondiff_argnums=(2,))
    there.defvjp(
        lambda x, kernel: (there(x, kernel), (x, kernel)),
        lambda saved, y: (back(y, saved[1]), correlate(saved[0], y, saved[1].shape)),
    )
    back.defvjp(
        lambda y, kernel: (back(y, kernel), (y, kernel)),
        lambda saved, x: (there(x, saved[1]), correlate(x, saved[0], saved[1].shape)),
    )
    correlate.defvjp(
        lambda x, y, shape: (correlate(x, y, shape), (x, y)),
        lambda shape, saved, kernel: (back(saved[1], kernel), there(saved[0], kernel)),
    )
    return there, back
