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

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "evidence" / "effects.md"
MINUS, NO_BREAK = "\N{MINUS SIGN}", "\N{NO-BREAK SPACE}"
MEASURED = re.compile(r"([+-]\d+\.\d+) ± (\d+\.\d+)")
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
    verdict: str


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
        "digits, clean labels": [
            Effect("dropout", "05", "student of a teacher with dropout 0.3 against none", "clean: entropy",
                   "dropout 0.3", below="--- clean: student"),
        ],
        "digits, a fifth of the labels random": [
            Effect("noisy dropout", "05", "student of a teacher with dropout 0.5 against none", "noisy: entropy",
                   "dropout 0.5", below="--- noisy: student"),
            Effect("noisy early", "05", "student of a teacher stopped early against one trained on", "noisy: entropy",
                   "stopped early", below="--- noisy: student"),
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
            Effect("ban 2", "11", "generation 2 against generation 1", "SEEDS = range", "generation 2",
                   below="--- clean"),
            Effect("ban 3", "11", "generation 3 against generation 1", "SEEDS = range", "generation 3 ",
                   below="--- clean"),
            Effect("pskd", "11", "PS-KD against plain training", "SEEDS = range", "last epoch", below="--- clean"),
            Effect("independent", "11", "the average of three independent networks against one", "SEEDS = range",
                   "average of independent", below="--- clean"),
            Effect("pskd ece", "11", "PS-KD against plain training", "study.table('calibration')", "last epoch",
                   below="--- clean", words=DOWN, unit="calibration error"),
        ],
        "digits, 40 % of the labels wrong": [
            Effect("ban noise", "11", "generation 3 against generation 1", "SEEDS = range", "generation 3 ",
                   below="--- 40 %"),
            Effect("ban noise start", "11", "the same with one set of initial weights", "SEEDS = range",
                   "generation 3, same", below="--- 40 %"),
            Effect("pskd noise", "11", "PS-KD against plain training", "SEEDS = range", "last epoch",
                   below="--- 40 %"),
            Effect("ban noise ece", "11", "generation 3 against generation 1", "study.table('calibration')",
                   "generation 3 ", below="--- 40 %", words=DOWN, unit="calibration error"),
        ],
        "digits, 200 labels": [
            Effect("exits", "11", "early exits taught by labels, averaged, against no exits", "doors = kd.study",
                   "deep supervision: average"),
            Effect("byot", "11", "exits taught by the last layer too, against labels alone", "doors = kd.study",
                   "what the teaching adds"),
        ],
    },
    "Several teachers, and peers": {
        "digits, eight teachers of 50 labels": [
            Effect("eight", "12", "the student of all eight against the best of its teachers", "def beyond(a, b)",
                   "student of 8 beyond the best"),
            Effect("team", "12", "the student of all eight against the team itself", "def beyond(a, b)",
                   "student of 8 beyond its own"),
            Effect("votes", "12", "mean of the answers against mean of the logits", "def beyond(a, b)",
                   "votes beyond"),
        ],
        "digits, 100 labels, teachers of the same 1097": [
            Effect("one or three", "12", "one teacher against three", "corrupted = kd.study", "1 honest"),
        ],
        "the same, with one teacher that learnt wrong labels": [
            Effect("liar mean", "12", "mean of the answers against the team without it", "corrupted = kd.study",
                   "+ liar: mean of answers"),
            Effect("liar sure", "12", "weights by certainty (EB-KD), against the team without it",
                   "corrupted = kd.study", "+ liar: whoever is sure"),
            Effect("liar label", "12", "weights by the loss on the label (CA-MKD), against the team without it",
                   "corrupted = kd.study", "+ liar: whoever knows"),
            Effect("liar median", "12", "the median, against the team without it", "corrupted = kd.study",
                   "+ liar: median"),
            Effect("liar gradient", "12", "the shortest common gradient (AE-KD), against the team without it",
                   "corrupted = kd.study", "+ liar: shortest"),
        ],
        "MNIST-1D, 4000 labels": [
            Effect("dml", "13", "mutual learning of two equals against each alone",
                   "equals = kd.study.compare(equals_seed", "mutual ", below="                       peer"),
            Effect("dml average", "13", "the same: the average of the two", "equals = kd.study.compare(equals_seed",
                   "mutual ", below="                    average"),
            Effect("dml large", "13", "mutual learning: the large one of two unequals", "unequals = kd.study",
                   "mutual learning", column=1),
            Effect("dml small", "13", "mutual learning: the small one", "unequals = kd.study", "mutual learning"),
            Effect("kdcl", "13", "KDCL (min) against each alone", "equals = kd.study.compare(equals_seed",
                   "KDCL, min", below="                       peer"),
            Effect("4000 teacher", "13", "a trained teacher of the same labels against labels", "hired = kd.study",
                   "4000 labels, teacher"),
        ],
        "MNIST-1D, 500 labels": [
            Effect("500 dml", "13", "mutual learning against each alone", "hired = kd.study", "500 labels, mutual"),
            Effect("500 teacher", "13", "a trained teacher of 4000 labels against labels", "hired = kd.study",
                   "500 labels, teacher"),
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
    "Forgetting": {
        "MNIST, then Fashion-MNIST, 1000 rows each, two heads": [
            Effect("lwf", "22", "own old answers (LwF) against fine-tuning, all tuned", "two = kd.study.trial",
                   "own answers", unit="mean of both tasks"),
            Effect("lwf anchor", "22", "the same against an anchor at the old weights", "two = kd.study.trial",
                   "own answers", column=1, unit="mean of both tasks"),
            Effect("lwf trunk", "22", "the same against a frozen trunk", "two = kd.study.trial", "own answers",
                   column=2, unit="mean of both tasks"),
            Effect("lwf joint", "22", "the same against all old rows replayed", "gap = two.difference",
                   "own answers against", unit="mean of both tasks"),
        ],
        "digits 0 to 4, then 5 to 9, one softmax": [
            Effect("lwf one", "22", "own old answers (LwF) against fine-tuning, all tuned", "ten = kd.study.trial",
                   "own answers"),
            Effect("replay", "22", "25 old rows replayed against fine-tuning", "ten = kd.study.trial", "25 rows  "),
            Effect("der", "22", "their past logits (DER) against their labels", "ten = kd.study.trial",
                   "25 rows, past logits", column=1),
            Effect("icarl", "22", "their labels and old outputs as yes and no (iCaRL) against the labels",
                   "ten = kd.study.trial", "25 rows, yes and no", column=1),
            Effect("lwf beside", "22", "their labels and own old answers against the labels", "ten = kd.study.trial",
                   "25 rows, own answers", column=1),
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
            Effect("placebo", "19", "cross-entropy times 3 at one small rate for both", "def placebo_gain",
                   "the placebo"),
            Effect("placebo tuned", "19", "cross-entropy times 3, each at its own rate", "def placebo_gain",
                   "the placebo", column=1),
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
        "On clean labels: {ban 2} and {ban 3}. With 40 % wrong labels it is, {ban noise}.",
    ),
    (
        "PS-KD raises accuracy and calibrates (Kim et al. 2021).",
        "Accuracy on clean labels: {pskd}; with 40 % wrong ones {pskd noise}. Calibration error: {pskd ece}, and "
        "more is worse.",
    ),
    (
        "Exits gain from being taught by the last layer (Zhang et al. 2019).",
        "Exits gain, {exits}; teaching them adds {byot}. What helps is deep supervision.",
    ),
    (
        "Mutual learning helps large peers too, and beats a static teacher (Zhang et al. 2018).",
        "Of two equals each gains {dml}; the large one of two unequals pays {dml large}. A static teacher of more "
        "labels is worth {500 teacher} where peers gain {500 dml}; one of the same 4000 labels is worth {4000 "
        "teacher}.",
    ),
    (
        "Past logits of kept rows beat their labels (DER against replay, Buzzega et al. 2020).",
        "With one old task and logits kept once, at its end, they lose {der}. Old outputs as yes and no, beside the "
        "labels, add {icarl}.",
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
    "mean teacher": "MovingAverage",
    "CS-KD": "same_class",
    "DDGSD": "agreeing_views",
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
    verdict = e.words[float(mean) < 0]
    size, edge = abs(float(mean)), float(half)
    if size < edge or (size == edge and not clear_of_zero(lines, line)):
        verdict = "no effect shown"
    text = f"{mean.replace('-', MINUS)}{NO_BREAK}±{NO_BREAK}{half}"
    return Found(float(mean), float(half), text, seeds(cells[: places[0] + 1]), verdict)


def clear_of_zero(lines, line):
    """Whether a table of `Comparison.table`, which knows more digits than it prints, shows an effect in this line."""
    above = lines[: lines.index(line)]
    table = above[max((i for i, text in enumerate(above) if not text), default=-1) + 1 :]
    return any("difference to" in text for text in table) and "no effect shown" not in line


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
    counts = {word: sum(f.verdict == word for f in measured.values()) for word in ("helps", "no effect shown", "hurts")}
    text = [
        f"""# Effects

What the notebooks measured, one row an effect. The numbers are read from the notebooks' stored outputs by
`python docs/pages.py`, and a test holds this page to them.

**How to read a row.** The difference is paired: within a seed both sides share the split, the initial weights and the
order of the batches. After ± stands half of the 95 % interval of its mean over the seeds. Unless a row says otherwise,
it is in points of test accuracy. The verdict follows from the interval alone: *helps* and *hurts* where it leaves zero
out, *no effect shown* where it holds zero, which does not mean that there is none.

Of {len(rows)} rows {counts["helps"]} help, {counts["hurts"]} hurt, and {counts["no effect shown"]} show no effect.
With so many intervals some leave zero out by chance: one in twenty where nothing is to be found. What is close to its
interval's edge is unproven.

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
                    f"| {f.seeds} | {f.verdict} |"
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
