"""Mistakes that learners make: a text of the solution, what stands in its place, and what the check must call it.

{function: [(old, new, words)]}. The words begin the function's line; every other function must stay right.
"""

STABLE = "u = z / T\n    e = np.exp(u - u.max(axis=1, keepdims=True))"
DRAW = "np.sqrt(gain / n) * rng.standard_normal((n, out))"

DRAWN = "gain = 1 if i == len(widths) - 2 else 2"
WHOLE = "u = z - z.max(axis=1, keepdims=True)"

ALONE = "missing: large numbers. The value is right for"
RAW = "np.exp(z_s / T) / np.exp(z_s / T).sum(axis=1, keepdims=True)"

MISTAKES = {
    "softmax": [
        (
            STABLE,
            "e = np.exp(z / T - z.max(axis=1, keepdims=True))",
            "missing: large numbers. Wrong for logits of a th",
        ),
        (
            "return e /",
            "return 1 / (1 + np.exp(-z / T)) if z.shape[1] == 2 else e /",
            "missing: two columns. Yours is right elsewhere, and wrong for arrays (5, 2): two columns, or classes,",
        ),
        ("T=1.0", "T", "missing: the default of T. Without T it is 1; yours has no default."),
        ("u.max(axis=1, keepdims=True)", "u.mean(axis=1, keepdims=True)", "missing: large numbers."),
        ("u.max(axis=1, keepdims=True)", "u.min(axis=1, keepdims=True)", "missing: large numbers."),
        ("T=1.0", "T=2.0", "missing: the default of T."),
        ("T=1.0):", "T=None):\n    T = T or 2.0", "missing: the defaults. What is left out counts as T = 1."),
        ("u = z / T", "u = z / (T // 0.5 * 0.5)", "missing: every size."),
        ("u = z / T\n    e = np.exp(u - u.max", "u = z\n    e = np.exp(u - u.max", "missing: T."),
        ("u = z / T\n    e = np.exp(u - u.max", "u = z * T\n    e = np.exp(u - u.max", "missing: 1/T."),
        ("e.sum(axis=1, keepdims=True)", "e.sum()", "missing: rows that sum to one."),
        ("return e / e.sum(axis=1, keepdims=True)", "return e", "missing: rows that sum to one."),
        (
            "e = np.exp(u - u.max(axis=1, keepdims=True))\n    return e / e.sum(axis=1, keepdims=True)",
            "e = np.exp(u)\n    return e / e.sum(axis=1, keepdims=True)",
            "missing: large numbers.",
        ),
        (
            "e = np.exp(u - u.max(axis=1, keepdims=True))\n    return e / e.sum(axis=1, keepdims=True)",
            "e = np.exp(u - u.max(axis=0))\n    return e / e.sum(axis=0)",
            "missing: the classes as the axis.",
        ),
        (
            "u = z / T\n    e = np.exp(u - u.max(axis=1, keepdims=True))",
            "z /= T\n    e = np.exp(z - z.max(axis=1, keepdims=True))",
            "missing: a copy. It changes its argument z",
        ),
    ],
    "cross_entropy": [
        (
            WHOLE,
            "u = z",
            "missing: large numbers. The value is wrong for logits of a thousand. Take each row's maximum a",
        ),
        (
            "dz = softmax(z)",
            "dz = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)",
            f"{ALONE} logits of a thousand, th",
        ),
        (
            WHOLE,
            "u = z - z.max()",
            "missing: rows far apart. Yours is right elsewhere, and wrong for arrays (5, 7) and",
        ),
        (
            "value = (np.log(np.exp(u).sum(axis=1)) - u[rows, y]).mean()",
            "value = (np.log(np.exp(u[:, : y.max() + 1]).sum(axis=1)) - u[rows, y]).mean()",
            "At one place the value is 2.61193, it must be 3.03426. The gradient is right.",
        ),
        ("return value, dz / N", "return value, dz / (N if z.shape[1] != 2 else 1)", "missing: two columns."),
        ("return value, dz / N", "return value, dz / 5", "missing: every size."),
        ("return value, dz / N", "return value, dz", "missing: 1/N."),
        (
            "return value, dz / N",
            "return value, dz / z.shape[1]",
            "missing: rows in place of columns. dz is 0.7143 times",
        ),
        ("return value, dz / N", "return value, 2 * dz / N", "missing: a factor. dz is 2 times what it must be, ev"),
        ("return value, dz / N", "return value, dz / dz.size", "missing: N in place of N·K."),
        ("return value, dz / N", "return value, -dz / N", "missing: a sign."),
        ("    dz[rows, y] -= 1\n", "", "missing: the entry of the label."),
        ("    dz = softmax(z)\n", "    dz = z.copy()\n", "missing: the softmax."),
        (
            "    dz = softmax(z)\n    dz[rows, y] -= 1\n",
            "    p, dz = softmax(z), 0 * z\n    dz[rows, y] = -(1 - p[rows, y])\n",
            "missing: the softmax's coupling.",
        ),
        (
            "    dz = softmax(z)\n    dz[rows, y] -= 1\n",
            "    dz = 0 * z\n    dz[rows, y] = -1 / softmax(z)[rows, y]\n",
            "missing: the softmax. Yours is the gradient at the probabilities",
        ),
        ("- u[rows, y]).mean()", "- u[rows, y]).sum()", "missing: 1/N. Your value"),
        ("- u[rows, y]).mean()", "- u[rows, y])", "missing: the mean."),
        (
            "value = (np.log(np.exp(u).sum(axis=1)) - u[rows, y]).mean()",
            "value = -np.log(softmax(z)[rows, y]).mean()",
            "missing: large numbers.",
        ),
        (
            "value = (np.log(np.exp(u).sum(axis=1)) - u[rows, y]).mean()",
            "value = -np.log(np.maximum(softmax(z)[rows, y], 1e-12)).mean()",
            "missing: large numbers.",
        ),
    ],
    "soft_targets": [
        *(
            (
                "(p * (log_softmax(z_t) - log_softmax(z_s)))",
                f"np.where(p > {small}, p * (log_softmax(z_t) - log_softmax(z_s)), 0)",
                f"missing: small probabilities. A probability of {told} counts",
            )
            for small, told in ((1e-3, "1e-06"), (1e-5, "1e-06"), (1e-8, "1e-12"), (1e-11, "1e-12"))
        ),
        ("    def log_soft", "    T = max(T, 1)\n\n    def log_soft", "missing: a low temperature. T may be below 1"),
        (
            "        u = u - u.max(axis=1, keepdims=True)\n",
            "",
            "missing: large numbers. The value is wrong for a student's",
        ),
        ("softmax(z_t, T), softmax(z_s, T)", f"softmax(z_t, T), {RAW}", f"{ALONE} a student's logits of a thousand"),
        ("u = u - u.max(axis=1, keepdims=True)", "u = u - u.max()", "missing: rows far apart."),
        ("T=4.0", "T=1.0", "missing: the default of T. Without T it is 4; yours is 1.0."),
        ("T=4.0", "T=None", "it stops with ValueError: T must be one"),
        ("(p * (log_softmax(z_t) - log_softmax(z_s)))", "(p * (np.log(p) - log_softmax(z_s)))", "missing: large numb"),
        (
            "        u = u - u.max(axis=1, keepdims=True)\n",
            "        u = u - z.max(axis=1, keepdims=True)\n",
            "missing: large",
        ),
        ("return value, T * (q - p) / len(z_s)", "return value, T // 1 * (q - p) / len(z_s)", "missing: every size."),
        ("value = T**2 * (p", "value = (p", "missing: T squared. Your value"),
        ("return value, T * (q - p)", "return value, (q - p) / T", "missing: T squared."),
        ("return value, T * (q - p)", "return value, (q - p)", "missing: a factor of T."),
        (
            "value = T**2 * (p * (log_softmax(z_t) - log_softmax(z_s))).sum(axis=1).mean()\n    return value, T * (q",
            "value = (p * (log_softmax(z_t) - log_softmax(z_s))).sum(axis=1).mean()\n    return value, (1 / T) * (q",
            "missing: T squared. Your value",
        ),
        ("p, q = softmax(z_t, T)", "p, q = softmax(z_t)", "missing: T in the teacher's softmax."),
        (
            "p, q = softmax(z_t, T), softmax(z_s, T)\n    value = T**2 * (p * (log_softmax(z_t) - log_softmax(z_s)))",
            "p, q = softmax(z_t, T), softmax(z_s, T)\n    value = T**2 * (q * (log_softmax(z_s) - log_softmax(z_t)))",
            "missing: the order of KL.",
        ),
        ("(p * (log_softmax(z_t) - log_softmax(z_s)))", "(-p * log_softmax(z_s))", "missing: log p."),
    ],
    "linear": [
        ("return x @ W + b", "return x @ (W.T if W.shape == W.T.shape else W) + b", "missing: square arrays."),
        ("return x @ W + b", "return np.maximum(x @ W + b, 0)", "missing: x W + b alone."),
        ("return x @ W + b", "return np.where(x > 1, 0, x) @ W + b", "y["),
        ("return x @ W + b", "return x @ W", "missing: the bias."),
    ],
    "linear_backward": [
        (
            "return dy @ W.T, x.T @ dy,",
            "dW = dy.T @ x\n    return dy @ W.T, dW if dW.shape == W.shape else dW.T,",
            "missing: square arrays. Yours is right elsewhere, and wrong for arrays (4, 4) and (4, 4) and (4, 4): wh",
        ),
        ("dy @ W.T,", "dy @ (W if dy.shape[1] == len(W) else W.T),", "missing: square arrays."),
        (
            "x.T @ dy, dy",
            "x.T @ dy / W.shape[1], dy",
            "missing: a factor. dW is 0.1667 times what it must be, everywhere.",
        ),
        (
            "return dy @ W.T,",
            "return dy @ W.T / W.shape[1],",
            "missing: a factor. dx is 0.1667 times what it must be, ev",
        ),
        ("dy.sum(axis=0)", "dy.mean(axis=0)", "missing: the sum over rows."),
        ("dy.sum(axis=0)", "(dy.sum(axis=0) if len(x) != 2 else dy.mean(axis=0))", "missing: two rows."),
        ("x.T @ dy, dy", "x.T @ dy / len(x), dy", "missing: the sum over rows. dW"),
        ("dy.sum(axis=0)", "dy.sum(axis=1)", "db has shape (5,), it must have (6,)"),
        ("x.T @ dy, dy", "dy.T @ x, dy", "missing: a transpose. dW has shape (6, 4)"),
        ("return dy @ W.T,", "return dy @ W,", "it stops with ValueError: matmul"),
    ],
    "relu_backward": [
        ("(y > 0)", "(y > 0).any(axis=1, keepdims=True)", "missing: the mask. 17 entries must be zero: what is masked"),
        ("return dy * (y > 0)", "return dy", "missing: the mask."),
        ("return dy * (y > 0)", "return dy * (y >= 0)", "missing: the mask."),
        ("return dy * (y > 0)", "return dy * (y > 1e-3)", "missing: small outputs."),
        ("return dy * (y > 0)", "return dy * (y > 1e-12)", "missing: small outputs."),
        ("return dy * (y > 0)", "return dy * (y > y.min())", "missing: positive outputs."),
        ("return dy * (y > 0)", "return np.maximum(dy, 0)", "missing: the output as the judge."),
    ],
    "start": [
        (DRAWN, "gain = 1 if widths[i + 1] == widths[-1] else 2", "missing: the scale. W of layer 0 is 0.7071 times"),
        (DRAWN, "gain = 1 if widths.index(n) == len(widths) - 2 else 2", "missing: the scale."),
        ("gain = 1 if i == len(widths) - 2 else 2", "gain = 1", "missing: the 2 of the ReLU."),
        ("gain = 1 if i == len(widths) - 2 else 2", "gain = 2", "missing: the last layer."),
        ("np.sqrt(gain / n)", "np.sqrt(gain / out)", "missing: the number of inputs."),
        ("np.sqrt(gain / n)", "(gain / n)", "missing: the root."),
        ("np.sqrt(gain / n) * rng.standard_normal((n, out))", "np.zeros((n, out))", "missing: different weights."),
        ("rng.standard_normal((n, out))", "np.random.randn(n, out)", "missing: rng."),
        (DRAW, "np.sqrt(gain / n) * np.random.default_rng(0).standard_normal((n, out))", "missing: rng."),
        (DRAW, "np.sqrt(3 * gain / n) * rng.uniform(-1, 1, (n, out))", "missing: rng."),
        (DRAW, "np.sqrt(gain / n / 2) * rng.laplace(size=(n, out))", "missing: rng."),
        (DRAW, "np.sqrt(gain / n) * rng.choice([-1.0, 1.0], (n, out))", "missing: rng."),
        (DRAW, "np.sqrt(gain / n) * rng.spawn(1)[0].standard_normal((n, out))", "missing: rng."),
        ("np.sqrt(gain / n)", "np.sqrt(gain / (n + 1))", "missing: the scale. W of layer 0 is 0.9983 times"),
        ("np.sqrt(gain / n)", "np.sqrt(gain / (n - 1))", "missing: the scale. W of layer 0 is 1.002 times"),
        ("np.sqrt(gain / n)", "1.03 * np.sqrt(gain / n)", "missing: the scale. W of layer 0 is 1.03 times"),
    ],
    "forward": [
        (
            "    inputs = []\n",
            "    inputs = []\n    network[1]\n",
            "missing: one layer. For widths (4, 3) and arrays (5, 4): it st",
        ),
        (
            "    for i, (W, b) in enumerate(network):\n",
            "    (_, _), (_, _), (_, _) = network\n    for i, (W, b) in enumerate(network):\n",
            "it stops with ValueError: not enough values to unpack",
        ),
        ("x = np.maximum(x, 0) if i else x", "pass", "missing: the ReLU."),
        ("return x, inputs", "return np.maximum(x, 0), inputs", "missing: logits as they are."),
        (
            "        x = np.maximum(x, 0) if i else x\n        inputs.append(x)\n",
            "        inputs.append(x)\n        x = np.maximum(x, 0) if i else x\n",
            "missing: what a layer reads.",
        ),
        *(
            ("np.maximum(x, 0)", f"np.where(x > {small}, x, 0)", "missing: small outputs. An output of 1e-18 is")
            for small in (1e-3, 1e-6, 1e-12)
        ),
        ("return x, inputs", "return x, inputs[1:]", "inputs holds 2 arrays, it must hold 3"),
    ],
    "backward": [
        (
            "    gradients = []\n",
            "    gradients = []\n    network[1]\n",
            "missing: one layer. For widths (4, 3) and arr",
        ),
        (
            "gradients.insert(0, (dW, db))",
            "gradients.insert(0, (dW.T if len(dW) == len(db) else dW, db))",
            "missing: square arrays.",
        ),
        ("dz = relu_backward(dx, inputs[i])", "dz = dx", "missing: the ReLU."),
        *(
            ("relu_backward(dx, inputs[i])", f"dx * {test}", "missing: small outputs. An output of 1e-18 is positive")
            for test in ("(inputs[i] > 1e-3)", "(inputs[i] > 1e-6)", "(1 - np.isclose(inputs[i], 0))")
        ),
        ("gradients.insert(0, (dW, db))", "gradients.append((dW, db))", "missing: the order."),
    ],
    "adam": [
        (
            "v_hat) + eps)",
            "v_hat) + 1e-8)",
            "missing: eps. The step is divided by √v + eps; yours leaves out the argument eps, or has",
        ),
        ("(np.sqrt(v_hat) + eps)", "(np.sqrt(v_hat) + eps * (v_hat > 0))", "missing: arrays of zeros."),
        ("lr=1e-3", "lr=1e-2", "missing: the default of lr. Without lr it is 0.001; yours is 0.01."),
        ("beta1=0.9,", "beta1=0.95,", "missing: the default of beta1."),
        ("beta2=0.999", "beta2=0.99", "missing: the default of beta2."),
        ("eps=1e-8", "eps=1e-3", "missing: the default of eps."),
        ("    m = beta1 * m", "    t = min(t, 10)\n    m = beta1 * m", "missing: late steps."),
        ("m / (1 - beta1**t), v / (1 - beta2**t)", "m, v", "missing: the bias correction."),
        ("* m_hat / (np.sqrt(v_hat) + eps)", "* m_hat / np.sqrt(v_hat + eps)", "missing: eps outside the root."),
        ("1 - beta1**t), v / (1 - beta2**t)", "1 - beta1), v / (1 - beta2)", "missing: the power t."),
        ("(np.sqrt(v_hat) + eps)", "np.sqrt(v_hat)", "missing: eps."),
        ("return theta - lr * m_hat", "return theta - m_hat", "missing: the learning rate."),
        ("return theta - lr", "return theta + lr", "missing: a sign."),
        ("(1 - beta2) * grad**2", "(1 - beta2) * grad", "missing: the square."),
        ("np.sqrt(v_hat) + eps), m, v", "np.sqrt(v_hat) + eps), m_hat, v_hat", "missing: running means as they"),
        (
            "return theta - lr * m_hat / (np.sqrt(v_hat) + eps), m, v",
            "theta -= lr * m_hat / (np.sqrt(v_hat) + eps)\n    return theta, m, v",
            "missing: a copy. It changes its argument theta",
        ),
    ],
    "train": [
        (
            "range(0, len(x), batch_size)",
            "range(0, len(x) // batch_size * batch_size + 1, batch_size)",
            "missing: rows in each",
        ),
        (
            "    t = 0\n",
            "    t = 0\n    (_, _), (_, _) = network\n",
            "it stops with ValueError: too many values to unpack",
        ),
        (
            "enumerate(moments):",
            "enumerate(moments[:4]):",
            "missing: every size. Yours is right for two layers, and wrong f",
        ),
        ("range(epochs)", "range(min(epochs, 5))", "missing: the epochs."),
        (
            "            t += 1\n",
            "            t += 1\n            grads = [g.clip(-10, 10) for g in grads]\n",
            "missing: the gra",
        ),
        (
            "range(0, len(x), batch_size)",
            "range(0, len(x), min(batch_size, 7))",
            "missing: every size. Yours is wrong where",
        ),
        ("order = rng.permutation(len(x))", "order = np.arange(len(x))", "missing: the shuffle."),
        ("range(0, len(x), batch_size)", "range(0, len(x) - batch_size + 1, batch_size)", "missing: the last rows."),
        ("            t += 1\n", "            t = 1\n", "missing: Adam's clock. t grows"),
        ("    t = 0\n", "    t = 1\n", "missing: Adam's clock. t is 1 in the first step"),
        ("            t += 1\n", "            t += i == 0\n", "missing: Adam's clock. t counts the steps"),
        (
            "        order = rng.permutation(len(x))\n",
            "        order = rng.permutation(len(x))\n        moments = [(0 * m, 0 * v) for m, v in moments]\n",
            "missing: Adam's memory. m and v begin at zero once",
        ),
        (
            "            network = list(zip(theta[::2], theta[1::2]))\n",
            "            network[:] = list(zip(theta[::2], theta[1::2]))\n",
            "missing: a copy. It changes its argument network: work on a copy.",
        ),
        (
            "        order = rng.permutation(len(x))\n",
            "        order = rng.permutation(len(x))\n        t += 1\n",
            "W of layer 0[",
        ),
        ("            t += 1\n", "", "missing: Adam's clock. Steps are counted from 1"),
        ("                moments[k] = m, v\n", "", "missing: Adam's memory."),
        ("_, dz = loss(z, rows)", "_, dz = loss(z, np.arange(len(rows)))", "missing: the rows of the batch."),
        ("m, v, t, lr=lr)", "m, v, t)", "missing: the learning rate."),
        (
            "            for k, (m, v) in enumerate(moments):\n",
            "            for k, (m, v) in list(enumerate(moments))[::2]:\n",
            "missing: the biases.",
        ),
        ("theta[k], m, v = adam(theta[k]", "_, m, v = adam(theta[k]", "W of layer 0"),
        ("    return list(zip(theta[::2], theta[1::2]))", "    return None", "not written yet: it returns nothing"),
    ],
    "hint": [
        ("d = h_s @ V", "d = h_s @ (V.T if V.shape == V.T.shape else V)", "missing: square arrays."),
        ("return 0.5 * (d**2).sum() / N", "return (d**2).sum() / N", "missing: a factor of ½. Your value"),
        ("d @ V.T / N,", "d @ V.T,", "missing: 1/N. dh_s"),
        (
            "d @ V.T / N,",
            "d @ V.T / h_t.shape[1],",
            "missing: rows in place of columns. dh_s is 0.4545 times what it must be: d",
        ),
        (
            "d @ V.T / N, h_s.T @ d / N",
            "d @ V.T / N / 4, h_s.T @ d / N / 4",
            "missing: a factor. dh_s is 0.25 times what",
        ),
        ("0.5 * (d**2)", "0.25 * (d**2)", "missing: a factor of 2. Your value is 0.5 times what it must be."),
        ("h_s.T @ d / N", "d.T @ h_s / N", "missing: a transpose."),
    ],
    "unit_rows_backward": [
        *(
            ("where=length > 0", f"where=length > {short}", "missing: short rows.")
            for short in (1e-8, 1e-6, 0.001, 0.1, 0.5, 1)
        ),
        *(
            ("where=length > 0", f"where=x.{test}", "missing: signs in a row.")
            for test in ("sum(1, keepdims=True) != 0", "max(1, keepdims=True) != 0", "max(1, keepdims=True) > 0")
        ),
        (
            "return (du - u * (u * du).sum(axis=1, keepdims=True)) * inverse",
            "return np.where(x != 0, (du - u * (u * du).sum(axis=1, keepdims=True)) * inverse, 0)",
            "missing: single zeros.",
        ),
        ("where=length > 0)", "where=(x != 0).all(axis=1, keepdims=True))", "missing: single zeros."),
        ("(du - u * (u * du).sum(axis=1, keepdims=True))", "du", "missing: the projection."),
        ("(u * du).sum(axis=1, keepdims=True)", "(u * du).sum()", "missing: each row's own dot"),
        ("keepdims=True)) * inverse", "keepdims=True))", "missing: 1/|x|."),
        ("np.divide(1, length, out=np.zeros_like(length), where=length > 0)", "1 / length", "missing: rows of zeros."),
        (
            "np.divide(1, length, out=np.zeros_like(length), where=length > 0)",
            "1 / (length + 1e-12)",
            "missing: rows of zeros.",
        ),
    ],
    "similarity": [
        (
            "return (d**2).sum() / N**2,",
            "return (d**2).sum() / (N * (N - 1)),",
            "missing: a factor. Your value is 1.25 times",
        ),
        (
            "return (d**2).sum() / N**2,",
            "return 0.5 * (d**2).sum() / N**2,",
            "missing: a factor of 2. Your value is 0.5 times what it must be. The gradient is right.",
        ),
        (
            "(dS + dS.T) @ h_s",
            "2 * (dS + dS.T) @ h_s",
            "missing: a factor. dh_s is 2 times what it must be, everywhere.",
        ),
        ("return (d**2).sum() / N**2,", "return (d**2).sum() / 25,", "missing: every size."),
        ("return (d**2).sum() / N**2,", "return (1 + (N == 2)) * (d**2).sum() / N**2,", "missing: two rows."),
        *(
            (
                "S_s / np.sqrt((S_s**2).sum(axis=1, keepdims=True))",
                f"S_s / np.maximum(np.sqrt((S_s**2).sum(axis=1, keepdims=True)), {floor})",
                "missing: short rows. Short rows of h have",
            )
            for floor in (0.5, 1e-2, 1e-4)
        ),
        ("return (d**2).sum() / N**2, (dS + dS.T) @ h_s", "return (d**2).sum() / N**2, dS @ h_s", "missing: both"),
        ("(dS + dS.T) @ h_s", "2 * dS @ h_s", "missing: the transpose."),
        ("2 * d / N**2)", "2 * d / N)", "missing: 1/N. dh_s"),
        ("2 * d / N**2)", "d / N**2)", "missing: a factor of 2."),
    ],
}

HARMS = {  # whole functions, in place of relu_backward, that do what no function should
    "it stops with ZeroDivisionError: division by zero (line ": "1 / 0",
    "it stops with SystemExit: 3 (line ": "raise SystemExit(3)",
    "missing: an end. It calls itself without end": "return relu_backward(dy, y)",
    "missing: an end. It was stopped after 0.3 seconds.": "while True:\n        pass",
    "missing: an end. It was stopped after 0.3 seconds": (
        "try:\n        while True:\n            pass\n    except BaseException:\n        while True:\n            pass"
    ),
    "missing: a transpose. dx has shape (6, 5), it must have (5, 6).": "return dy.T",
    "dx has shape (5,), it must have (5, 6)": "return dy[:, 0]",
    "dx must be an array of numbers, it is of type str": "return 'dx'",
    "dx must be an array of numbers, it is of type dict": "return {}",
    "dx[0, 0] is nan": "return dy * float('nan')",
    "not written yet": "...",
    "missing: a copy. It changes its argument dy: begin with dy = dy.copy(), or write dy = dy - …": (
        "dy[y <= 0] = 0\n    return dy"
    ),
    "it stops with NameError": "return dyy",
    "this cannot be checked": (
        "class Bad:\n        def __array__(self, *a, **k):\n            raise KeyError\n    return Bad()"
    ),
}
