"""Mistakes that people make, or that once left every test green: {what: (file, right, wrong, tests that must fail)}.

`test_mutations` plants them, each in a copy of the package.
"""

MISTAKES = {
    # ---- losses, passes and rules
    "a forgotten T² in the value": (
        "distill/response.py", "    kl *= T * T\n", "", "test_response.py",
    ),
    "a teacher with its dropout on": (
        "step.py", "net.forward(_converted_input(name, net, batch), taps=wanted[name])",
        "net.forward(_converted_input(name, net, batch), np.random.default_rng(0), taps=wanted[name])",
        "test_training.py",
    ),
    "a peer that learns through its classmate": (
        "objective.py", "*map(fixed.__getitem__, self.fixed)]",
        "*(live.get(name, fixed[name]) for name in self.fixed)]", "test_objective.py",
    ),
    "a weight that stops at the adaptor": (
        "objective.py", "return self.each(lambda part: part.scaled(weight))",
        "return self if hasattr(self, 'inner') else self.each(lambda part: part.scaled(weight))", "test_objective.py",
    ),
    "both forgotten: a gradient check cannot see it, a value can": (
        "distill/response.py", "    kl *= T * T\n    q -= p\n    q *= T\n", "    q -= p\n    q /= T\n",
        "test_response.py"),
    "a mean over rows and classes": (
        "loss.py", "count: Any = rows.shape[0] // members", "count: Any = gradients[0].size // members",
        "test_response.py"),
    "what the student gives to masked classes costs nothing": (
        "distill/response.py", "    xp.copyto(terms, q, where=masked)\n", "", "test_response.py"),
    "the textbook form of the divergence": (
        "distill/response.py", "    terms = xp.expm1(r)\n    terms -= r\n", "    terms = -xp.where(masked, 0, r)\n",
        "test_response.py"),
    "two close answers compared in single precision": (
        "distill/response.py", "xp.empty((2, *z_p.shape))",
        "xp.empty((2, *z_p.shape), z_q.dtype)", "test_response.py"),
    "a smoothed label that does not sum to one": (
        "distill/response.py", "less_at_label(p, y, 1 - smoothing)",
        "less_at_label(p, y, 1.0)", "test_response.py"),
    "a temperature left out of softmax": (
        "nn/functional.py", "return p * (dp - (p * dp).sum(axis=-1, keepdims=True)) / T",
        "return p * (dp - (p * dp).sum(axis=-1, keepdims=True))", "test_functional.py"),
    "two owners of one gradient: the second overwrites the first": (
        "nn/network.py", "self.written if write else None", "False if write else None", "test_objective.py"),
    "the moments of one network carried to another": (
        "nn/optim.py", "memory = self.memory.get(net)\n        if memory is None:",
        "memory = self.memory.get(net) or next(iter(self.memory.values()), None)\n        if memory is None:",
        "test_optim.py"),
    "stale gradients in unreached layers": (
        "nn/network.py", 'getattr(layer, "d" + name)[...] = 0', "pass", "test_network.py"),
    "decay of the biases": (
        "nn/optim.py", "decay = self.weight_decay if decays else 0.0", "decay = self.weight_decay", "test_optim.py"),
    "Adam without its bias correction": (
        "nn/optim.py", "root = math.sqrt((1 - self.beta2) / (1 - self.beta2**t))",
        "root = math.sqrt(1 - self.beta2)", "test_optim.py"),
    "a mean of batch means": (
        "counts.py", "np.tensordot(rows, table, 1) / sum(rows)", "table.mean(axis=0)", "test_training.py"),
    # ---- rows held out
    "the command line's student, and its control, see the held-out rows": (
        "commands/distill.py", "return X.iloc[train], y[train], X.iloc[test], y[test]",
        "return X, y, X.iloc[test], y[test]", "test_cli.py"),
    "the command line measures on the rows that taught": (
        "commands/distill.py", "return X.iloc[train], y[train], X.iloc[test], y[test]",
        "return X.iloc[train], y[train], X.iloc[train], y[train]", "test_cli.py"),
    "the demo chooses by test accuracy": (
        "demo.py", "held = [getattr(split(seed), part) for seed in seeds]",
        'part, held = "test", [split(seed).test for seed in seeds]', "test_mistakes.py"),
    "the demo's few rows are test rows": (
        "demo.py", "few = train.take(slice(0, LABELS))\n    teacher",
        "few = test.take(slice(0, LABELS))\n    teacher", "test_mistakes.py"),
    "the demo's students see test rows": (
        "demo.py", "few = [split(seed).train.take", "few = [split(seed).test.take", "test_mistakes.py"),
    "the weak teacher is not weak": (
        "demo.py", "train_teacher(few, seed, device)", "train_teacher(train, seed, device)",
        "test_mistakes.py"),
    "the demo's labels alone cannot train longer": (
        "demo.py", "seeds, device, decay, epochs)", "seeds, device, decay, 100)", "test_mistakes.py"),
    "rows without labels count as class 0": (
        "estimators/training.py", "labelled, taught = np.zeros(n_rows)",
        "labelled, taught = np.full(n_rows, w.mean())",
        "test_mistakes.py"),
    # ---- what is measured
    "calibration bins shifted by half a bin": (
        "metrics.py", "(np.arange(1, bins) / bins)", "((np.arange(1, bins) + 0.5) / bins)", "test_mistakes.py"),
    "calibration bins that hold their lower edge": (
        "metrics.py", "np.searchsorted(edges, confidence)", 'np.searchsorted(edges, confidence, "right")',
        "test_metrics.py"),
    "another number of calibration bins": ("metrics.py", "bins: int = 15", "bins: int = 14", "test_mistakes.py"),
    "agreement on the least probable class": (
        "metrics.py", "z_a.argmax(axis=1) == z_b.argmax(axis=1)", "z_a.argmin(axis=1) == z_b.argmin(axis=1)",
        "test_mistakes.py"),
    "an evaluation with dropout": (
        "evaluation.py", "run_networks(students, teachers, objective, batch)",
        "run_networks(students, teachers, objective, batch, np.random.default_rng(0))",
        "test_mistakes.py"),
    "an evaluation's last batch counts too much": (
        "evaluation.py", 'rows.append(len(batch["index"]))', "rows.append(batch_size)", "test_mistakes.py"),
    "other percentiles than named": ("export/costs.py", "(50, 95, 99)", "(50, 90, 95)", "test_mistakes.py"),
    # ---- what is random
    "one dropout mask for ever": (
        "nn/layers.py", "else bits.random_raw(n)", "else np.random.PCG64(0).random_raw(n)",
        "test_mistakes.py"),
    "one dropout mask a call": (
        "epoch.py", "optimizer=run.optimizer, rng=dice)",
        "optimizer=run.optimizer, rng={n: np.random.default_rng(0) for n in dice})", "test_mistakes.py"),
    "dropout drawn from the shuffle's stream": (
        "side_by_side.py", "order, *dice = made if stack else [own[0] for own in made]",
        "order, *dice = made if stack else [own[0] for own in made]\n    dice = [order for _ in dice]",
        "test_mistakes.py"),
    "the same order in every epoch": (
        "data/columns.py", "order = rng.permutation(n)", "order = np.random.default_rng(0).permutation(n)",
        "test_mistakes.py"),
    # ---- losses and rules
    "AdamW's decay without the schedule": (
        "nn/optim.py", "theta *= 1 - self.lr * self.scale * decay", "theta *= 1 - self.lr * decay",
        "test_definitions.py"),
    "Nesterov without its momentum": (
        "nn/optim.py", "            rate *= self.momentum\n", "", "test_definitions.py"),
    "Adam's penalty missing from the second moment": (
        "nn/optim.py", "            scratch *= scratch\n", "            xp.multiply(grad, grad, out=scratch)\n",
        "test_definitions.py"),
    "probabilistic transfer the other way round": (
        "distill/relation.py", "(P * expm1_residual(xp.log(Q) - xp.log(P)))",
        "(Q * expm1_residual(xp.log(P) - xp.log(Q)))", "test_definitions.py"),
    "a flow without the mean over rows": (
        "distill/feature.py", "d = (h1_s.T @ h2_s - h1_t.T @ h2_t) / N\n    dG = 2 / (N * d.size) * d",
        "d = h1_s.T @ h2_s - h1_t.T @ h2_t\n    dG = 2 / d.size * d", "test_definitions.py"),
    "attention on absolute values": (
        "distill/feature.py",
        "a_s, a_t = v_s * v_s, v_t * v_t\n    length = _length(a_s)\n    u_s = a_s / length\n"
        "    d = u_s - a_t / _length(a_t)\n    return (d * d).sum(axis=1), 2 * v_s * unit",
        "a_s, a_t = abs(v_s), abs(v_t)\n    length = _length(a_s)\n    u_s = a_s / length\n"
        "    d = u_s - a_t / _length(a_t)\n    return (d * d).sum(axis=1), array_module(h_s).sign(h_s) * unit",
        "test_definitions.py"),
    # ---- sites, resuming, keys, exports
    "an exit that is just sure enough": (
        "distill/exits.py", "max(axis=1) > self.threshold", "max(axis=1) >= self.threshold", "test_mistakes.py"),
    "what is given shadowed by a column": (
        "objective.py", "{**fixed, self.target: made}", "{self.target: made, **fixed}", "test_mistakes.py"),
    "a stopped run goes on when resumed": (
        "resume.py", "run.epoch, run.stop = epoch, stop", "run.epoch = epoch",
        "test_mistakes.py"),
    "the batch size is not compared": ("training.py", '"batch_size": batch_size, ', "", "test_mistakes.py"),
    "the schedule is not compared": ("training.py", ', "schedule": schedule}', "}", "test_mistakes.py"),
    "the optimiser is not compared": (
        "description.py", '"optimizer": run.optimizer.settings(),', '"optimizer": 0,', "test_mistakes.py"),
    "alpha is ignored by the estimators": (
        "estimators/settings.py", 'if self.alpha != "auto":', "if False:", "test_mistakes.py"),
    "the batch size is ignored by the estimators": (
        "estimators/settings.py", 'if self.batch_size == "auto" else min(int(self.batch_size), n)',
        'if self.batch_size == "auto" else min(200, n)', "test_mistakes.py"),
    "the demo's --seed is not handed on": (
        "cli.py", "demo.study(args.seeds, args.seed, device", "demo.study(args.seeds, 0, device", "test_mistakes.py"),
    "the student's --seed is not handed on": (
        "commands/distill.py", '"random_state": args.seed,', '"random_state": 0,', "test_cli.py"),
    "a cell's key without all but its first setting": (
        "study/origin.py", "cell, inner = {**inner.keywords, **cell}, inner.func\n",
        "cell, inner = {**inner.keywords, **cell}, inner.func\n    cell = dict(list(cell.items())[:1])\n",
        "test_mistakes.py"),
    "workers without the limit of BLAS": (
        "study/cells.py",
        "    with threadpool_limits(1):\n        return key, run(**cell)", "    return key, run(**cell)",
        "test_mistakes.py"),
    "exported classes reversed": (
        "export/onnx_file.py", "[*label_values(steps.classes), ", "[*label_values(steps.classes)[::-1], ",
        "test_mistakes.py"),
    "an exported shift with the wrong sign": (
        "export/plan.py", 'first.arrays["b"] - shift @ W', 'first.arrays["b"] + shift @ W', "test_mistakes.py"),
    # ---- what is not trained, and losses on some of the logits
    "a frozen layer computes its gradients all the same": (
        "nn/network.py", "None if i in frozen else adds", "adds", "test_forgetting.py"),
    "gradients of chosen columns go to the first columns": (
        "nn/layers.py", "dx[..., k] = dy[..., i]", "dx[..., i] = dy[..., i]", "test_forgetting.py"),
    "the old answers of other columns": (
        "distill/forgetting.py", "select_classes(chosen.columns)", "select_classes(range(len(chosen.columns)))",
        "test_forgetting.py"),
    # ---- promises of privacy
    "a moved vote counted as one changed count": (
        "distill/privacy.py", "VOTE = math.sqrt(2)", "VOTE = math.sqrt(1)", "test_privacy.py"),
    "Laplace noise that hides one of the two counts": (
        "distill/privacy.py", "return 2 * np.where", "return np.where", "test_privacy.py"),
    # ---- inputs made by descent
    "a variance whose gradient lost its factor 2": (
        "distill/datafree.py", "(dm + 2 * dv * centred)", "(dm + dv * centred)", "test_datafree.py"),
    "a balance of classes that unbalances": (
        "distill/datafree.py", "softmax_backward(q, log / z.shape[0])", "-softmax_backward(q, log / z.shape[0])",
        "test_datafree.py"),
    "the teacher's part of a disagreement is forgotten": (
        "distill/datafree.py", "(sign, -sign)", "(sign, 0 * sign)", "test_datafree.py"),
    "a student that climbs the disagreement too": (
        "distill/datafree.py", "apart, ascend=True", "apart", "test_datafree.py"),
    # ---- attacked rows
    "the label stays among the others": (
        "distill/robust.py", "xp.where(xp.arange(z.shape[1]) == y[:, None], -math.inf, z)", "z", "test_robust.py"),
    "an attack that may leave its box": (
        "distill/robust.py", "net.input_gradient(attacked, lambda z: loss(z, y))\n",
        "net.input_gradient(attacked, lambda z: loss(z, y))\n"
        "        least, most = xp.maximum(attacked - epsilon, low), xp.minimum(attacked + epsilon, high)\n",
        "test_robust.py"),
    "the teacher sees attacked rows": (
        "distill/robust.py", '{**batch, name + ".x": rows}', '{**batch, "x": rows}', "test_robust.py"),
    "a stack's gradient of the input mixes its members": (
        "nn/stack.py", "{tap: self._apart(g) for tap, g in gradients.items()}",
        "{tap: self._apart(g)[::-1] for tap, g in gradients.items()}", "test_robust.py"),
    # ---- rows without a label
    "the temperatures of student and teacher exchanged": (
        "distill/unlabelled.py", "(tau_s / tau_t), z_s, tau_s)", "(tau_t / tau_s), z_s, tau_s)", "test_unlabelled.py"),
    "a forgotten entropy of the teacher": (
        "distill/unlabelled.py", "return kl + entropy, ", "return kl, ", "test_unlabelled.py"),
    "a centre that is added": (
        "distill/unlabelled.py", "return z_t - self.c[i]", "return z_t + self.c[i]", "test_unlabelled.py"),
    "one centre for all members of a stack": (
        "distill/unlabelled.py", "(self.turn + 1) % len(self.c)", "0", "test_unlabelled.py"),
    # ---- fewer steps
    "a student's target with the teacher's step": (
        "distill/diffusion.py", "(math.cos(step) * z - end) / math.sin(step)",
        "(math.cos(step / 2) * z - end) / math.sin(step / 2)", "test_diffusion.py"),
    "every step of a sampler asks at the first angle": (
        "distill/diffusion.py", "angle = angle - step", "angle = angle", "test_diffusion.py"),
}  # fmt: skip
