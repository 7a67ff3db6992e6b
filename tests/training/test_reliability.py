"""An index of bad inputs and faults: each case, and the test that holds its outcome.

The list is checked against the files, so that a case cannot silently lose its test.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

CASES = {
    "NaN in x": ("training", "NaN in x"),
    "infinity in x": ("training", "inf in x"),
    "NaN in a teacher's logits": ("training", "NaN logits"),
    "-inf masks a class": ("training", "test_masked_teacher_classes_are_fine"),
    "+inf in logits": ("training", "+inf logits"),
    "a row of -inf": ("training", "all masked"),
    "logits of 1e4": ("response", "test_extreme_logits_stay_finite_and_positive"),
    "float16 logits of 6e4": ("response", "test_half_precision_computes_in_single"),
    "the widest float64 spread": ("response", "test_the_widest_float64_spread_is_never_nan"),
    "x of one dimension": ("training", "x 1-D"),
    "x of three dimensions": ("training", "x 3-D"),
    "zero rows in fit": ("training", "zero rows"),
    "zero rows in predict": ("network", "net.predict(x[:0]).shape == (0,)"),
    "zero features": ("training", "no features"),
    "x and y of different length": ("data", "one length"),
    "continuous labels": ("training", "labels continuous"),
    "labels out of range": ("training", "label too large"),
    "labels out of range on a device": ("training", "test_labels_out_of_range_are_found_on_a_device_too"),
    "one class": ("estimators", "one class"),
    "one-hot labels": ("training", "labels one-hot"),
    "labels that are text": ("estimators", "test_classes_of_any_kind_and_order"),
    "booleans, integers, objects that are numbers": ("training", "test_object_numbers_bools_and_integers_are_cast"),
    "complex x": ("training", "complex"),
    "text in x": ("training", "text"),
    "sparse x": ("training", "test_sparse_x_says_make_it_dense"),
    "any memory layout": ("training", "test_memory_layout_does_not_matter"),
    "read-only arrays": ("training", "test_input_is_not_modified_and_may_be_read_only"),
    "memory-mapped arrays": ("data", "test_soft_labels_stream_into_a_file"),
    "a batch larger than the data": ("training", "test_a_batch_larger_than_the_data_is_one_batch"),
    "nonsense batch sizes": ("training", '{"batch_size": True}'),
    "a smaller last batch": ("training", "test_the_history_is_a_mean_over_the_rows_that_count"),
    "T of zero, negative, NaN, infinite, a list": ("functional", "test_bad_temperatures"),
    "T as a 0-d array": ("functional", "test_a_zero_dimensional_temperature_will_do"),
    "T of 1e-8": ("response", "test_nearly_zero_temperature_is_finite"),
    "T of 1e8": ("response", "test_the_limit_of_high_temperature_is_logit_matching"),
    "a weight outside [0, 1]": ("estimators", "soft_weight"),
    "learning rates of zero, negative, NaN": ("optim", "test_bad_settings"),
    "divergence": ("training", "test_divergence_is_found_and_undone"),
    "a teacher with its classes in another order": ("estimators", "Reversed"),
    "a teacher of other classes": ("estimators", "LogisticRegression().fit(X_, Y_ % 2)"),
    "a teacher without predict_proba": ("estimators", "RidgeClassifier()"),
    "probabilities that do not sum to 1": ("estimators", "sum to 1"),
    "negative probabilities": ("estimators", "negative"),
    "probabilities slightly off": ("estimators", "test_probabilities_slightly_off_are_renormalised_with_a_warning"),
    "probabilities of exactly 0 and 1": ("estimators", "test_probabilities_of_exactly_zero_and_one_are_fine"),
    "teacher_proba of other rows": ("estimators", "P_[:20]"),
    "bad sample weights": ("estimators", "np.full(30, np.nan)"),
    "predict before fit": ("estimators", "test_before_fit_and_with_other_width"),
    "predict with another width": ("network", "x has 5 features, the network takes 4"),
    "an unknown parameter": ("estimators", "temprature"),
    "the same seed": ("training", "test_same_seed_same_bits_other_seed_other_bits"),
    "NumPy's global generator": ("training", "test_the_global_generator_is_left_alone"),
    "no CuPy": ("backend", "test_no_cupy_is_one_clear_error"),
    "no GPU on the command line": ("demo", "test_no_gpu_is_one_line"),
    "device auto": ("backend", "test_auto_says_once_what_it_chose"),
    "arrays of two backends": ("training", "test_arrays_of_two_backends_are_not_mixed"),
    "out of memory": ("training", "batch_size below 16"),
    "an interrupt": ("training", "KeyboardInterrupt"),
    "killed while saving": ("checkpoint", "test_killed_while_saving_leaves_a_whole_checkpoint"),
    "resumed": ("checkpoint", "test_a_resumed_run_equals_an_uninterrupted_one"),
    "killed while training": ("checkpoint", "test_a_killed_training_resumes"),
    "truncated, empty, flipped": ("checkpoint", "a bit flipped"),
    "a pickle inside": ("checkpoint", "a pickle inside"),
    "a trillion elements": ("checkpoint", "a trillion elements"),
    "another format version": ("checkpoint", "another format version"),
    "missing, extra, wrong shapes": ("checkpoint", "test_wrong_shapes_are_named"),
    "a path that climbs out": ("checkpoint", "a path that climbs out"),
    "a full disk": ("checkpoint", "test_a_failed_save_leaves_the_old_file"),
    "two writers": ("checkpoint", "test_two_writers_never_mix"),
    "a transposed array": ("checkpoint", "np.transpose"),
    "saved on a GPU": ("checkpoint", "test_weights_saved_on_a_device_load_on_the_host"),
    "wrong command lines": ("demo", "test_wrong_options_exit_with_2_and_one_line"),
    "no matplotlib": ("structure", "test_plots_without_matplotlib_say_how_to_get_it"),
    "no warning on valid data": ("training", "test_valid_data_raises_no_warning"),
    "worker processes": ("study", "test_a_sweep_is_the_same_bits_however_it_runs"),
    "one output as a classifier": ("training", "test_one_output_cannot_classify"),
    "a hidden layer of no units": ("network", "kd.MLP(4, 0, 3)"),
}


@pytest.mark.parametrize("case", CASES)
def test_the_case_has_its_test(case):
    file, text = CASES[case]
    (path,) = (ROOT / "tests").rglob(f"test_{file}.py")
    assert text in path.read_text("utf-8")


def test_notebooks_do_not_depend_on_where_they_are_run():
    """They read no file of the repository and no path relative to it."""
    notebooks = sorted((ROOT / "notebooks").glob("*.ipynb"))
    assert notebooks
    for path in notebooks:
        cells = json.loads(path.read_text("utf-8"))["cells"]
        code = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code")
        assert not re.search(r"""["']\.\.?/|os\.getcwd|os\.chdir|%cd""", code), path.name
