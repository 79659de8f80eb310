"""The roofline: the least time that a network needs on a machine, run one operator after the other.

An operator (a convolution, linear map, matrix product or norm) takes at least as long as its operations at the rate
that the machine has for them, and as reading its arguments and writing its result once at its rate for bytes. Sums and
activations are taken to happen while an operator beside them has the map at hand, and fused attention writes no matrix.
Maps that stay in a cache between two operators are not moved at all: where a cache is large, less time than this is
possible.
"""
from collections.abc import Sequence

from .complexity import Operator


def flops_of(operator: Operator, training: bool) -> float:
    """Floating-point operations, two a multiply-add; a training step is three forward passes."""
    return 2. * operator.flops * (3 if training else 1)


def bytes_of(operator: Operator, itemsize: int, training: bool) -> float:
    """Bytes that it reads and writes.

    Its backward pass reads what the forward pass read and the gradient of the result, and writes the gradients of what
    the forward pass read. What the optimiser moves is not in it.

    Args:
        operator: One of :func:`mmuniformer.analysis.count`.
        itemsize: Bytes of a number.
        training: Whether it runs forward and backward.
    """
    return itemsize * (3. * operator.read + 2. * operator.written if training else operator.read + operator.written)


def least_seconds(operators: Sequence[Operator], itemsize: int, training: bool, flops_per_second: float,
                  bytes_per_second: float) -> float:
    """Sum over operators of the longer of the two times."""
    return sum(max(flops_of(each, training) / flops_per_second, bytes_of(each, itemsize, training) / bytes_per_second)
               for each in operators)
