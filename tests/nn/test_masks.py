"""Dropout's masks, drawn on the device."""

from __future__ import annotations

import numpy as np
import pytest

import kdlearn as kd


def test_each_entry_is_kept_with_its_probability(backend):
    masks = kd.DropoutMasks(3, backend.device, ahead=1000)
    for rate in (0.0, 0.2, 0.5, 0.999):
        keep = masks.keep((40, 500), rate)
        assert kd.array_module(keep) is kd.array_module(backend.put(0.0)) and keep.dtype == bool
        kept, n = kd.to_numpy(keep).sum(), 20_000
        assert abs(kept - n * (1 - rate)) <= 5 * np.sqrt(n * rate * (1 - rate))


@pytest.mark.parametrize("ahead", [1, 7, 1000])
def test_every_number_is_used_once(ahead):
    masks, drawn = kd.DropoutMasks(5, ahead=ahead), []
    for shape in ((3,), (2, 2), (5,)):
        drawn += masks.keep(shape, 0.5).ravel().tolist()
    assert drawn == (np.random.default_rng(5).random(12, dtype="float32") >= 0.5).tolist()


def test_dropout_takes_them_and_goes_back_through_the_same_mask(backend):
    layer, x = kd.Dropout(0.4), backend.put(np.ones((50, 80)))
    masks = kd.DropoutMasks(0, backend.device)
    y, cache = layer.forward(x, masks)
    seen = kd.to_numpy(y)
    np.testing.assert_allclose(np.unique(seen), [0, 1 / 0.6])
    np.testing.assert_array_equal(kd.to_numpy(layer.backward(x, cache)), seen)
    assert not np.array_equal(kd.to_numpy(layer.forward(x, masks)[0]), seen)


def test_nothing_waits_for_the_device_and_members_of_a_stack_differ(standin):
    stack = kd.Stack([kd.MLP(6, 30, 3, dropout=0.5, seed=0) for _ in range(2)]).to("cuda")
    masks, x = kd.DropoutMasks(0, "cuda"), kd.to_device(np.ones((2 * 40, 6), np.float32), "cuda")
    y = kd.to_device(np.zeros(80, int), "cuda")
    before = standin.syncs
    optimizer = kd.SGD(0.1)
    kd.train_step(stack, None, kd.CrossEntropy(), {"x": x, "y": y}, optimizer=optimizer, rng=masks)
    assert standin.syncs == before
    first, second = (kd.to_numpy(net.theta) for net in stack)
    assert not np.array_equal(first, second) and np.isfinite(first).all()


def test_masks_of_the_host_keep_the_mean_or_are_refused():
    for rate in (0.1, 0.5, 0.99, 0.999):
        y, _ = kd.Dropout(rate).forward(np.ones((2000, 2000)), np.random.default_rng(0))
        assert abs(y.mean() - 1) < 0.008 + 5 * np.sqrt(rate / (1 - rate) / y.size)
    for rate in (0.9991, 0.99999, 0.9999999):  # 16 bits would keep twice as many, or none
        with pytest.raises(ValueError, match="16 bits"):
            kd.Dropout(rate)
