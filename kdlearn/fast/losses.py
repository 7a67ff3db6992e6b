"""Value and gradient of each row in one launch, a block a row."""

from __future__ import annotations

from kdlearn.backend import Array, array_module
from kdlearn.checks import check_labels, check_logits, check_share, check_temperature
from kdlearn.fast.launch import launch


def cross_entropy(z: Array, y: Array, smoothing: float = 0.0, ignore: int | None = None) -> tuple[Array, ...]:
    """The rows of `kdlearn.distill.response.cross_entropy`."""
    check_logits(z)
    check_labels(z, y, ignore)
    check_share("smoothing", smoothing)
    xp = array_module(z, y)
    if ignore is None:
        return _rows("cross_entropy", z, xp.ascontiguousarray(y.astype("int64", copy=False)), float(smoothing))
    counts = (y != ignore).astype(z.dtype)
    labels = xp.where(y != ignore, y, 0).astype("int64", copy=False)
    rows, dz = _rows("cross_entropy", z, labels, float(smoothing))
    return counts * rows, counts[:, None] * dz, counts


def soft_targets(z_s: Array, z_t: Array, T: float = 4.0) -> tuple[Array, Array]:
    """The rows of `kdlearn.distill.response.soft_targets`."""
    T = check_temperature(T)
    check_logits(z_s, z_t)
    z_t = array_module(z_s, z_t).ascontiguousarray(z_t.astype(z_s.dtype, copy=False))
    return _rows("soft_targets", z_s, z_t, float(T))


def _rows(kernel: str, z: Array, beside: Array, setting: float) -> tuple[Array, Array]:
    """`(rows (N,), dz (N, K))` of a kernel that takes the logits, one more array and one number."""
    xp = array_module(z)
    N, K = z.shape
    z = xp.ascontiguousarray(z)
    rows, dz = xp.empty(N, z.dtype), xp.empty((N, K), z.dtype)
    threads = 32
    while threads < min(K, 512):
        threads *= 2
    launch(kernel, N, threads, z, z, beside, K, setting, rows, dz)
    return rows, dz
