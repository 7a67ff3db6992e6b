"""Dropout's masks, drawn where the network lives."""

from __future__ import annotations

import math

from kdlearn.backend import Array, array_module, to_device


class DropoutMasks:
    """Dice for `Dropout` that are rolled on a device, for one network or for all members of a stack together.

    With a NumPy Generator the masks are drawn on the host, and a CPU and a GPU see the same ones; a GPU waits for
    them. Where that does not matter: `train_step(…, rng=DropoutMasks(0, "cuda"))`.

    Parameters
    ----------
    seed : of the masks, which differ from one kind of device to the other.
    device : `"cpu"` or `"cuda"`.
    ahead : numbers that are drawn at a time, of 4 bytes each.

    Example
    -------
    >>> DropoutMasks(seed=0).keep((2, 1000), rate=0.2).mean().round(1)
    np.float64(0.8)
    """

    def __init__(self, seed: int = 0, device: str = "cpu", ahead: int = 1 << 22) -> None:
        generator = array_module(to_device([], device)).random.default_rng(seed)
        self._draw, self._ahead = generator.random, ahead
        self._left: Array = []

    def keep(self, shape: tuple[int, ...], rate: float) -> Array:
        """Booleans of this shape on the device, each True with probability 1 - rate."""
        n = math.prod(shape)
        if n > len(self._left):
            self._left = self._draw(max(n, self._ahead), dtype="float32")
        drawn, self._left = self._left[:n], self._left[n:]
        return drawn.reshape(shape) >= rate
