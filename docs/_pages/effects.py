"""docs/evidence/effects.md: what the notebooks measured, read from their stored outputs.

An effect says which printed line of which cell holds it; mean, interval and seeds are read there, and
the verdict follows from them. So the page cannot say what no notebook says.
"""

from __future__ import annotations

import ast
import functools
import json
import re
import textwrap
from pathlib import Path
from typing import NamedTuple

import scipy.stats

import kdlearn as kd

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "evidence" / "effects.md"
MINUS, NO_BREAK = "\N{MINUS SIGN}", "\N{NO-BREAK SPACE}"
MEASURED = re.compile(r"([+-]\d+\.\d+) ± (\d+\.\d+)")
JUDGED = re.compile(MEASURED.pattern + r" +(helps|hurts|equal|not shown)\b")  # as `Trial.table` prints it
ZONE = 0.5  # points of accuracy in which nothing is claimed
UP, DOWN = ("helps", "hurts"), ("hurts", "helps")
STUDIES = ("kd.study.compare", "kd.study.trial")


class Effect(NamedTuple):
    """One paired difference: what was compared, and where the notebook prints it."""

    name: str
    notebook: str  # its two digits
    comparison: str
    cell: str  # what the source of this cell holds, alone of those that print intervals
    row: str  # how the printed line begins
    column: int = 0  # which difference of that line
    below: str = ""  # a printed line that comes before, where the cell prints several tables
    words: tuple[str, str] = UP  # what a positive and a negative difference are called
    unit: str = ""  # what is measured, if it is not points of test accuracy


class Found(NamedTuple):
    mean: float
    half: float
    text: str
    seeds: int
    printed: str  # the verdict that stands beside it in the notebook, or nothing


SECTIONS: dict[str, dict[str, list[Effect]]] = {
    "Soft labels": {
        "digits, 100 labels": [
            Effect("hinton", "00", "labels and soft labels, T = 4, against labels", "gain = study", "distillation:"),
            Effect("own labels", "00", "the same from a teacher that knows the same 100 labels, against labels",
                   "study = kd.study.compare(one_seed", "control: teacher of 100"),
            Effect("beyond", "00", "a teacher of 1097 labels against one of the same 100", "gain = study",
                   "of these"),
            Effect("T1", "03", "soft labels, T = 1, against labels, decay and length tuned for both",
                   "sweep = kd.study.trial", "T = 1 "),
            Effect("T4", "03", "soft labels, T = 4, against labels, decay and length tuned for both",
                   "sweep = kd.study.trial", "T = 4 "),
            Effect("T 4 to 8", "03", "T = 8 against T = 4, both tuned", "for cold, warm in zip", "from T = 4"),
            Effect("T1 long", "03", "soft labels, T = 1, against labels, 1000 epochs without decay for both",
                   "short = raw.difference", "T = 1 against labels, 1000"),
            Effect("no factor", "03", "soft labels, T = 50, without the factor T², against labels, 100 epochs",
                   "raw = kd.study.compare", "T = 50, no"),
            Effect("protocol", "04", "soft labels against labels, both tuned alike", "trial = kd.study",
                   "soft targets "),
            Effect("protocol labels", "04", "labels, decay and rate tuned, against labels without", "tuned = trial",
                   "tuning gives the labels"),
            Effect("tuned", "06", "soft labels against labels, decay and rate tuned for both", "chosen = kd.study",
                   "tuned distillation"),
            Effect("decay", "06", "labels with a tuned weight decay against labels without", "chosen = kd.study",
                   "what tuning brings"),
        ],
        "digits, 50 labels": [
            Effect("50", "06", "soft labels against labels", "curve = kd.study", "50 "),
        ],
        "digits, 500 labels": [
            Effect("500", "06", "soft labels against labels", "curve = kd.study", "500 "),
        ],
        "digits, all 1097 labels": [
            Effect("1097", "06", "soft labels, T = 4, against labels", "curve = kd.study", "1097 "),
            Effect("1097 cold", "06", "soft labels, T = 1, against labels", "print(\"all 1097 labels", "all 1097"),
            Effect("1097 hot", "06", "soft labels, T = 20, against labels", "print(\"all 1097 labels", "all 1097",
                   column=1),
        ],
        "digits, 100 labels, 15 of them wrong": [
            Effect("wrong labels", "06", "soft labels alone, T = 1, against labels alone", "def weight_effect",
                   "noisy labels, good teacher   w = 1  "),
        ],
        "MNIST-1D, 500 labels": [
            Effect("1d own", "07", "the teacher's answers, T = 4, against labels",
                   "study = kd.study.compare(one_seed", "own shape, own confidence"),
        ],
    },
    "What in a soft label teaches": {
        "digits, 100 labels": [
            Effect("smooth", "02", "labels smoothed by 0.1, T = 1, against labels",
                   "study = kd.study.compare(one_seed", "smoothing 0.1"),
            Effect("class mean", "02", "the image's own soft label against the mean of its class", "steps = [",
                   "teacher minus class mean"),
            Effect("mean smooth", "02", "the mean of the class against smoothing of equal entropy", "steps = [",
                   "class mean minus smoothed"),
            Effect("permuted", "02", "wrong classes permuted against smoothing of equal entropy", "steps = [",
                   "permuted minus smoothed"),
            Effect("how sure", "03", "only how sure the teacher is, T = 8, against labels, tuned alike",
                   "sweep = kd.study.trial", "T = 8, how sure"),
            Effect("flat rest", "03", "the teacher's confidence and a flat rest, T = 8, against labels, tuned alike",
                   "sweep = kd.study.trial", "T = 8, flat rest"),
            Effect("which wrong", "03", "only which wrong classes, T = 8, against labels, tuned alike",
                   "sweep = kd.study.trial", "T = 8, which wrong"),
        ],
        "MNIST-1D, 500 labels": [
            Effect("1d class", "07", "the mean of the class against smoothing", "def leg", "class:"),
            Effect("1d image", "07", "the image's own soft label against the mean of its class", "def leg", "image:"),
            Effect("1d shuffled", "07", "own numbers shuffled among the wrong classes, against labels",
                   "study = kd.study.compare(one_seed", "shuffled shape, own"),
        ],
        "MNIST-1D, 4000 labels": [
            Effect("4000 class", "07", "the mean of the class against smoothing", "def leg", "class:", column=1),
            Effect("4000 image", "07", "the image's own soft label against the mean of its class", "def leg",
                   "image:", column=1),
        ],
        "digits, a lesson without a 3": [
            Effect("no 3s", "08", "soft labels, T = 8, against labels, the same label-free bias for both",
                   "def ahead", "soft to hard", below="no 3s, T = 8"),
            Effect("bias", "08", "the label-free bias against none, soft labels, T = 8", "def ahead",
                   "label-free bias to raw", below="no 3s, T = 8"),
        ],
        "digits, a lesson of 7s and 8s": [
            Effect("7 and 8", "08", "soft labels, T = 8, against labels, the same label-free bias for both",
                   "def ahead", "soft to hard", below="only 7s and 8s, T = 8"),
        ],
    },
    "The teacher": {
        "digits, 200 images of a teacher of 1097, labels right": [
            Effect("heart cold", "05", "a teacher by heart, T = 1, against labels", "clean_trial = kd.study",
                   "by heart, T = 1"),
            Effect("heart", "05", "a teacher by heart, T tuned, against labels", "clean_trial = kd.study",
                   "by heart, T tuned"),
            Effect("stopped clean", "05", "a teacher stopped early against one by heart, T tuned",
                   "clean_trial = kd.study", "stopped, T tuned", column=1),
        ],
        "digits, 200 images of a teacher of 1097, a fifth of the labels random": [
            Effect("noisy heart", "05", "a teacher by heart against labels", "noise_trial = kd.study", "by heart"),
            Effect("noisy stop", "05", "a teacher stopped early against labels", "noise_trial = kd.study",
                   "stopped  "),
            Effect("noisy stop heart", "05", "a teacher stopped early against one by heart",
                   "noise_trial = kd.study", "stopped  ", column=1),
            Effect("noisy bare", "05", "the stopped teacher's probabilities against its bare classes",
                   "noise_trial = kd.study", "stopped: probabilities"),
            Effect("noisy dropout", "05", "a teacher with dropout 0.5 against labels", "noise_trial = kd.study",
                   "dropout"),
            Effect("noisy all", "05", "all 1097 labels, no teacher, against a teacher stopped early",
                   "noise_trial = kd.study", "all labels, no teacher: against"),
        ],
        "waves, 500 labels": [
            Effect("age 2", "14", "a teacher of 2 epochs against labels", "study = kd.study.compare(ages", "age 2"),
            Effect("age better", "14", "teacher of 60 epochs against 8: the teacher itself", "better = study",
                   "60 epochs against 8"),
            Effect("age worse", "14", "teacher of 60 epochs against 8: its student, on the teacher's own rows",
                   "better = study", "60 epochs against 8", column=1),
            Effect("age new", "14", "teacher of 60 epochs against 8: its student, on new rows", "better = study",
                   "60 epochs against 8", column=2),
            Effect("width", "14", "a teacher of width 256 against one of width 64", "pairs = {",
                   "width 256 - width 64"),
            Effect("assistant", "14", "an assistant taught on 2000 rows against the direct lesson", "pairs = {",
                   "assistant (2000) - direct"),
            Effect("assistant few", "14", "an assistant taught on the student's 500 rows against the direct lesson",
                   "pairs = {", "assistant (500) - direct"),
            Effect("assistant plain", "14", "the assistant of 2000 rows against a plain teacher of its size",
                   "pairs = {", "assistant (2000) - plain"),
        ],
    },
    "Other losses on logits": {
        "digits, 100 labels, one setting each": [
            Effect("dkd quick", "20", "DKD against plain soft labels", "first = kd.study", "DKD"),
            Effect("dist quick", "20", "DIST against plain soft labels", "first = kd.study", "DIST"),
        ],
        "digits, 100 labels, twelve settings tuned for each": [
            Effect("dkd", "20", "DKD against plain soft labels", "raw = kd.study", "DKD "),
            Effect("nkd", "20", "NKD against plain soft labels", "raw = kd.study", "NKD "),
            Effect("dist", "20", "DIST against plain soft labels", "raw = kd.study", "DIST "),
            Effect("standardised", "20", "standardised logits against plain soft labels", "raw = kd.study",
                   "standardised "),
        ],
    },
    "Features": {
        "MNIST-1D, 500 labels": [
            Effect("hint", "09", "labels and a hint against labels", "def beyond", "labels + hint "),
            Effect("hint soft", "09", "a hint beside soft labels against soft labels", "def beyond", "soft + hint "),
            Effect("hint untrained", "09", "a hint towards an untrained network, beside labels, against labels",
                   "def beyond", "labels + hint, untrained"),
            Effect("hint control", "09", "a hint from the trained teacher against one from an untrained network",
                   "trained = study", "hint: trained"),
            Effect("two stages", "09", "a hint learnt beside the rest against two stages", "trained = study",
                   "hint: trained", column=1),
            Effect("attention", "09", "attention transfer beside labels against labels", "def beyond",
                   "labels + attention"),
            Effect("attention soft", "09", "attention transfer beside soft labels against soft labels", "def beyond",
                   "soft + attention"),
            Effect("boundary", "09", "activation boundaries beside soft labels against soft labels", "def beyond",
                   "soft + boundary"),
            Effect("deep fits", "09", "labels alone, 16 layers of 24 against 2", "deep = kd.study", "16 layers",
                   below="             training", unit="training accuracy"),
            Effect("deep", "09", "labels alone, 16 layers of 24 against 2", "deep = kd.study", "16 layers",
                   below="                 test"),
        ],
        "digits, 100 labels": [
            Effect("digits hint", "09", "labels and a hint against labels", "digits = kd.study", "labels + hint "),
            Effect("digits hint soft", "09", "a hint beside soft labels against soft labels", "digits = kd.study",
                   "soft + hint "),
            Effect("digits stages", "09", "two stages against labels", "digits = kd.study", "labels, two stages"),
        ],
    },
    "Relations": {
        "digits, 100 labels": [
            Effect("sp", "10", "similarity beside labels against labels", "beyond the same base",
                   "labels + similarity ", below="--- digits"),
            Effect("pkt", "10", "PKT beside labels against labels", "beyond the same base", "labels + neighbours",
                   below="--- digits"),
            Effect("rkd", "10", "RKD distances beside labels against labels", "beyond the same base",
                   "labels + distance", below="--- digits"),
            Effect("sp soft", "10", "similarity beside soft labels against soft labels", "beyond the same base",
                   "soft + similarity ", below="--- digits"),
            Effect("pkt soft", "10", "PKT beside soft labels against soft labels", "beyond the same base",
                   "soft + neighbours", below="--- digits"),
            Effect("rkd soft", "10", "RKD distances beside soft labels against soft labels", "beyond the same base",
                   "soft + distance", below="--- digits"),
            Effect("sp labels", "10", "the teacher's similarities against those of the labels", "def against",
                   "digits:"),
        ],
        "MNIST-1D, 500 labels": [
            Effect("1d sp", "10", "similarity beside labels against labels", "beyond the same base",
                   "labels + similarity ", below="--- MNIST-1D"),
            Effect("1d rkd", "10", "RKD distances beside labels against labels", "beyond the same base",
                   "labels + distance", below="--- MNIST-1D"),
            Effect("1d sp soft", "10", "similarity beside soft labels against soft labels", "beyond the same base",
                   "soft + similarity ", below="--- MNIST-1D"),
            Effect("1d rkd soft", "10", "RKD distances beside soft labels against soft labels",
                   "beyond the same base", "soft + distance", below="--- MNIST-1D"),
            Effect("1d sp labels", "10", "the teacher's similarities against those of the labels", "def against",
                   "MNIST-1D:"),
            Effect("1d sp untrained", "10", "an untrained network's similarities beside labels, against labels",
                   "beyond the same base", "labels + similarity, untrained", below="--- MNIST-1D"),
        ],
    },
    "Self-distillation": {
        "digits, clean labels": [
            Effect("ban", "11", "generations with decay against labels with decay, both tuned", "clean = kd.study",
                   "generations + decay", column=1),
            Effect("pskd", "11", "PS-KD with decay against labels with decay, both tuned", "clean = kd.study",
                   "PS-KD", column=1),
            Effect("smooth clean", "11", "smoothed labels with decay against labels with decay, both tuned",
                   "clean = kd.study", "smoothed labels", column=1),
            Effect("pskd ece", "11", "PS-KD with decay against labels with decay", 'study.mean(way, "calibration")',
                   "PS-KD", below="--- clean", words=DOWN, unit="calibration error"),
        ],
        "digits, 40 % of the labels wrong": [
            Effect("decay noise", "11", "tuned weight decay against plain labels", "spoilt = kd.study",
                   "weight decay"),
            Effect("ban noise", "11", "generations without decay against plain labels", "spoilt = kd.study",
                   "generations "),
            Effect("ban short", "11", "generations without decay against labels for fewer epochs", "beside = spoilt",
                   "generations beyond"),
            Effect("ban noise decay", "11", "generations with decay against labels with decay, both tuned",
                   "spoilt = kd.study", "generations + decay", column=1),
            Effect("pskd noise", "11", "PS-KD with decay against labels with decay, both tuned", "spoilt = kd.study",
                   "PS-KD", column=1),
            Effect("smooth noise", "11", "smoothed labels with decay against labels with decay, both tuned",
                   "spoilt = kd.study", "smoothed labels", column=1),
        ],
        "digits, 200 labels": [
            Effect("exits", "11", "early exits taught by labels, averaged, against no exits, both tuned",
                   "floors = kd.study", "deep supervision"),
            Effect("byot", "11", "exits taught by the last layer too, against labels alone, both tuned",
                   "floors = kd.study", "taught by the end", column=1),
            Effect("mean teacher", "11", "mean teacher against labels, both tuned", "relatives = kd.study",
                   "mean teacher"),
            Effect("cs-kd", "11", "CS-KD against labels, both tuned", "relatives = kd.study", "CS-KD"),
            Effect("ddgsd", "11", "DDGSD against the labels of two views, both tuned", "relatives = kd.study",
                   "DDGSD", column=1),
        ],
    },
    "Several teachers, and peers": {
        "digits, eight teachers of 50 labels": [
            Effect("eight", "12", "the student of all eight against the best of its teachers", "divided = kd.study",
                   "student, votes"),
            Effect("majority", "12", "the student of their mean answer against that of their majority vote",
                   "divided = kd.study", "student, votes", column=1),
            Effect("one house", "12", "fifty labels of one house against the best of the eight teachers",
                   "divided = kd.study", "its 50 labels"),
        ],
        "digits, 100 labels, teachers of the same 1097": [
            Effect("three", "12", "three teachers against one", "alike = kd.study", "three"),
            Effect("five", "12", "five teachers against one", "alike = kd.study", "five"),
        ],
        "the same, with one teacher that learnt wrong labels": [
            Effect("liar mean", "12", "mean of the answers against the team without it", "corrupted = kd.study",
                   "+ liar: mean of answers"),
            Effect("liar sure", "12", "weights by certainty (EB-KD), against the team without it",
                   "corrupted = kd.study", "+ liar: whoever is sure"),
            Effect("liar sure labels", "12", "weights by certainty (EB-KD), against labels with tuned decay",
                   "corrupted = kd.study", "+ liar: whoever is sure", column=1),
            Effect("liar label", "12", "weights by the loss on the label (CA-MKD), against the team without it",
                   "corrupted = kd.study", "+ liar: whoever knows"),
            Effect("liar median", "12", "the median, against the team without it", "corrupted = kd.study",
                   "+ liar: median"),
            Effect("liar gradient", "12", "the shortest common gradient (AE-KD), against the team without it",
                   "corrupted = kd.study", "+ liar: shortest"),
        ],
        "MNIST-1D, 4000 labels": [
            Effect("dml", "13", "mutual learning of two equals against each alone, without decay",
                   "equals = kd.study.trial", "mutual "),
            Effect("peer decay", "13", "tuned weight decay against none, each alone", "equals = kd.study.trial",
                   "weight decay"),
            Effect("dml decay", "13", "mutual learning with decay against decay alone, both tuned",
                   "equals = kd.study.trial", "mutual + decay", column=1),
            Effect("kdcl", "13", "KDCL (min) with decay against decay alone, both tuned", "equals = kd.study.trial",
                   "KDCL + decay", column=1),
            Effect("dml average", "13", "mutual learning with decay against decay alone: the average of the two",
                   "average of the two", "mutual + decay"),
            Effect("dml large", "13", "mutual learning of weight 1, decay 0.3: the large one of two unequals",
                   "unequals = kd.study", "large peer, weight 1 "),
            Effect("dml small", "13", "mutual learning of weight 1, decay 0.3: the small one",
                   "unequals = kd.study", "small peer, weight 1 "),
            Effect("dml large light", "13", "mutual learning of weight 0.1, decay 0.3: the large one",
                   "unequals = kd.study", "large peer, weight 0.1"),
        ],
        "MNIST-1D, 500 labels": [
            Effect("500 dml", "13", "mutual learning with decay against decay alone, both tuned",
                   "five_hundred = kd.study", "mutual"),
            Effect("500 teacher", "13", "a teacher of 4000 labels against labels, both with tuned decay",
                   "five_hundred = kd.study", "teacher"),
        ],
    },
    "Generation": {
        "a made-up language, 3000 letters": [
            Effect("forward ppl", "15", "forward KL against labels", "study = kd.study.compare(one_seed",
                   "forward KL", below="perplexity", words=DOWN, unit="perplexity"),
            Effect("reverse ppl", "15", "reverse KL against labels", "study = kd.study.compare(one_seed",
                   "reverse KL", below="perplexity", words=DOWN, unit="perplexity"),
            Effect("reverse real", "15", "reverse KL against forward KL", "own text - given text", "real",
                   unit="words that exist, points"),
            Effect("reverse used", "15", "reverse KL against forward KL", "own text - given text", "used",
                   unit="words in use"),
            Effect("own text", "15", "the student's own text against given text, reverse KL", "own text - given text",
                   "real", column=1, unit="words that exist, points"),
            Effect("own text ppl", "15", "the student's own text against given text, reverse KL",
                   "own text - given text", "perplexity", column=1, words=DOWN, unit="perplexity"),
            Effect("sequence", "15", "labels on the teacher's text against labels on the given text",
                   "study = kd.study.compare(one_seed", "teacher's text, labels", below="perplexity", words=DOWN,
                   unit="perplexity"),
        ],
    },
    "Transfer": {
        "a rule made for trees, 500 labels": [
            Effect("trees same", "16", "boosted trees teach on the same 500 rows, against labels",
                   "study = kd.study.compare(from_trees", "trees' answers, same rows", below="right, %"),
            Effect("trees new", "16", "boosted trees teach on 4000 unlabelled rows, against labels",
                   "study = kd.study.compare(from_trees", "trees' answers, new rows", below="right, %"),
            Effect("regression new", "16", "regression: the same on 4000 unlabelled rows",
                   "study = kd.study.compare(from_trees", "trees' answers, new rows", below="error", words=DOWN,
                   unit="root mean square error"),
        ],
        "digits, a student of four classes": [
            Effect("specialist", "16", "a teacher of ten classes on unlabelled rows of the four, against 20 labels",
                   "few = kd.study", "all of the four, teacher"),
            Effect("other six", "16", "the same on rows of the other six classes alone", "few = kd.study",
                   "the other six"),
        ],
        "digits, 30 labels of three new classes": [
            Effect("new features", "16", "the features of a teacher of seven classes against from scratch",
                   "new = kd.study", "teacher's features"),
            Effect("new answers", "16", "its answers as a second task against from scratch", "new = kd.study",
                   "teacher's answers too"),
        ],
    },
    "Deployment": {
        "digits, all 1097 labels": [
            Effect("int8", "17", "8 bits a weight, one scale a unit, against float32", "fewer = kd.study",
                   "distilled: 8 bits per unit"),
            Effect("int3", "17", "3 bits a weight, one scale a unit, against float32", "fewer = kd.study",
                   "distilled: 3 bits per unit"),
            Effect("forest", "17", "labels alone against a forest's answers", "fewer = kd.study", "labels: float32"),
            Effect("sturdy", "17", "distilled against not: what 3 bits change", "robust = {}", "3 bits per unit"),
            Effect("early", "17", "early exits, threshold by validation, against the last layer", "early = kd.study",
                   "chosen by validation"),
        ],
    },
    "Mistakes": {
        "digits, 100 labels": [
            Effect("stale", "19", "cached soft labels out of step with the shuffle, against right ones",
                   "museum = kd.study", "out_of_step"),
            Effect("logarithm", "19", "the student's probabilities where log-probabilities belong",
                   "museum = kd.study", "no_logarithm"),
            Effect("swapped", "19", "the arguments of the divergence exchanged", "museum = kd.study", "swapped"),
            Effect("forgotten", "19", "a forgotten T² at T = 4", "museum = kd.study", "no_square_of_T"),
            Effect("awake", "19", "a teacher with its dropout on", "museum = kd.study", "teacher awake"),
            Effect("entries", "19", "a mean over rows and classes, its weight not tuned again", "museum = kd.study",
                   "mean_over_entries"),
            Effect("clamped", "19", "a floor of 0.001 under the student's probabilities", "museum = kd.study",
                   "clamped"),
            Effect("placebo", "19", "cross-entropy times 3 at one small rate for both", "placebo = kd.study",
                   "both at 0.1 "),
            Effect("placebo tuned", "19", "cross-entropy times 3, each at its own rate", "placebo = kd.study",
                   "each tuned"),
            Effect("no baseline", "19", "soft labels against labels, only the soft labels tuned",
                   "untuned = np.array", "soft targets, tuned, against labels, not tuned"),
            Effect("baseline", "19", "soft labels against labels, both tuned alike", "found = kd.study.trial",
                   "soft targets "),
        ],
    },
}  # fmt: skip

# Claim and source, and what was found here; names in braces are effects.
NOT_REPRODUCED = [
    (
        "Deep and thin networks need hints to be trained (Romero et al. 2015).",
        "Sixteen layers of 24 units fit their rows from labels alone: {deep fits} of training accuracy against two "
        "layers, and no loss on the test rows: {deep}. A hint helps there for another reason, {hint}; on digits it "
        "does harm, {digits hint}.",
    ),
    (
        "A hint belongs into a stage of its own (Romero et al. 2015).",
        "Learnt beside the rest it is {two stages} better, at an equal number of steps.",
    ),
    (
        "Attention transfer helps (Zagoruyko and Komodakis 2017).",
        "{attention} beside labels, {attention soft} beside soft labels. A dense layer has no places, and places "
        "are what it was made for.",
    ),
    (
        "Relations add to soft targets (Tung and Mori 2019; Passalis and Tefas 2018; Park et al. 2019).",
        "On digits no: {sp soft}, {pkt soft}, {rkd soft}. On MNIST-1D similarity does, {1d sp soft}; distances do "
        "not, {1d rkd soft}.",
    ),
    (
        "A generation taught by its equal is better than it (Furlanello et al. 2018).",
        "On clean labels, with decay tuned for both: {ban}. With 40 % wrong labels {ban noise} without decay, but "
        "decay alone brings {decay noise}, and generations beyond it {ban noise decay}.",
    ),
    (
        "PS-KD raises accuracy and calibrates (Kim et al. 2021).",
        "Accuracy beyond tuned decay: {pskd} on clean labels, {pskd noise} with 40 % wrong ones. Calibration error: "
        "{pskd ece}, and more is worse.",
    ),
    (
        "Exits gain from being taught by the last layer (Zhang et al. 2019).",
        "Exits gain, {exits}; teaching them adds {byot}. What helps is deep supervision.",
    ),
    (
        "Mutual learning helps large peers too, and beats a static teacher (Zhang et al. 2018).",
        "Of two equals each gains {dml} without decay; decay alone brings {peer decay}, and peers beyond it {dml "
        "decay}. The large one of two unequals pays {dml large}. A static teacher of more labels is worth {500 "
        "teacher} where peers gain {500 dml}.",
    ),
    (
        "DKD, NKD, DIST and standardised logits beat plain distillation (Zhao et al. 2022; Yang et al. 2023; Huang "
        "et al. 2022; Sun et al. 2024).",
        "Each tuned over twelve settings, against plain soft labels tuned over as many: {dkd}, {nkd}, {dist}, "
        "{standardised}.",
    ),
    (
        "A teacher assistant bridges the gap (Mirzadeh et al. 2020).",
        "Against the direct lesson: {assistant} if the assistant hears the teacher on 2000 rows, {assistant few} on "
        "the student's 500. Against a plain teacher of the assistant's size: {assistant plain}.",
    ),
    (
        "A student should learn on its own text (Agarwal et al. 2024; Gu et al. 2024).",
        "Words that exist: {own text}; perplexity: {own text ppl}, and more is worse. Forty letters are too short "
        "for mistakes to feed on themselves.",
    ),
    (
        "What a teacher has learnt helps with classes that it never saw.",
        "{new features} by its features, {new answers} by its answers.",
    ),
]  # fmt: skip

# Methods that the package holds and no notebook measures: name -> the word that would show it in a notebook's code.
UNMEASURED = {
    "total variation": "total_variation",
    "cosine of the features": "cosine_distance",
    "neuron selectivity (NST)": "neuron_selectivity",
    "in-batch contrast (CRD)": "info_nce",
    "FSP": "fsp",
    "VID": "vid",
    "Jacobian matching": "WithJacobian",
    "RKD angles": "relational_angle(",
    "correlation congruence": "correlation_congruence(",
    "Tf-KD": "virtual_teacher",
    "knowledge adjustment": "corrected_teacher",
    "WSLD": "need_of_teaching",
    "noisy teachers": "noisy_teacher",
    "CTKD": "AdversarialTemperature",
    "annealed temperature": "ScheduledTemperature",
    "ONE": "branches.one(",
    "CL-ILR": "cl_ilr",
    "OKDDip": "okddip",
    "codistillation": "codistillation",
    "DGKD": "densely_guided",
    "RCO": "follow(",
    "bounded regression": "bounded_regression",
}


def effects():
    """`(heading, data, effect)` of every effect, in the order of the page."""
    return [(head, data, e) for head, groups in SECTIONS.items() for data, those in groups.items() for e in those]


@functools.cache
def notebook(number):
    """`(path, code cells)` of a notebook."""
    (path,) = (ROOT / "notebooks").glob(f"{number}_*.ipynb")
    cells = json.loads(path.read_text("utf-8"))["cells"]
    return path, [("".join(c["source"]), printed(c)) for c in cells if c["cell_type"] == "code"]


def printed(cell):
    return "".join("".join(o["text"]) for o in cell["outputs"] if o["output_type"] == "stream")


def found(e):
    """What the notebook prints of an effect."""
    path, cells = notebook(e.notebook)
    places = [i for i, (source, text) in enumerate(cells) if e.cell in source and "±" in text]
    assert len(places) == 1, f"{e.name}: {len(places)} cells of {path.name} hold {e.cell!r} and print an interval"
    lines = cells[places[0]][1].splitlines()
    if e.below:
        starts = [i for i, line in enumerate(lines) if line.startswith(e.below)]
        assert starts, f"{e.name}: {path.name} prints no line {e.below!r}"
        lines = lines[starts[0] + 1 :]
    line = next((line for line in lines if line.lstrip().startswith(e.row)), None)
    assert line is not None, f"{e.name}: {path.name} prints no line {e.row!r} there"
    mean, half = MEASURED.findall(line)[e.column]
    judged = {(m, h): word for m, h, word in JUDGED.findall(line)}
    text = f"{mean.replace('-', MINUS)}{NO_BREAK}±{NO_BREAK}{half}"
    return Found(float(mean), float(half), text, seeds(cells[: places[0] + 1]), judged.get((mean, half), ""))


def verdicts():
    """{effect: word}: what the notebook prints, or else the rule of `kd.study.verdicts` over the rows of a section."""
    words = {}
    for groups in SECTIONS.values():
        rows = [(e, found(e)) for those in groups.values() for e in those]
        words |= {e.name: f.printed for e, f in rows if f.printed}
        open_ = [(e, f) for e, f in rows if not f.printed]
        adjusted = kd.study.holm([p_value(f) for _, f in open_])
        for (e, f), p in zip(open_, adjusted):
            zone = 0.0 if e.unit else ZONE
            strict = f.half * quantile(f.seeds, 1 - 0.05 / len(open_)) / quantile(f.seeds, 0.95)
            if abs(f.mean) + strict <= zone:
                words[e.name] = "equal"
            else:
                shown = p < 0.05 and abs(f.mean) > zone
                words[e.name] = e.words[f.mean < 0] if shown else "not shown"
    return words


def quantile(n, level):
    """Half of the interval of this level, in standard errors, over n seeds."""
    return float(scipy.stats.t.ppf(0.5 + level / 2, n - 1))


def p_value(f):
    """Of a t-test, from a mean and half of its 95 % interval."""
    if f.half == 0:
        return float(f.mean == 0)
    return float(2 * scipy.stats.t.sf(abs(f.mean) / f.half * quantile(f.seeds, 0.95), f.seeds - 1))


def seeds(cells):
    """The number of seeds of the last study in these cells."""
    names, n = {}, None
    for source, _ in cells:
        for node in ast.walk(ast.parse(source.replace("%matplotlib", "#"))):
            if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
                names[node.targets[0].id] = node.value
            if isinstance(node, ast.Call) and ast.unparse(node.func) in STUDIES:
                given = [k.value for k in node.keywords if k.arg == "seeds"] or node.args[1:2]
                value = names.get(given[0].id) if isinstance(given[0], ast.Name) else given[0]
                n = ast.literal_eval(value.args[0] if isinstance(value, ast.Call) else value)
    return n


def page():
    rows = effects()
    measured = {e.name: found(e) for _, _, e in rows}
    words = verdicts()
    counts = {word: list(words.values()).count(word) for word in ("helps", "hurts", "equal", "not shown")}
    text = [
        f"""# Effects

What the notebooks measured, one row an effect. The numbers are read from the notebooks' stored outputs by
`python docs/pages.py`, and a test holds this page to them.

**How to read a row.** The difference is paired: within a seed both sides share the split, the initial weights and the
order of the batches. After ± stands half of the 95 % interval of its mean over the seeds. Unless a row says otherwise,
it is in points of test accuracy.

**The verdict** is the notebook's own where it prints one. Elsewhere the same rule is used here, with the rows of a
section for a table: *helps* and *hurts* where Holm's test finds an effect above {ZONE:g} points; *equal* where the
effect is surely smaller; *not shown* for the rest, which does not mean that there is no effect.

Of {len(rows)} rows {counts["helps"]} help, {counts["hurts"]} hurt, {counts["equal"]} are equal and
{counts["not shown"]} show nothing.

**What was tuned.** Where a row says *tuned*, validation chose among as many settings for either side; in 10, and on
MNIST-1D in 09, between two learning rates for each method. Elsewhere one rate served both sides; the notebook says
which.

**What an interval covers.** New initial weights, orders and, on digits, splits; not another data set, another size of
network or another field. All students are small multilayer perceptrons."""
    ]
    for head, groups in SECTIONS.items():
        text += ["", f"## {head}", "", "| notebook | data | comparison | difference | seeds | verdict |"]
        text += ["|---|---|---|---|---|---|"]
        for data, those in groups.items():
            for e in those:
                path, f = notebook(e.notebook)[0], measured[e.name]
                unit = f", {e.unit}" if e.unit else ""
                text.append(
                    f"| [{e.notebook}](../../notebooks/{path.name}) | {data} | {e.comparison} | {f.text}{unit} "
                    f"| {f.seeds} | {words[e.name]} |"
                )
    text += [
        """
## What was not reproduced

Published claims that were tried and not found here. Most were made for convolutional networks and larger data, and
nothing here contradicts them there.

| claim | here |
|---|---|"""
    ]
    for claim, here in NOT_REPRODUCED:
        text.append(f"| {claim} | {re.sub(r'{([^}]*)}', lambda m: measured[m[1]].text, here)} |")
    unmeasured = (
        "**Tested, not measured.** For these methods the tests hold value and gradient to independent witnesses; no "
        f"notebook says whether they help: {', '.join(UNMEASURED)}. The notebook on the GPU measures times, not "
        "effects, and was run without a GPU."
    )
    text += ["", textwrap.fill(unmeasured, 118)]
    return "\n".join(text) + "\n"
