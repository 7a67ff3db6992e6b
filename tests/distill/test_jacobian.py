"""Jacobian matching: central differences of whole steps and PyTorch's double backward as witnesses."""

from __future__ import annotations

import numpy as np
import pytest

import kdlearn as kd
from kdlearn.catalogue.recipes.parts import D, K, N, batch, net
from kdlearn.distill.feature import cosine_distance, squared_error
from kdlearn.distill.jacobian import WithJacobian

MATCH = kd.Match("student.jacobian", "teacher.jacobian", squared_error)


def pair(**options):
    return {"student": WithJacobian(net(D, 7, 6, K, seed=1, **options))}, {
        "teacher": WithJacobian(net(D, 8, K, seed=2))
    }


@pytest.mark.parametrize(
    "objective",
    [
        MATCH,
        kd.CrossEntropy() + 0.3 * MATCH + kd.Match("student.h1", "student.h1", squared_error),
        0.5 * MATCH + kd.Match("student.jacobian", "teacher.jacobian", cosine_distance) + kd.SoftTargets(2),
    ],
    ids=["alone", "beside labels", "twice"],
)
@pytest.mark.parametrize("seed", [None, 3], ids=["as it is", "dropout"])
def test_a_step_follows_the_gradient(objective, seed):
    students, teachers = pair(dropout=0.3)
    kd.gradcheck.check_step(students, objective, batch(), teachers, seed=seed)


@pytest.mark.parametrize("seed", [None, 3], ids=["as it is", "dropout"])
def test_the_jacobian_by_central_differences(seed):
    student = pair(dropout=0.3)[0]["student"]
    x = batch()["x"]

    def run(x):
        return student.forward(x, None if seed is None else np.random.default_rng(seed))[0]

    J = run(x)["jacobian"].reshape(N, K, D)
    for k in range(K):
        expected = kd.gradcheck.numerical_gradient(lambda v, k=k: run(v)["logits"][:, k].sum(), x)
        np.testing.assert_allclose(J[:, k], expected, atol=1e-9)


def test_the_gradient_from_pytorchs_double_backward():
    torch = pytest.importorskip("torch")
    students, teachers = pair()
    student, teacher = students["student"], teachers["teacher"]
    x = batch()["x"]
    sites, caches = student.forward(x, taps=["jacobian"])
    value, gradient = squared_error(sites["jacobian"], teacher.forward(x, taps=["jacobian"])[0]["jacobian"])
    student.backward(caches, {"jacobian": gradient})

    def jacobian(net):
        x_ = torch.tensor(x, requires_grad=True)
        h, parameters = x_, []
        linear = [layer for layer in net.layers if isinstance(layer, kd.Linear)]
        for i, layer in enumerate(linear):
            W, b = (torch.tensor(p, requires_grad=True) for p in (layer.W, layer.b))
            parameters += [W, b]
            h = h @ W + b
            h = torch.relu(h) if i + 1 < len(linear) else h
        rows = [torch.autograd.grad(h[:, k].sum(), x_, create_graph=True)[0] for k in range(K)]
        return torch.stack(rows, dim=1), parameters, linear

    (J_s, parameters, linear), (J_t, _, _) = jacobian(student), jacobian(teacher)
    loss = 0.5 * ((J_s - J_t.detach()) ** 2).sum() / N
    assert value == pytest.approx(loss.item(), rel=1e-12)
    expected = torch.autograd.grad(loss, parameters, allow_unused=True)
    for layer, dW, db in zip(linear, expected[::2], expected[1::2]):
        np.testing.assert_allclose(layer.dW, dW.numpy(), atol=1e-13)
        assert db is None or not db.any()
        assert not layer.db.any()


def test_without_hidden_layers_the_jacobian_is_the_matrix():
    linear = WithJacobian(kd.MLP(3, 2, seed=0))
    J = linear.forward(np.ones((4, 3), np.float32))[0]["jacobian"]
    np.testing.assert_array_equal(J.reshape(4, 2, 3), np.broadcast_to(linear.layers[0].W.T, (4, 2, 3)))


def test_parameters_are_shared_until_it_is_copied():
    bare = kd.MLP(3, 5, 2, seed=0)
    wrapped = WithJacobian(bare)
    assert wrapped.theta is bare.theta and wrapped.grad is bare.grad and "jacobian" not in bare.taps
    twin = wrapped.copy()
    twin.theta += 1
    assert not np.shares_memory(twin.theta, bare.theta)
    x = np.ones((2, 3), np.float32)
    assert not np.allclose(twin.forward(x)[0]["jacobian"], wrapped.forward(x)[0]["jacobian"])
    np.testing.assert_array_equal(wrapped.predict_proba(x), bare.predict_proba(x))


def test_gradients_are_added_when_asked_and_never_stale():
    student = pair()[0]["student"]
    sites, caches = student.forward(batch()["x"])
    g = {"jacobian": np.ones_like(sites["jacobian"])}
    student.grad[...] = 7
    student.backward(caches, g)
    once = student.grad.copy()
    student.backward(caches, g)
    np.testing.assert_allclose(student.grad, 2 * once)


def test_it_is_not_there_where_the_second_derivative_is_not_zero():
    for options in ({"activation": kd.Tanh}, {"activation": kd.GELU}, {"layer_norm": True}):
        with pytest.raises(TypeError, match=r"Linear, ReLU and Dropout layers, not for (Tanh|GELU|LayerNorm)"):
            WithJacobian(kd.MLP(3, 4, 2, **options))


def test_same_on_every_backend(backend):
    students, teachers = pair(dropout=0.3)

    def trained(device):
        student, teacher = students["student"].copy().to(device), teachers["teacher"].to(device)
        columns = {name: kd.to_device(a, device) if hasattr(a, "ndim") else a for name, a in batch().items()}
        for step in range(3):
            kd.train_step(
                student, teacher, kd.CrossEntropy() + MATCH, columns,
                optimizer=kd.SGD(0.1), rng=np.random.default_rng(step),
            )  # fmt: skip
        return kd.to_numpy(student.theta)

    np.testing.assert_allclose(trained(backend.device), trained("cpu"), rtol=1e-9)


def test_slopes_can_be_learned():
    rng = np.random.default_rng(0)
    teacher = WithJacobian(kd.MLP(4, 16, 3, seed=1))
    student = WithJacobian(kd.MLP(4, 16, 3, seed=2))
    data = kd.Data({"x": rng.normal(size=(200, 4)).astype(np.float32)})
    history = kd.fit(student, MATCH, data, teachers=teacher, epochs=40, optimizer=kd.Adam(0.02), progress=False)
    assert history["loss"][-1] < 0.2 * history["loss"][0]
