"""Distillation without the teacher's data: inputs are made by descent, through the teacher and into them.

What is made, by descent on the inputs themselves or by a generator network, is a live site; the teacher stands above
it as a frozen adaptor, so a loss of its answers has a gradient with respect to the inputs. Letters: N made rows;
z the teacher's logits for them, q = softmax(z); h one of its features. Derivation: docs/derivations/datafree.md.
"""

from __future__ import annotations

from kdlearn.backend import Array, array_module
from kdlearn.checks import check_features, check_logits, check_weight
from kdlearn.loss import across_rows, mean_over_rows
from kdlearn.nn.functional import less_at_label, softmax, softmax_backward, softmax_parts
from kdlearn.nn.module import frozen
from kdlearn.nn.network import Network
from kdlearn.nn.stack import Stack
from kdlearn.objective import Objective, Term, Through, Weight


@across_rows
def match_moments(h: Array, mean: Array, variance: Array) -> tuple[Array, Array]:
    r"""Mean and variance of each unit over the batch, against those that were stored `[datafree.1]`.

    .. math:: L = \tfrac12\|m - \mu\|^2 + \tfrac12\|v - \sigma^2\|^2, \qquad
              \frac{\partial L}{\partial h} = \frac1N\big((m - \mu) + 2\,(v - \sigma^2)\,(h - m)\big)

    with m and v the mean and the variance of a column of h.

    Parameters
    ----------
    h : (N, H) features of made rows.
    mean, variance : (H,) or (1, H), what the teacher knows of its own rows.

    Source: Yin et al. 2020, the term of feature distributions; its norms are not squared, and its moments are those
    that batch normalisation keeps.

    Example
    -------
    >>> import numpy as np
    >>> value, gradient = match_moments(np.array([[1.0], [3.0]]), np.array([1.0]), np.array([1.0]))
    >>> print(value, gradient.ravel())  # the mean is 2, not 1; the variance is right
    0.5 [0.5 0.5]
    """
    check_features(h, h)
    for name, a in (("mean", mean), ("variance", variance)):
        if a.shape not in ((h.shape[1],), (1, h.shape[1])):
            raise ValueError(f"{name} must hold one number a unit, {h.shape[1]} here, got shape {a.shape}")
    m = h.mean(axis=0)
    centred = h - m
    v = (centred * centred).mean(axis=0)
    dm, dv = m - mean, v - variance
    return 0.5 * (dm * dm).sum() + 0.5 * (dv * dv).sum(), (dm + 2 * dv * centred) / h.shape[0]


@mean_over_rows
def one_hot_loss(z: Array) -> tuple[Array, Array]:
    r"""Cross-entropy with the answer that is the largest already: the teacher shall be sure `[datafree.2]`.

    .. math:: L = -\frac1N\sum_n \log\max_k q_{nk}, \qquad
              \frac{\partial L}{\partial z} = \frac1N\,(q - e), \quad e = \mathrm{onehot}(\arg\max_k z_k)

    Of equal largest logits the first counts.

    Parameters
    ----------
    z : (N, K) logits of the teacher for made rows.

    Source: Chen et al. 2019, the one-hot loss.

    Example
    -------
    >>> import numpy as np
    >>> value, gradient = one_hot_loss(np.log([[1.0, 3.0]]))  # -log 3/4
    >>> print(round(float(value), 4), gradient.round(4))
    0.2877 [[ 0.25 -0.25]]
    """
    check_logits(z)
    u, q, c = softmax_parts(z)  # the largest u is 0, so -log of its probability is the normaliser
    return c[:, 0], less_at_label(q, u.argmax(axis=1), 1)


@mean_over_rows
def activation_loss(h: Array) -> tuple[Array, Array]:
    r"""Less the sum of the sizes of a row's features: real rows excite a network `[datafree.3]`.

    .. math:: L = -\frac1N\sum_n \|h_n\|_1, \qquad \frac{\partial L}{\partial h} = -\frac1N\,\mathrm{sign}(h)

    It has no lower bound: alone it drives the rows to infinity.

    Parameters
    ----------
    h : (N, H) features of made rows.

    Source: Chen et al. 2019, the activation loss.

    Example
    -------
    >>> import numpy as np
    >>> value, gradient = activation_loss(np.array([[2.0, 0.0, -1.0]]))
    >>> print(value, gradient)
    -3.0 [[-1. -0.  1.]]
    """
    check_features(h, h)
    xp = array_module(h)
    return -xp.abs(h).sum(axis=1), -xp.sign(h)


@across_rows
def information_entropy(z: Array) -> tuple[Array, Array]:
    r"""Less the entropy of the batch's mean answer: every class shall be made equally often `[datafree.4]`.

    .. math:: L = \sum_k \bar q_k \log\bar q_k, \qquad \bar q = \frac1N\sum_n q_n, \qquad
              \frac{\partial L}{\partial z_{nk}} = \frac{q_{nk}}{N}\Big(\log\bar q_k - \sum_j q_{nj}\log\bar q_j\Big)

    From -log K, all classes alike, to 0, one class alone.

    Parameters
    ----------
    z : (N, K) logits of the teacher for made rows.

    Source: Chen et al. 2019, the information entropy loss.

    Example
    -------
    >>> import numpy as np
    >>> value, gradient = information_entropy(np.array([[9.0, -9.0], [-9.0, 9.0]]))
    >>> print(round(float(value), 4), bool(np.abs(gradient).max() < 1e-7))  # -log 2, and nothing to mend
    -0.6931 True
    """
    check_logits(z)
    xp = array_module(z)
    q = softmax(z)
    mean = q.mean(axis=0)
    log = xp.log(xp.where(mean == 0, 1, mean))
    return (mean * log).sum(), softmax_backward(q, log / z.shape[0])


@mean_over_rows
def disagreement(z_s: Array, z_t: Array) -> tuple[Array, tuple[Array, Array]]:
    r"""Mean distance of two networks' logits, with a gradient for each `[datafree.5]`.

    .. math:: L = \frac1N\sum_n\frac1K\sum_k |z_{s,nk} - z_{t,nk}|, \qquad
              \frac{\partial L}{\partial z_s} = -\frac{\partial L}{\partial z_t} = \frac1{NK}\,\mathrm{sign}(z_s - z_t)

    Where they agree there is a kink, and the sign is 0.

    Parameters
    ----------
    z_s, z_t : (N, K) logits of student and teacher; both are live, since both depend on the input.

    Source: Fang et al. 2019, the model discrepancy.

    Example
    -------
    >>> import numpy as np
    >>> value, (dz_s, dz_t) = disagreement(np.array([[1.0, 2.0]]), np.array([[0.0, 4.0]]))
    >>> print(value, dz_s, dz_t)
    1.5 [[ 0.5 -0.5]] [[-0.5  0.5]]
    """
    check_logits(z_s, z_t, least=1)
    xp = array_module(z_s, z_t)
    same = z_s == z_t  # what both mask is no difference
    d = xp.where(same, 0, z_s) - xp.where(same, 0, z_t)
    sign = xp.sign(d) / z_s.shape[1]
    return xp.abs(d).mean(axis=1), (sign, -sign)


# ---------------------------------------------------------------- through a teacher that does not learn


def cut(net: Network, tap: str) -> tuple[Network, Network]:
    """A network as two frozen ones: up to a tap, and from there on.

    Example
    -------
    >>> import numpy as np
    >>> from kdlearn.nn.network import MLP
    >>> net, x = MLP(4, 8, 3, seed=0), np.ones((2, 4), "float32")
    >>> below, above = cut(net, "h1")
    >>> bool(np.array_equal(above.logits(below.logits(x)), net.logits(x)))
    True
    """
    if isinstance(net, Stack):
        below, above = zip(*(cut(member, tap) for member in net))
        return Stack(below), Stack(above)
    i = net.position(tap) + 1
    if i >= len(net.layers):
        raise ValueError(f"nothing stands above the tap {tap!r}")
    parts = net.copy().layers[:i], net.copy().layers[i:]
    return tuple(frozen(Network(layers, {"logits": len(layers) - 1})) for layers in parts)  # type: ignore[return-value]


def dafl(
    teacher: Network,
    tap: str = "h1",
    activation: Weight = 0.1,
    balance: Weight = 5.0,
    images: str = "generator.logits",
) -> Objective:
    r"""What a generator of images for a teacher descends: sure, exciting, and of all classes `[datafree.6]`.

    .. math:: L = L_{\text{one-hot}}(z) + \alpha\,L_{\text{activation}}(h) + \beta\,L_{\text{entropy}}(z), \qquad
              \frac{\partial L}{\partial x} = \Big(\frac{\partial L}{\partial z}\frac{\partial z}{\partial h}
              + \alpha\,\frac{\partial L_{\text{activation}}}{\partial h}\Big)\frac{\partial h}{\partial x}

    The teacher's layers pass the gradient on and stay as they are:

        kd.train_step({"generator": G}, None, dafl(teacher), {"x": noise}, optimizer=kd.Adam(1e-3))

    Parameters
    ----------
    teacher : a network, or a stack of them; copied.
    tap : where its features h are read.
    activation, balance : alpha and beta, to be tuned: the paper's features are sums over other numbers of units.
    images : the live site that is made, for example a generator's output.

    Source: Chen et al. 2019, the total objective of the generator.
    """
    check_weight("activation", activation)
    check_weight("balance", balance)
    below, above = cut(teacher, tap)
    answers = Term(one_hot_loss, ("made.logits",)) + balance * Term(information_entropy, ("made.logits",))
    seen = activation * Term(activation_loss, ("made.h",)) + Through(above, "made.h", "made.logits", answers)
    return Through(below, images, "made.h", seen)


def adversarial(teacher: Network, student: Network, images: str = "generator.logits") -> Objective:
    r"""A generator looks for images that divide student and teacher; the student gives way `[datafree.7]`.

    .. math:: \max_G \min_S \; D = \frac1N\sum_n\frac1K\,\|z_s(x_n) - z_t(x_n)\|_1, \quad x = G(\cdot), \qquad
              \frac{\partial D}{\partial x} = \frac{\partial D}{\partial z_s}\frac{\partial z_s}{\partial x}
              + \frac{\partial D}{\partial z_t}\frac{\partial z_t}{\partial x}

    The objective is -D, which the generator descends. A student that is to learn climbs it, in the same step and at the
    same rate. The paper takes turns, several steps of the student for one of the generator: give `frozen(student)`
    here, and train the student in steps of its own.

    Parameters
    ----------
    teacher : is copied and frozen.
    student : an adaptor; moved unless it is frozen.
    images : the live site that is made, for example a generator's output.

    Source: Fang et al. 2019, generation and imitation stage.
    """
    apart = -1.0 * Term(disagreement, ("s.logits", "t.logits"))
    return Through(frozen(teacher), images, "t.logits", Through(student, images, "s.logits", apart, ascend=True))
