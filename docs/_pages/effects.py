"""docs/evidence/effects.md: what the notebooks measured, read from their stored outputs.

An effect says which printed line of which cell holds it; mean, interval and seeds are read there, and
the verdict follows from them. So the page cannot say what no notebook says.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import json
import re
import textwrap
from pathlib import Path
from typing import NamedTuple

from _pages.blocks import MINUS, NO_BREAK

import kdlearn as kd

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "notebooks"
PAGE = ROOT / "docs" / "evidence" / "effects.md"
OTHER_SEEDS = PAGE.with_name("other_seeds.json")
MEASURED = re.compile(r"([+-]\d+\.\d+) ± (\d+\.\d+)")
JUDGED = re.compile(MEASURED.pattern + r" +(helps|hurts|equal|not shown)\b")  # as `Trial.table` prints it
ZONE = 0.5  # points of accuracy in which nothing is claimed
UP, DOWN = ("helps", "hurts"), ("hurts", "helps")
ATTACKED = "points read under attack"
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
            Effect("hinton", "00", "labels and soft labels against labels, each tuned", "gain = found",
                   "the teacher adds"),
            Effect("own labels", "00", "the same from a teacher that knows the same 100 labels, each tuned",
                   "found = kd.study.trial", "soft labels, teacher of 100"),
            Effect("beyond", "00", "a teacher of 1097 labels against one of the same 100, each tuned", "gain = found",
                   "beyond the weak"),
            Effect("T1", "03", "soft labels, T = 1, against labels, decay and length tuned for both",
                   "sweep = kd.study.trial", "T = 1 "),
            Effect("T4", "03", "soft labels, T = 4, against labels, decay and length tuned for both",
                   "sweep = kd.study.trial", "T = 4 "),
            Effect("T 4 to 8", "03", "T = 8 against T = 4, both tuned", "gaps = {f\"from", "from T = 4  to 8"),
            Effect("T 4 to 20", "03", "T = 20 against T = 4, both tuned", "gaps = {f\"from", "from T = 4  to 20"),
            Effect("T1 long", "03", "soft labels, T = 1, against labels, 1000 epochs without decay for both",
                   "short = raw.difference", "T = 1 against labels, 1000"),
            Effect("no factor", "03", "soft labels, T = 50, without the factor T², against labels, 100 epochs",
                   "raw = kd.study.compare", "T = 50, no"),
            Effect("protocol", "04", "soft labels against labels, both tuned alike", "trial = kd.study",
                   "soft targets "),
            Effect("protocol labels", "04", "labels, decay and rate tuned, 300 epochs, against neither, 100",
                   "tuned = trial", "tuning gives the labels"),
            Effect("tuned", "06", "soft labels against labels, both tuned over as many settings",
                   "found = kd.study.trial", "soft targets "),
            Effect("decay", "06", "labels without weight decay, tuned, against labels with, tuned",
                   "found = kd.study.trial", "labels, no decay"),
            Effect("tuned same", "06", "soft labels of a teacher of the same 100 labels against labels, both tuned",
                   "found = kd.study.trial", "soft targets, same"),
            Effect("300 labels", "06", "tuned labels of 300 images against tuned soft labels of 100",
                   "students = learn(more", "300 labels, against"),
            Effect("300 answers", "06", "a teacher's answers to 300 images against their labels, tuned for 100",
                   "students = learn(more", "300 answers"),
            Effect("digits flat", "07", "own confidence with a flat rest against labels, both tuned",
                   "small = kd.study.trial", "flat rest"),
            Effect("digits mean", "07", "the mean of the class against labels, both tuned",
                   "small = kd.study.trial", "class mean"),
        ],
        "digits, 50 labels": [
            Effect("50", "06", "soft labels, T = 8, against labels, decay tuned for both",
                   "paired = {", "50 labels"),
        ],
        "digits, 200 labels": [
            Effect("200", "06", "the same", "paired = {", "200 labels"),
        ],
        "digits, all 1097 labels": [
            Effect("1097", "06", "the same", "paired = {", "1097 labels"),
        ],
        "digits, 100 labels, 30 of them wrong, a poor teacher": [
            Effect("wrong labels", "06", "labels and teacher, T = 1, against labels alone, both tuned",
                   "trust = kd.study.trial", "both "),
            Effect("wrong teacher", "06", "labels and teacher, T = 1, against the teacher alone, both tuned",
                   "trust = kd.study.trial", "both ", column=1),
        ],
        "Fashion-MNIST, 1000 labels": [
            Effect("clothes T1", "06", "soft labels, T = 1, against labels, both tuned", "fashion = kd.study.trial",
                   "T = 1  "),
            Effect("clothes T4", "06", "soft labels, T = 4, against labels, both tuned", "fashion = kd.study.trial",
                   "T = 4  "),
            Effect("clothes T", "06", "T = 4 against T = 1, both tuned", "fashion = kd.study.trial", "T = 4 less"),
            Effect("clothes same", "06", "soft labels of a teacher of the same 1000 labels against labels, both tuned",
                   "fashion = kd.study.trial", "T = 1, same"),
        ],
        "MNIST-1D, 500 labels": [
            Effect("1d own", "07", "the teacher's answers against labels, both tuned", "found = kd.study.trial",
                   "own answer"),
        ],
    },
    "What in a soft label teaches": {
        "digits, 100 labels": [
            Effect("smooth", "02", "smoothed labels, T = 1, against labels, each tuned",
                   "found = kd.study.trial", "smoothing, T = 1"),
            Effect("class mean", "02", "the image's own soft label against the mean of its class, each tuned",
                   "pairs = [", "teacher minus class mean"),
            Effect("mean smooth", "02", "the mean of the class against smoothing, each tuned", "pairs = [",
                   "class mean minus smoothed"),
            Effect("permuted", "02", "wrong classes permuted against smoothing, each tuned", "pairs = [",
                   "permuted minus smoothed"),
            Effect("how sure", "03", "only how sure the teacher is, T = 8, against labels, tuned alike",
                   "sweep = kd.study.trial", "T = 8, how sure"),
            Effect("flat rest", "03", "the teacher's confidence and a flat rest, T = 8, against labels, tuned alike",
                   "sweep = kd.study.trial", "T = 8, flat rest"),
            Effect("which wrong", "03", "only which wrong classes, T = 8, against labels, tuned alike",
                   "sweep = kd.study.trial", "T = 8, which wrong"),
        ],
        "MNIST-1D, 500 labels": [
            Effect("1d flat", "07", "own confidence with a flat rest against labels, both tuned",
                   "found = kd.study.trial", "flat rest"),
            Effect("1d mean", "07", "the mean of the class against labels, both tuned", "found = kd.study.trial",
                   "class mean"),
            Effect("1d image", "07", "the image's own soft label against the mean of its class, both tuned",
                   "(\"class mean\", \"smoothed\")", "own answer against"),
            Effect("1d shuffled", "07", "own numbers shuffled among the wrong classes against labels, both tuned",
                   "found = kd.study.trial", "shuffled"),
        ],
        "MNIST-1D, 4000 labels": [
            Effect("4000 mean", "07", "the mean of the class against labels, both tuned", "whole = kd.study.trial",
                   "class mean"),
            Effect("4000 own", "07", "the teacher's answers against labels, both tuned", "whole = kd.study.trial",
                   "own answer"),
            Effect("4000 image", "07", "the image's own soft label against the mean of its class, both tuned",
                   "whole = kd.study.trial", "own answer against"),
        ],
        "digits, a lesson without a 0, 3, 5 or 8": [
            Effect("omitted", "08", "soft labels against hard ones, both tuned, with a label-free bias",
                   "found = kd.study.trial", "soft labels + bias"),
            Effect("eliminated", "08", "soft labels with that bias against elimination, both tuned",
                   "found = kd.study.trial", "soft labels + bias", column=1),
            Effect("omitted class", "08", "soft labels against hard ones, both tuned, with a label-free bias",
                   "soft against hard, of the missing class", "soft against hard",
                   unit="points of the missing class"),
        ],
        "digits, a lesson of 7s and 8s": [
            Effect("7 and 8", "08", "soft labels against hard ones, both tuned, with a label-free bias",
                   "two = kd.study.trial", "soft labels + bias"),
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
        "waves, 500 labels, one rate": [
            Effect("age T1", "14", "a teacher of 60 epochs against one of 8, T = 1", "a, b = f", "T = 1 "),
            Effect("age T16", "14", "a teacher of 60 epochs against one of 8, T = 16", "a, b = f", "T = 16"),
            Effect("width T1", "14", "a teacher of width 128 against one of 32, T = 1",
                   "gap = kd.study.compare(widths", "T = 1 "),
            Effect("width T16", "14", "a teacher of width 128 against one of 32, T = 16",
                   "gap = kd.study.compare(widths", "T = 16"),
            Effect("assistant T1", "14", "an assistant against the direct lesson, T = 1",
                   "gap = kd.study.compare(widths", "T = 1 ", column=1),
            Effect("assistant T16", "14", "an assistant against the direct lesson, T = 16",
                   "gap = kd.study.compare(widths", "T = 16", column=1),
        ],
        "waves, 500 labels, T, rate and decay tuned": [
            Effect("wave teacher", "14", "soft targets of a teacher of 60 epochs against labels",
                   "found = kd.study.trial", "60 epochs"),
            Effect("age tuned", "14", "a teacher of 8 epochs against one of 60", "found = kd.study.trial", "8 epochs",
                   column=1),
            Effect("width tuned", "14", "a teacher of width 32 against one of 128", "found = kd.study.trial",
                   "narrow", column=1),
            Effect("assistant tuned", "14", "an assistant against the direct lesson", "found = kd.study.trial",
                   "assistant", column=1),
            Effect("dropout tuned", "14", "a teacher with dropout 0.3 against one without", "found = kd.study.trial",
                   "dropout", column=1),
        ],
        "digits, long-tailed": [
            Effect("tail rare", "14", "soft targets, T = 4, against labels: the three rarest classes",
                   "heat = kd.study", "T = 4"),
            Effect("tail soft", "14", "soft targets against labels, all tuned", "skew = kd.study", "soft targets  "),
            Effect("tail prior", "14", "labels + log prior against labels, all tuned", "skew = kd.study",
                   "labels + log prior"),
            Effect("tail repaired", "14", "soft targets - log prior against labels + log prior, all tuned",
                   "skew = kd.study", "soft targets - log prior", column=1),
            Effect("tail balanced", "14", "a balanced teacher against labels + log prior, all tuned",
                   "skew = kd.study", "balanced teacher", column=1),
        ],
    },
    "Other losses on logits": {
        "digits, 100 labels, one setting each": [
            Effect("dkd quick", "20", "DKD against plain soft labels", "first = kd.study", "DKD"),
            Effect("nkd quick", "20", "NKD against plain soft labels", "first = kd.study", "NKD"),
            Effect("dist quick", "20", "DIST against plain soft labels", "first = kd.study", "DIST"),
            Effect("standardised quick", "20", "standardised logits against plain soft labels", "first = kd.study",
                   "standardised"),
        ],
        "digits, 100 labels, at least twelve settings tuned for each": [
            Effect("nkd", "20", "NKD against plain soft labels", "found = kd.study", "NKD "),
            Effect("dist", "20", "DIST against plain soft labels", "found = kd.study", "DIST "),
            Effect("standardised", "20", "standardised logits against plain soft labels", "found = kd.study",
                   "standardised "),
            Effect("plain", "20", "labels with tuned decay against plain soft labels",
                   "found = kd.study", "labels "),
        ],
        "the same settings, fresh seeds": [
            Effect("dkd", "20", "DKD against plain soft labels", "again = kd.study", "DKD "),
            Effect("dkd warm", "20", "DKD with its warm-up against plain soft labels", "again = kd.study",
                   "DKD, warm-up  "),
            Effect("dkd control", "20", "DKD with its warm-up against plain soft labels with the same",
                   "again = kd.study", "DKD, warm-up, against"),
        ],
    },
    "Features": {
        "MNIST-1D, 500 labels, weight decay tuned for each": [
            Effect("hint", "09", "a hint beside labels against labels", "found = kd.study", "hint  "),
            Effect("hint untrained", "09", "a hint from an untrained network against labels", "found = kd.study",
                   "hint, untrained"),
            Effect("hint control", "09", "a hint from an untrained network against one from the teacher",
                   "found = kd.study", "hint, untrained", column=1),
            Effect("two stages", "09", "a hint in a stage of its own against labels", "found = kd.study",
                   "two stages"),
            Effect("hint rate", "09", "a hint beside labels against labels, at the rate that labels chose",
                   "again = kd.study", "hint  "),
            Effect("hint untrained rate", "09", "a hint from an untrained network against labels, at the same rate",
                   "again = kd.study", "hint, untrained"),
            Effect("attention", "09", "attention transfer beside labels against labels", "others = kd.study",
                   "attention"),
            Effect("boundary", "09", "activation boundaries beside labels against labels", "others = kd.study",
                   "boundary"),
            Effect("vid", "09", "VID beside labels against labels", "others = kd.study", "VID  "),
            Effect("feature decay", "09", "labels with weight decay against labels without, the rate tuned for both",
                   "bare = labels", "tuned decay"),
            Effect("hint soft", "09", "a hint beside soft labels against soft labels", "answers = kd.study",
                   "soft targets, hint"),
            Effect("hint short", "09", "soft labels against labels, 60 epochs for both", "answers = kd.study",
                   "60 epochs", column=1),
            Effect("hint answers", "09", "soft labels against labels, 120 epochs for both", "answers = kd.study",
                   "120 epochs", column=1),
            Effect("hint long", "09", "a hint beside labels against labels, 120 epochs for both",
                   "answers = kd.study", "120 epochs"),
        ],
        "MNIST-1D, 500 labels, no weight decay": [
            Effect("hint bare", "09", "a hint beside labels without decay, against them", "hinted = beside", "trained"),
            Effect("hint bare untrained", "09", "the same from an untrained network", "hinted = beside", "untrained"),
            Effect("deep fits", "09", "labels alone, 16 layers of 24 against 2", "depths = kd.study", "16 layers",
                   below="             training", unit="training accuracy"),
            Effect("deep", "09", "labels alone, 16 layers of 24 against 2", "depths = kd.study", "16 layers",
                   below="                 test"),
        ],
        "digits, 100 labels, weight decay tuned for each": [
            Effect("digits hint", "09", "a hint beside labels against labels", "on_digits = kd.study", "hint  "),
            Effect("digits hint control", "09", "a hint from an untrained network against one from the teacher",
                   "on_digits = kd.study", "hint, untrained", column=1),
        ],
        "Fashion-MNIST, 1000 labels, weight decay tuned for each": [
            Effect("clothes hint", "09", "a hint beside labels against labels", "on_clothes = kd.study", "hint  "),
        ],
    },
    "Relations": {
        "digits, 100 labels, weight decay tuned for each": [
            Effect("sp", "10", "similarity beside labels against labels", "found = kd.study", "similarity "),
            Effect("sp onehot", "10", "similarity to the labels' own table against labels", "found = kd.study",
                   "one-hot"),
            Effect("sp labels", "10", "the teacher's similarities against those of the labels", "found = kd.study",
                   "similarity ", column=1),
            Effect("sp untrained", "10", "an untrained network's similarities beside labels, against labels",
                   "found = kd.study", "untrained"),
            Effect("pkt", "10", "PKT beside labels against labels", "found = kd.study", "neighbours"),
            Effect("cka", "10", "CKA beside labels against labels", "found = kd.study", "alignment"),
            Effect("rkd", "10", "RKD distances beside labels against labels", "found = kd.study", "distance"),
            Effect("sp soft", "10", "similarity beside soft labels against soft labels", "found = kd.study",
                   "soft, similarity", column=2),
        ],
        "MNIST-1D, 500 labels, weight decay tuned for each": [
            Effect("1d sp", "10", "similarity beside labels against labels", "found_1d = kd.study", "similarity "),
            Effect("1d sp labels", "10", "the teacher's similarities against those of the labels",
                   "found_1d = kd.study", "similarity ", column=1),
            Effect("1d sp soft", "10", "similarity beside soft labels against soft labels", "found_1d = kd.study",
                   "soft, similarity", column=2),
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
        "digits 0 to 6 from 100 labels, 8 and 9 unknown": [
            Effect("spread", "12", "the student of the team's distribution against that of its mean, both tuned",
                   "unknown = kd.study", "distribution ", column=1, unit="AUROC of unknown digits, points"),
            Effect("spread labels", "12", "the student of the team's mean against labels, both tuned",
                   "unknown = kd.study", "mean of 8", unit="AUROC of unknown digits, points"),
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
        "a made-up language, 3000 letters, rate tuned": [
            Effect("forward real", "15", "forward KL against labels, at equal variety", "rates = {\"rate\": [5e-3",
                   "forward", unit="words that exist, points"),
            Effect("jsd real", "15", "Jensen-Shannon against labels, at equal variety", "rates = {\"rate\": [5e-3",
                   "JSD", unit="words that exist, points"),
            Effect("reverse real", "15", "reverse KL against labels, at equal variety", "rates = {\"rate\": [5e-3",
                   "reverse", unit="words that exist, points"),
            Effect("forward ppl", "15", "forward KL against labels", "rates = {\"rate\": [5e-3",
                   "forward  perplexity", words=DOWN, unit="perplexity"),
            Effect("reverse ppl", "15", "reverse KL against labels", "rates = {\"rate\": [5e-3",
                   "reverse  perplexity", words=DOWN, unit="perplexity"),
        ],
        "a word said again and again, 100 texts, rate tuned": [
            Effect("own given", "15", "the student's own text against given text, forward KL",
                   "state = kd.study.trial", "forward, own", unit="words kept, points"),
            Effect("own new", "15", "the student's own text against the teacher's new text, forward KL",
                   "state = kd.study.trial", "forward, own", column=1, unit="words kept, points"),
            Effect("slipped", "15", "random slips in the teacher's new text against none, forward KL",
                   "state = kd.study.trial", "forward, slipped", column=1, unit="words kept, points"),
            Effect("own slipped", "15", "the student's own text against random slips, reverse KL",
                   "for text in (\"own\"", "reverse, own", unit="words kept, points"),
        ],
        "mazes, exact values": [
            Effect("policy soft", "15", "sharpened values as soft targets against the best action alone, both tuned",
                   "policies = kd.study", "soft, tau tuned", unit="share of the best policy's worth, points"),
            Effect("policy hot", "15", "the same at temperature 1", "policies = kd.study", "soft, tau = 1",
                   unit="share of the best policy's worth, points"),
            Effect("policy values", "15", "values by squared error against the best action alone, both tuned",
                   "policies = kd.study", "values", unit="share of the best policy's worth, points"),
        ],
    },
    "Transfer": {
        "a rule made for trees, 500 labels, all tuned": [
            Effect("trees same", "16", "boosted trees teach on the same 500 rows, against labels",
                   "forest = kd.study", "trees, same rows"),
            Effect("trees new", "16", "boosted trees teach on 4000 unlabelled rows, against labels",
                   "forest = kd.study", "trees, new rows"),
            Effect("trees self", "16", "self-training on the same 4000 rows, against labels", "forest = kd.study",
                   "self-training"),
            Effect("regression new", "16", "regression: trees on 4000 unlabelled rows, against labels",
                   "number = kd.study", "trees, new rows", words=DOWN, unit="root mean square error"),
            Effect("regression self", "16", "regression: self-training on the same 4000 rows, against labels",
                   "number = kd.study", "self-training", words=DOWN, unit="root mean square error"),
        ],
        "digits, a student of four classes, all tuned": [
            Effect("specialist", "16", "a teacher of ten classes on unlabelled rows of the four, against 20 labels",
                   "special = kd.study", "all of the four"),
            Effect("specialist all", "16", "the same against all labels of the four", "special = kd.study",
                   "all of the four", column=1),
            Effect("other six", "16", "the same on rows of the other six classes alone, against 20 labels",
                   "special = kd.study", "the other six"),
            Effect("special self", "16", "self-training on the unlabelled rows, against 20 labels",
                   "special = kd.study", "self-training"),
        ],
        "digits, 30 labels of three new classes, all tuned": [
            Effect("new pixels", "16", "logistic regression on the pixels against a network from scratch",
                   "unseen = kd.study", "pixels"),
            Effect("new h1", "16", "logistic regression on the teacher's h1 against from scratch",
                   "unseen = kd.study", "h1"),
            Effect("new h2", "16", "logistic regression on the teacher's h2 against from scratch",
                   "unseen = kd.study", "h2"),
            Effect("new fine", "16", "fine-tuning the teacher against from scratch", "unseen = kd.study",
                   "fine-tuning"),
        ],
        "50 inputs, 200 labels, linear networks": [
            Effect("clean labels", "16", "a teacher that sees the distance behind a noisy label, against labels",
                   "sees_more = {}", "teacher sees more", below="clean labels"),
            Effect("clean inputs", "16", "a teacher that sees the inputs without noise, against labels, both tuned",
                   "sees_more = {}", "teacher sees more", below="clean inputs"),
            Effect("same sight", "16", "the control: a teacher that sees what the student sees, against labels",
                   "sees_more = {}", "teacher sees the same", below="clean labels"),
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
    "Private teachers": {
        "MNIST, 40,000 private rows, 300 public ones": [
            Effect("split", "26", "labels from one teacher of all rows against a vote of 400 teachers, tuned alike",
                   "steps = kd.study.trial", "one teacher", column=1),
            Effect("vote noise", "26", "the vote with noise for epsilon 4 against the vote without",
                   "steps = kd.study.trial", "vote, ε = 4", column=1),
            Effect("vote labels", "26", "the vote without noise against true labels of the same rows",
                   "steps = kd.study.trial", "vote  "),
        ],
        "MNIST, 40,000 private rows, 1000 public ones": [
            *[Effect(f"pate {e}", "26", f"PATE against noisy class means at epsilon {e}, each tuned",
                     "judged = kd.study", f"PATE against class means at ε = {e}") for e in (1, 2, 4, 8)],
            *[Effect(f"pate soft {e}", "26", f"noisy counts as soft labels against winners at epsilon {e}, each tuned",
                     "judged = kd.study", f"noisy counts against their winners at ε = {e}") for e in (1, 2, 4, 8)],
            Effect("pate labels", "26", "PATE at epsilon 8 against true labels of all public rows", "judged = kd.study",
                   "PATE at ε = 8 against true"),
        ],
        "MNIST, five clients with four classes each": [
            Effect("fedmd", "26", "FedMD against each client alone", "lesson_once = ",
                   "FedMD against each alone"),
            Effect("fedmd once", "26", "FedMD against one lesson from the mean probabilities of the lone clients",
                   "lesson_once = ", "FedMD against one lesson"),
            Effect("fedmd pooled", "26", "FedMD against one network of all clients' rows", "lesson_once = ",
                   "FedMD against pooled"),
        ],
    },
    "Without data": {
        "digits, no row for the student, all tuned": [
            Effect("free inverted", "24", "inverted images against plain noise", "found = kd.study.trial",
                   "inverted   "),
            Effect("free around", "24", "noise around inverted images against plain noise", "found = kd.study.trial",
                   "inverted + noise"),
            Effect("free dafl", "24", "a generator of sure images (DAFL) against plain noise",
                   "found = kd.study.trial", "DAFL"),
            Effect("free dafl long", "24", "the same, three times as long for both", "steps=3 * STEPS", "DAFL against"),
            Effect("free dfad", "24", "a generator against the student (DFAD) against plain noise",
                   "found = kd.study.trial", "DFAD"),
            Effect("free real", "24", "the teacher's own rows, unlabelled, against plain noise",
                   "found = kd.study.trial", "real rows"),
        ],
        "digits, no row for the student, the width of the generator": [
            Effect("free wide dafl", "24", "DAFL with 256 hidden units against DAFL with 64", "game_of in ((",
                   "DAFL, 256 units against"),
            Effect("free wide dfad", "24", "DFAD with 256 hidden units against DFAD with 64", "game_of in ((",
                   "DFAD, 256 units against"),
        ],
        "digits, 320 rows of each kind, all tuned": [
            Effect("few inverted", "24", "inverted images against plain noise", "short = kd.study.trial",
                   "inverted      "),
            Effect("few real", "24", "the teacher's own rows, unlabelled, against plain noise",
                   "short = kd.study.trial", "real rows      "),
            Effect("few shape", "24", "inverted images against noise of their mean and covariance",
                   "short = kd.study.trial", "inverted   shape"),
            Effect("few shape real", "24", "real rows against noise of their mean and covariance",
                   "short = kd.study.trial", "real rows  shape"),
        ],
    },
    "Robustness": {
        "digits, all 1097 labels, one step of 0.1 in each pixel": [
            Effect("defensive", "25",
                   "distilled at T = 40 (defensive distillation) against undefended, as far as float32 sees",
                   'for name in ("distilled"', "float32  ", below="distilled, against", unit=ATTACKED),
            Effect("defensive exact", "25", "the same without rounding", 'for name in ("distilled"',
                   "float32, log-odds", below="distilled, against", unit=ATTACKED),
            Effect("defensive alone", "25", "labels at T = 40, no teacher, as far as float32 sees",
                   'for name in ("distilled"', "float32  ", below="no teacher, against", unit=ATTACKED),
            Effect("louder", "25", "the undefended network, its logits times 40, as far as float32 sees",
                   'for name in ("distilled"', "float32  ", below="louder, against", unit=ATTACKED),
        ],
        "the same, ten steps, all tuned": [
            Effect("attacked rows", "25", "labels on clean rows against labels on attacked rows",
                   "found = kd.study.trial", "labels  ", unit=ATTACKED),
            Effect("robust smoothed", "25", "smoothed labels against labels, on attacked rows",
                   "found = kd.study.trial", "smoothed labels", unit=ATTACKED),
            Effect("ard", "25", "a robust teacher (ARD) against labels, on attacked rows", "found = kd.study.trial",
                   "ARD  ", unit=ATTACKED),
            Effect("ard alone", "25", "the same against labels at its temperature, without a teacher",
                   "found = kd.study.trial", "ARD  ", column=2, unit=ATTACKED),
            Effect("ard smoothed", "25", "the same against smoothed labels", "found = kd.study.trial", "ARD  ",
                   column=1, unit=ATTACKED),
            Effect("robust clean", "25", "a robust teacher against labels, on clean rows", "found = kd.study.trial",
                   "robust teacher, clean rows, against", unit=ATTACKED),
        ],
    },
    "Rows without a label": {
        "digits, 50 labels and 950 rows without, all tuned": [
            Effect("noise alone", "23", "the labels with dropout of pixels against the labels",
                   "found = kd.study.trial", "labels, noise"),
            Effect("pseudo", "23", "pseudo-labels without noise against the labels", "found = kd.study.trial",
                   "pseudo-labels, no noise"),
            Effect("noisy student", "23", "a noisy student against the labels", "found = kd.study.trial",
                   "noisy student"),
            Effect("noisy beside", "23", "a noisy student against the labels with the same noise",
                   "found = kd.study.trial", "noisy student", column=1),
            Effect("noisy pixels", "23", "a noisy student against the label of the nearest of the 50 in pixels",
                   "votes, tuned = (", "noisy student against"),
            Effect("quiet beside", "23", "a student without noise of the same teacher against the labels with noise",
                   "found = kd.study.trial", "quiet student", column=1),
            Effect("average", "23", "a mean teacher against the labels", "found = kd.study.trial", "mean teacher"),
            Effect("average beside", "23", "a mean teacher against the labels with noise", "found = kd.study.trial",
                   "mean teacher", column=1),
        ],
        "digits, 50 labels that vote as neighbours, all tuned": [
            Effect("dino", "23", "features of DINO, which saw no label, against pixels", "free = kd.study.trial",
                   "DINO"),
            Effect("dino untrained", "23", "features of DINO against those of an untrained layer",
                   "free = kd.study.trial", "DINO", column=1),
            Effect("dino no centre", "23", "the same without centring against pixels", "free = kd.study.trial",
                   "no centring"),
            Effect("dino no sharp", "23", "the same without sharpening against pixels", "free = kd.study.trial",
                   "no sharpening"),
        ],
    },
    "Fewer steps": {
        "points in the plane, a teacher of 32 steps, one step": [
            Effect("halved", "27", "a student halved five times against one of all steps at once, both tuned",
                   "found = kd.study.trial", "halved ", words=DOWN, unit="% of points in wrong cells"),
            Effect("halved alone", "27", "the same against matched pairs without a teacher, tuned",
                   "found = kd.study.trial", "halved ", column=1, words=DOWN, unit="% of points in wrong cells"),
            Effect("no diffusion", "27", "matched pairs without a teacher against all steps at once, both tuned",
                   "found = kd.study.trial", "no teacher ", words=DOWN, unit="% of points in wrong cells"),
            Effect("halved teacher", "27", "the halved student against its teacher with one step", "longer = halved",
                   "halved to 1 step, against the teacher's 1 step", words=DOWN, unit="% of points in wrong cells"),
            Effect("halved 32", "27", "the same against its teacher with 32 steps", "longer = halved",
                   "halved to 1 step, against the teacher's 32", words=DOWN, unit="% of points in wrong cells"),
            Effect("halved longer", "27", "the same with three times the budget, against all steps at once",
                   "longer = halved", "halved with three", words=DOWN, unit="% of points in wrong cells"),
        ],
        "the same, 8, 4 and 2 steps": [
            *[Effect(f"halved {k} once", "27", f"a student halved to {k} steps against all steps at once, both tuned",
                     "judged = kd.study.judge", f"halved to {k} steps, against all", words=DOWN,
                     unit="% of points in wrong cells") for k in (8, 4, 2)],
            Effect("halved 4", "27", "the student halved to 4 steps against the teacher's 4, extrapolated",
                   "longer = halved", "halved to 4 steps", words=DOWN, unit="% of points in wrong cells"),
        ],
    },
    "Deployment": {
        "digits, all 1097 labels": [
            Effect("int8", "17", "8 bits a weight, one scale a unit, against float32", "bits_lost = lost",
                   "8 bits, a scale for each"),
            Effect("int3", "17", "3 bits a weight, one scale a unit, against float32", "bits_lost = lost",
                   "3 bits, a scale for each"),
            Effect("int3 one", "17", "3 bits a weight, one scale a layer, against float32", "bits_lost = lost",
                   "3 bits, one scale"),
            Effect("scales", "17", "3 bits a weight, one scale a unit, against one scale a layer", "taught = lost",
                   "3 bits: a scale"),
            Effect("forest", "17", "labels and a forest's answers against labels, both tuned",
                   "size = kd.study", "32 units, forest"),
            Effect("early", "17", "early exits against a plain network of 32 units, both tuned",
                   "exits_trial = kd.study", "exits "),
            Effect("early 64", "17", "early exits against one of 64 units, with less arithmetic, both tuned",
                   "exits_trial = kd.study", "exits ", column=1),
            Effect("through", "17", "three values a weight, trained through the rounding, against rounded afterwards",
                   "three_values = kd.study", "straight through "),
            Effect("through forest", "17", "a forest's answers on top of that, both tuned", "three_values = kd.study",
                   "straight through, forest", column=1),
            Effect("pruned", "17", "64 units, a quarter of the weights left, against 16 dense units, both tuned",
                   "pruning = kd.study", "64 units, pruned"),
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
        "layers, and no loss on the test rows: {deep}. Beside labels with tuned decay a hint adds {hint}, beside "
        "tuned soft labels {hint soft}.",
    ),
    (
        "A hint belongs into a stage of its own (Romero et al. 2015).",
        "With as many steps in all, two stages against labels alone: {two stages}; a hint beside the labels: {hint}.",
    ),
    (
        "Relations add to soft targets (Tung and Mori 2019).",
        "On digits {sp soft}, on MNIST-1D {1d sp soft}, soft labels tuned alike.",
    ),
    (
        "A generation taught by its equal is better than it (Furlanello et al. 2018).",
        "On clean labels, with decay tuned for both: {ban}. With 40 % wrong labels {ban noise} without decay, but "
        "decay alone brings {decay noise}, and generations beyond it {ban noise decay}.",
    ),
    (
        "PS-KD raises accuracy and calibrates (Kim et al. 2021).",
        "Accuracy beyond tuned decay: {pskd} on clean labels, {pskd noise} with 40 % wrong ones. Calibration error: "
        "{pskd ece}, and more is worse; over ten other seeds it is better.",
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
        "Past logits of kept rows beat their labels (DER against replay, Buzzega et al. 2020).",
        "With one old task and logits kept once, at its end, they lose {der}. Old outputs as yes and no, beside the "
        "labels, add {icarl}.",
    ),
    (
        "Distillation at a high temperature defends against attacks (Papernot et al. 2016).",
        "Against one step computed in float32, {defensive}; without rounding, {defensive exact}. An undefended network "
        "whose logits are multiplied by 40 is as well defended: {louder}.",
    ),
    (
        "A robust teacher hands its robustness on (Goldblum et al. 2020).",
        "On attacked rows {ard} against labels, not shown over ten other seeds, and {ard alone} against labels at the "
        "same temperature; on clean rows "
        "{robust clean}.",
    ),
    (
        "DKD, NKD, DIST and standardised logits beat plain distillation (Zhao et al. 2022; Yang et al. 2023; Huang "
        "et al. 2022; Sun et al. 2024).",
        "Each tuned over twelve settings or more, against plain soft labels tuned alike: {nkd}, {dist}, "
        "{standardised}; DKD on fresh seeds {dkd}, with its warm-up {dkd warm}, but {dkd control} against plain soft "
        "labels with the same.",
    ),
    (
        "A teacher that trained longer teaches worse (Cho and Hariharan 2019), and so does a larger one (Mirzadeh et "
        "al. 2020).",
        "Only at a low temperature. Older: {age T1} at T = 1, {age T16} at T = 16. Wider: {width T1} and {width T16}. "
        "With T, rate and decay tuned the younger one lies at {age tuned}, the narrow one at {width tuned}; over ten "
        "other seeds neither is shown to differ.",
    ),
    (
        "A teacher assistant bridges the gap (Mirzadeh et al. 2020).",
        "Against the direct lesson: {assistant T1} at T = 1, {assistant T16} at T = 16, {assistant tuned} where both "
        "are tuned; over ten other seeds no difference is shown.",
    ),
    (
        "A student should learn on its own text (Agarwal et al. 2024; Gu et al. 2024).",
        "Against given text {own given}; against new text of the teacher {own new}, and over ten other seeds a "
        "little more than nothing. Random slips in that text are worth {slipped}.",
    ),
    (
        "What a teacher has learnt helps with classes that it never saw.",
        "{new h1} and {new h2} by its features, {new fine} by fine-tuning, against a network from scratch.",
    ),
]  # fmt: skip

# Methods that the package holds and no notebook measures: name -> the word that would show it in a notebook's code.
UNMEASURED = {
    "total variation": "total_variation",
    "cosine of the features": "cosine_distance",
    "neuron selectivity (NST)": "neuron_selectivity",
    "FSP": "fsp",
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


NOTES = {  # below the rows of a section
    "Deployment": """Weights alone are rounded in these rows. What rounded activations cost, as the int8 file of ONNX
and the integers of C have them, is not measured here; the export says it of each model."""
}


def effects():
    """`(heading, data, effect)` of every effect, in the order of the page."""
    return [(head, data, e) for head, groups in SECTIONS.items() for data, those in groups.items() for e in those]


@functools.cache
def notebook(number, folder=NOTEBOOKS):
    """`(path, code cells)` of a notebook."""
    (path,) = folder.glob(f"{number}_*.ipynb")
    cells = json.loads(path.read_text("utf-8"))["cells"]
    return path, [("".join(c["source"]), printed(c)) for c in cells if c["cell_type"] == "code"]


def printed(cell):
    return "".join("".join(o["text"]) for o in cell["outputs"] if o["output_type"] == "stream")


def until(e, folder=NOTEBOOKS):
    """The code cells of its notebook, the last is the one that prints an effect."""
    path, cells = notebook(e.notebook, folder)
    places = [i for i, (source, text) in enumerate(cells) if e.cell in source and "±" in text]
    assert len(places) == 1, f"{e.name}: {len(places)} cells of {path.name} hold {e.cell!r} and print an interval"
    return cells[: places[0] + 1]


def found(e, folder=NOTEBOOKS):
    """What the notebook prints of an effect."""
    cells = until(e, folder)
    lines = cells[-1][1].splitlines()
    if e.below:
        starts = [i for i, line in enumerate(lines) if line.startswith(e.below)]
        assert starts, f"{e.name}: notebook {e.notebook} prints no line {e.below!r}"
        lines = lines[starts[0] + 1 :]
    line = next((line for line in lines if line.lstrip().startswith(e.row)), None)
    assert line is not None, f"{e.name}: notebook {e.notebook} prints no line {e.row!r} there"
    mean, half = MEASURED.findall(line)[e.column]
    judged = {(m, h): word for m, h, word in JUDGED.findall(line)}
    text = f"{mean.replace('-', MINUS)}{NO_BREAK}±{NO_BREAK}{half}"
    return Found(float(mean), float(half), text, seeds(cells), judged.get((mean, half), ""))


def code(e):
    """A mark of the code that leads to an effect; comments do not count."""
    sources = [re.sub(r"\s*#.*", "", source) for source, _ in until(e)]
    return hashlib.sha256("\n".join(sources).encode()).hexdigest()[:12]


def with_other_seeds():
    """What the notebooks printed with other seeds (`docs/other_seeds.py`), where their code is still the same."""
    stored = json.loads(OTHER_SEEDS.read_text("utf-8"))
    same = {e.name: stored[e.name] for _, _, e in effects() if stored.get(e.name, {}).get("code") == code(e)}
    return {name: Found(**{k: row[k] for k in Found._fields}) for name, row in same.items()}


def verdicts(measured):
    """{effect: word}: what the notebook prints, or else the rule of `kd.study.verdicts` over the rows of a section."""
    words = {}
    for groups in SECTIONS.values():
        rows = [(e, measured[e.name]) for those in groups.values() for e in those if e.name in measured]
        words |= {e.name: f.printed for e, f in rows if f.printed}
        left = {e.name: (e, kd.study.Interval(f.mean, f.half, f.seeds)) for e, f in rows if not f.printed}
        zones = {name: 0.0 if e.unit else ZONE for name, (e, _) in left.items()}
        judged = kd.study.judge({name: found for name, (_, found) in left.items()}, zones) if left else {}
        for name, (e, _) in left.items():
            words[name] = dict(zip(UP, e.words)).get(judged[name].word, judged[name].word)
    return words


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
                if isinstance(value, ast.Call) and isinstance(value.args[0], ast.Call):  # tuple(range(10))
                    value = value.args[0]
                several = isinstance(value, ast.Call)
                n = len(range(*map(ast.literal_eval, value.args))) if several else ast.literal_eval(value)
    return n


def spelt(names, after):
    """Names in which *the same* is spelt out: it is the name before, up to the word `after`."""
    made, last = [], ""
    for name in names:
        rest = name.removeprefix("the same")
        if rest == name or (after == "," and not rest.startswith(",")):
            made.append(last := name)
        else:
            made.append(last.partition(after)[0].rstrip(",") + rest if rest else last)
    return made


def turned(measured, words):
    """The section on other seeds: which verdicts turned, and what was not run again."""
    again = with_other_seeds()
    others, rows = verdicts(again), [row for row in effects() if row[2].name in again]
    changed = [row for row in rows if others[row[2].name] != words[row[2].name]]
    opposite = [e.name for _, _, e in changed if {words[e.name], others[e.name]} == {"helps", "hurts"}]
    missing = sorted({e.notebook for _, _, e in effects() if e.name not in again})
    every = effects()
    data = dict(zip((e.name for _, _, e in every), spelt([data for _, data, _ in every], ",")))
    comparison = dict(zip(data, spelt([e.comparison for _, _, e in every], " against ")))
    opening = (
        "The notebooks were run once more, with 100 added to their seeds (`python docs/other_seeds.py`). Of "
        f"{len(rows)} rows {len(rows) - len(changed)} keep their verdict. These {len(changed)} do not, and "
        f"{len(opposite)} of them turn into the opposite. Believe them least, with either seeds."
    )
    text = ["\n## With other seeds\n", textwrap.fill(opening, 118), ""]
    text += [
        "| notebook | data | comparison | difference | verdict | with other seeds | verdict |",
        "|---|---|---|---|---|---|---|",
    ]
    for _, _, e in changed:
        path, unit = notebook(e.notebook)[0], f", {e.unit}" if e.unit else ""
        text.append(
            f"| [{e.notebook}](../../notebooks/{path.name}) | {data[e.name]} | {comparison[e.name]} "
            f"| {measured[e.name].text}{unit} | {words[e.name]} | {again[e.name].text} | {others[e.name]} |"
        )
    if missing:
        text += ["", f"Not run again, or not since their code changed: rows of notebook {', '.join(missing)}."]
    return text


def page():
    rows = effects()
    measured = {e.name: found(e) for _, _, e in rows}
    words = verdicts(measured)
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

**What was tuned.** Where a row says *tuned*, validation chose for either side from a grid of as many settings, and of a
few more where the choice lay on an edge. Elsewhere one rate served both sides; the notebook says which.

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
        text += ["", NOTES[head]] if head in NOTES else []
    text += turned(measured, words)
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
        f"notebook says whether they help: {', '.join(UNMEASURED)}. The notebook on the GPU counts operations, "
        "measures no effects, and was run without a GPU."
    )
    text += ["", textwrap.fill(unmeasured, 118)]
    return "\n".join(text) + "\n"
