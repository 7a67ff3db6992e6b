"""Write kdlearn yourself: fourteen functions, each from its docstring.

    python -m kdlearn check my_kd.py

says for each of them: right, not written yet, or which idea is missing. Each function
is judged alone: the other functions that it calls are right ones there, also where
yours are not. So begin where you like.

Letters: N rows, D inputs, H and E units, K classes, T temperature, L the loss.
`dz` is the gradient of the loss at z, dL/dz, and has the shape of z.
A network is a list of pairs (W, b), one for each linear layer; between two layers
stands a ReLU. No function changes an array that it was given.
"""

import numpy as np

# ------------------------------------------------------------- what a teacher says


def softmax(z, T=1.0):
    """Probabilities p (N, K) of logits z (N, K) at the temperature T.

    p[n, k] = exp(z[n, k] / T) / (the sum of exp(z[n, j] / T) over all classes j)

    Logits of a thousand must not overflow: a constant taken away from a whole row
    does not change p.

    Example: for z = [[0, log 3]] p is [[1/4, 3/4]].
    """
    u = z / T
    e = np.exp(u - u.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def cross_entropy(z, y):
    """(value, dz): how surprised the probabilities of z (N, K) are by labels y (N,).

    L = the mean over the N rows of -log p[n, y[n]],   p = softmax(z)

    dz is the gradient at the logits, not at p. Where p is next to zero its logarithm
    must still be a number: -log p[y] = log(sum of exp(z)) - z[y].

    Example: for z = [[0, log 3]] and y = [0] the value is log 4,
    and dz is [[-3/4, 3/4]].
    """
    N = len(z)
    rows = np.arange(N)
    u = z - z.max(axis=1, keepdims=True)
    value = (np.log(np.exp(u).sum(axis=1)) - u[rows, y]).mean()
    dz = softmax(z)
    dz[rows, y] -= 1
    return value, dz / N


def soft_targets(z_s, z_t, T=4.0):
    """(value, dz_s): how far the student's softened answers are from the teacher's.

    L = T² times the mean over the N rows of KL(p || q),
    KL(p || q) = the sum over the classes of p · (log p - log q),
    p = softmax(z_t, T) is the teacher, q = softmax(z_s, T) is the student.

    The teacher is held: there is no gradient for z_t.

    Example: for z_s = [[0, 0]], z_t = [[0, log 3]] and T = 1 the value is 0.1308,
    and dz_s is [[1/4, -1/4]].
    """

    def log_softmax(z):
        u = z / T
        u = u - u.max(axis=1, keepdims=True)
        return u - np.log(np.exp(u).sum(axis=1, keepdims=True))

    p, q = softmax(z_t, T), softmax(z_s, T)
    value = T**2 * (p * (log_softmax(z_t) - log_softmax(z_s))).sum(axis=1).mean()
    return value, T * (q - p) / len(z_s)


# ------------------------------------------------------------- layers


def linear(x, W, b):
    """y (N, H) of x (N, D), weights W (D, H) and biases b (H,): y = x W + b."""
    return x @ W + b


def linear_backward(dy, x, W):
    """(dx, dW, db) of y = x W + b, from dy (N, H), the input x (N, D) and W (D, H).

    dy holds dL/dy of every row. A mean over rows is in it already.
    The shapes are those of x, W and b, and say much about the formulas.
    """
    return dy @ W.T, x.T @ dy, dy.sum(axis=0)


def relu_backward(dy, y):
    """dx of y = max(x, 0), from dy and from the output y; all of one shape.

    Where the output is zero, nothing passes.
    """
    return dy * (y > 0)


# ------------------------------------------------------------- a network


def start(widths, rng):
    """A new network [(W, b), …] for widths such as (64, 16, 10).

    The weights of a layer with n inputs come from rng.standard_normal, times √(2/n)
    before a ReLU (He et al. 2015), and times √(1/n) in the last layer. Biases are zero.
    """
    network = []
    for i in range(len(widths) - 1):
        n, out = widths[i], widths[i + 1]
        gain = 1 if i == len(widths) - 2 else 2
        W = np.sqrt(gain / n) * rng.standard_normal((n, out))
        network.append((W, np.zeros(out)))
    return network


def forward(network, x):
    """(z, inputs): the logits of x (N, D), and the input of each linear layer.

    inputs is a list with one array a layer: x, then what each ReLU let through.
    `backward` will need them. After the last layer there is no ReLU.
    """
    inputs = []
    for i, (W, b) in enumerate(network):
        x = np.maximum(x, 0) if i else x
        inputs.append(x)
        x = linear(x, W, b)
    return x, inputs


def backward(network, inputs, dz):
    """[(dW, db), …], one pair a layer, in the order of the network; from dz (N, K).

    inputs is what `forward` returned. Begin with the last layer.
    """
    gradients = []
    for i in reversed(range(len(network))):
        dx, dW, db = linear_backward(dz, inputs[i], network[i][0])
        gradients.insert(0, (dW, db))
        dz = relu_backward(dx, inputs[i])
    return gradients


# ------------------------------------------------------------- training


def adam(theta, grad, m, v, t, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8):
    """(theta, m, v) after the t-th step of Adam, t = 1, 2, …, for arrays of one shape.

    m is a running mean of the gradients, v one of their squares: the old one times
    beta, and (1 - beta) of the new. Both begin at zero and are therefore too small:
    for the step, divide m by (1 - beta1^t) and v by (1 - beta2^t); return them as
    they were before that.

    theta - lr · m / (√v + eps),   with m and v divided like this.

    Kingma and Ba 2015, algorithm 1.
    """
    m = beta1 * m + (1 - beta1) * grad
    v = beta2 * v + (1 - beta2) * grad**2
    m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
    return theta - lr * m_hat / (np.sqrt(v_hat) + eps), m, v


def train(network, x, loss, epochs, batch_size, lr, rng):
    """The network [(W, b), …] after training on the rows x (N, D).

    In each epoch draw one order of the rows, rng.permutation(N), and take batch_size
    of them at a time; the last batch takes what is left. loss(z, rows) -> (value, dz)
    for the logits z of the rows with these numbers. Each batch is one step:
    forward, loss, backward, and `adam` for every W and every b, with the learning rate
    lr. Steps are counted from 1, through all epochs; m and v begin at zero once.
    """
    theta = [a for layer in network for a in layer]
    moments = [(np.zeros_like(a), np.zeros_like(a)) for a in theta]
    t = 0
    for _ in range(epochs):
        order = rng.permutation(len(x))
        for i in range(0, len(x), batch_size):
            rows = order[i : i + batch_size]
            network = list(zip(theta[::2], theta[1::2]))
            z, inputs = forward(network, x[rows])
            _, dz = loss(z, rows)
            grads = [g for layer in backward(network, inputs, dz) for g in layer]
            t += 1
            for k, (m, v) in enumerate(moments):
                theta[k], m, v = adam(theta[k], grads[k], m, v, t, lr=lr)
                moments[k] = m, v
    return list(zip(theta[::2], theta[1::2]))


# ------------------------------------------------------------- what a teacher sees


def hint(h_s, h_t, V):
    """(value, dh_s, dV): the student's units h_s (N, D) guess the teacher's h_t (N, E).

    L = the mean over the N rows of ½ |h_s V - h_t|²,   V is (D, E)

    FitNets, Romero et al. 2015, equation 3. V is learnt with the student.
    """
    d = h_s @ V - h_t
    N = len(h_s)
    return 0.5 * (d**2).sum() / N, d @ V.T / N, h_s.T @ d / N


def unit_rows_backward(x, du):
    """dx (N, D) of u = x / |x|, each row scaled to unit length, from du (N, D).

    dx = (du - u (u · du)) / |x|,   row by row: a row can be turned, never lengthened.

    A row of zeros has no direction: u is zero there, and so is dx.
    """
    length = np.sqrt((x**2).sum(axis=1, keepdims=True))
    inverse = np.divide(1, length, out=np.zeros_like(length), where=length > 0)
    u = x * inverse
    return (du - u * (u * du).sum(axis=1, keepdims=True)) * inverse


def similarity(h_s, h_t):
    """(value, dh_s): which rows are alike, for h_s (N, D) and h_t (N, E).

    S = h hᵀ is a table (N, N), and Ŝ is S with each row scaled to unit length.
    L = (1/N²) · the sum of (Ŝ_s - Ŝ_t)² over the table, student minus teacher

    Take dŜ back through the rows to dS; h stands twice in S, so dh = (dS + dSᵀ) h.
    No row of h is zero here.

    Tung and Mori 2019, equations 2 and 4.
    """
    S_s, S_t = h_s @ h_s.T, h_t @ h_t.T
    d = S_s / np.sqrt((S_s**2).sum(axis=1, keepdims=True))
    d = d - S_t / np.sqrt((S_t**2).sum(axis=1, keepdims=True))
    N = len(h_s)
    dS = unit_rows_backward(S_s, 2 * d / N**2)
    return (d**2).sum() / N**2, (dS + dS.T) @ h_s
