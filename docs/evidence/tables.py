"""Are the estimators' defaults ever worse than labels alone? Thirteen public tables, two teachers, seeds.

    python docs/evidence/tables.py            about a quarter of an hour on one core
    python docs/evidence/tables.py --go-on    keeps the tables that tables.json holds, as after a run that was cut off
    python docs/evidence/tables.py --page     only writes the page again from tables.json

Labels alone are tuned like anybody's network: scikit-learn's grid search over eight weight decays.

Every table comes with a package: scikit-learn, statsmodels or palmerpenguins (`pip install -e ".[evidence]"`).
A seed draws the rows that teach (at most 600) and the rows that measure (at most 3000), a class alike in both.
Writes tables.json and the block between the marks of tables.md.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path

import numpy as np
from scipy import stats
from sklearn import datasets
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, KFold, StratifiedKFold, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from kdlearn.estimators import DistilledClassifier, DistilledRegressor
from kdlearn.estimators.settings import DECAYS

HERE = Path(__file__).parent
SEEDS, TEACH, MEASURE = 5, 600, 3000
ARMS = {
    "no decay": {"alpha": 0.0},
    "untuned": {},
    "labels alone": {},
    "by hand": {"soft_weight": 0.7},
    "default": {},
}


def tables():
    """{name: (X, y, rows of those that teach whose labels are kept)}; numbers where y is a float."""
    import statsmodels.api as sm
    from palmerpenguins import load_penguins

    found = {n: getattr(datasets, f"load_{n}")(return_X_y=True) for n in ("iris", "wine", "breast_cancer", "digits")}
    X, y = datasets.load_diabetes(return_X_y=True)
    found["diabetes, above the median"] = X, (y > np.median(y)).astype(int)
    found["diabetes"] = X, y
    birds = load_penguins().drop(columns="year")
    found["penguins"] = birds.drop(columns="species"), birds["species"].to_numpy(dtype=str)
    birds = birds.dropna(subset="body_mass_g")
    found["penguins, mass"] = birds.drop(columns="body_mass_g"), birds["body_mass_g"].to_numpy()
    data = {n: getattr(sm.datasets, n).load_pandas().data for n in ("fair", "anes96", "randhie", "star98")}
    found["fair"] = data["fair"].drop(columns="affairs"), (data["fair"]["affairs"] > 0).to_numpy().astype(int)
    found["anes96"] = data["anes96"].drop(columns="vote"), data["anes96"]["vote"].to_numpy().astype(int)
    visits = data["randhie"]["mdvis"].to_numpy()
    found["randhie, any visit"] = data["randhie"].drop(columns="mdvis"), (visits > 0).astype(int)
    found["randhie, log of visits"] = data["randhie"].drop(columns="mdvis"), np.log1p(visits)
    star = data["star98"]
    passed = (star["NABOVE"] / (star["NABOVE"] + star["NBELOW"])).to_numpy()
    found["star98, share passed"] = star.drop(columns=["NABOVE", "NBELOW"]), passed
    whole = {name: (X, y, None) for name, (X, y) in found.items()}
    few = {f"{name}, 150 labels": (*found[name], 150) for name in ("digits", "fair", "randhie, any visit")}
    return whole | few


def teachers(numbers, seed):
    """A forest and boosted trees, behind an encoder of the texts; both take missing cells."""
    texts = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    columns = make_column_selector(dtype_exclude="number")
    kinds = (
        (RandomForestRegressor, HistGradientBoostingRegressor)
        if numbers
        else (RandomForestClassifier, HistGradientBoostingClassifier)
    )
    for name, kind, settings in (("forest", kinds[0], {"n_estimators": 100}), ("boosting", kinds[1], {})):
        model = kind(random_state=seed, **settings)
        yield (
            name,
            lambda X, model=model: (
                make_pipeline(make_column_transformer((texts, columns), remainder="passthrough"), model)
                if hasattr(X, "iloc")
                else model
            ),
        )


def measure(name, X, y, labels, seed):
    """The rows of one table and seed: a dictionary an arm."""
    numbers = y.dtype.kind == "f"
    n = len(y)
    teach = min(TEACH if labels is None else 2000, int(0.7 * n))
    X, X_test, y, y_test = train_test_split(
        X, y, train_size=teach, test_size=min(MEASURE, n - teach), random_state=seed, stratify=None if numbers else y
    )
    more = {}
    if labels is not None:
        X, U, y, _ = train_test_split(X, y, train_size=labels, random_state=seed, stratify=y)
        more = {"X_unlabeled": U}
    student = DistilledRegressor if numbers else DistilledClassifier
    rows, alone = [], {}
    for teacher_name, make in teachers(numbers, seed):
        for arm, settings in ARMS.items():
            if arm in alone:  # without a teacher: once is enough
                rows.append({**alone[arm], "teacher": teacher_name})
                continue
            taught = arm in ("by hand", "default")
            began = time.process_time()
            model = student(make(X) if taught else None, random_state=seed, **settings)
            if arm == "labels alone":
                model = tuned(model, numbers, seed)
            model.fit(X, y, **(more if taught else {}))
            report = getattr(model, "report_", {})
            row = {
                "table": name, "seed": seed, "teacher": teacher_name, "arm": arm, "numbers": numbers, "rows": len(y),
                "score": 100 * float(score(model, X_test, y_test)), "seconds": time.process_time() - began,
                "helped": report.get("teacher_helped"),
                "chosen": f"alpha={model.best_params_['alpha']:g}" if arm == "labels alone" else report.get("chosen"),
            }  # fmt: skip
            if not numbers:
                row["loss"] = float(log_loss(y_test, model.predict_proba(X_test), labels=model.classes_))
            rows.append(row)
            if not taught:
                alone[arm] = row
        best = make(X).fit(X, y)
        rows.append({"table": name, "seed": seed, "teacher": teacher_name, "arm": "teacher", "numbers": numbers,
                     "score": 100 * float(best.score(X_test, y_test))})  # fmt: skip
    return rows


def tuned(model, numbers, seed):
    """Labels alone with the weight decay that is best on rows held out in turn."""
    folds = (KFold if numbers else StratifiedKFold)(3, shuffle=True, random_state=seed)
    scoring = "neg_mean_squared_error" if numbers else "neg_log_loss"
    return GridSearchCV(model, {"alpha": sorted(DECAYS["adam"])}, cv=folds, scoring=scoring)


def score(model, X, y):
    """Accuracy, or R2: a grid search's own `score` would be what it searched by."""
    return getattr(model, "best_estimator_", model).score(X, y)


def interval(values):
    """Mean and half of its 95 % interval by Student's t."""
    values = np.asarray(values, dtype=float)
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean()), float(half)


def differences(rows, table, teacher, arm, key="score", against="labels alone"):
    """The paired differences over seeds."""
    found = {}
    for row in rows:
        if (row["table"], row["teacher"]) == (table, teacher) and key in row:
            found.setdefault(row["arm"], {})[row["seed"]] = row[key]
    if arm not in found:
        return []
    return [found[arm][seed] - found[against][seed] for seed in sorted(found[arm])]


def overall(rows, arm, key="score", against="labels alone"):
    """Mean over tables and teachers with an interval over the tables: they are what was drawn at random."""
    names = list(dict.fromkeys(row["table"] for row in rows))
    means = []
    for name in names:
        both = [d for t in ("forest", "boosting") for d in differences(rows, name, t, arm, key, against)]
        if both:
            means.append(np.mean(both))
    return interval(means)


def page(rows):
    """The table of the page."""
    lines = [
        "| table | teacher | labels alone | teacher's score | by hand | default | teacher used |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for name in dict.fromkeys(row["table"] for row in rows):
        for teacher in ("forest", "boosting"):
            here = [r for r in rows if (r["table"], r["teacher"]) == (name, teacher)]
            score = {a: np.mean([r["score"] for r in here if r["arm"] == a]) for a in (*ARMS, "teacher")}
            used = [bool(r["helped"]) for r in here if r["arm"] == "default"]
            cells = [
                "{:+.1f} ± {:.1f}".format(*interval(differences(rows, name, teacher, a)))
                for a in ("by hand", "default")
            ]
            lines.append(
                f"| {name} | {teacher} | {score['labels alone']:.1f} | {score['teacher']:.1f} | {cells[0]} | {cells[1]}"
                f" | {sum(used)} of {len(used)} |"
            )
    lines.append("")
    for arm, words in (
        ("default", "The default, against labels alone"),
        ("by hand", "`soft_weight=0.7` by hand, against labels alone"),
    ):
        mean, half = overall(rows, arm)
        loss, width = overall(rows, arm, "loss")
        lines.append(f"- {words}: {mean:+.2f} ± {half:.2f} points; log-loss {loss:+.3f} ± {width:.3f} nats.")
    for arm, words in (("untuned", "with the default decay (`alpha=1`)"), ("no decay", "without decay (`alpha=0`)")):
        mean, half = overall(rows, arm)
        loss, width = overall(rows, arm, "loss")
        lines.append(
            f"- Labels alone {words}, against tuned ones: {mean:+.2f} ± {half:.2f} points; "
            f"log-loss {loss:+.3f} ± {width:.3f} nats."
        )
    worse = [
        (name, teacher)
        for name in dict.fromkeys(row["table"] for row in rows)
        for teacher in ("forest", "boosting")
        if sum(interval(differences(rows, name, teacher, "default"))) < 0
    ]
    said = "none" if not worse else "; ".join(f"{name} with {teacher}" for name, teacher in worse)
    kept = [bool(r["helped"]) for r in rows if r["arm"] == "default"]
    lines.append(f"- The default kept the teacher in {sum(kept)} of {len(kept)} fits.")
    lines.append(
        f"- Of {2 * len({r['table'] for r in rows})} pairs, the default is worse beyond its interval in {said}."
    )
    seconds = {a: np.median([r["seconds"] for r in rows if r["arm"] == a]) for a in ARMS}
    times = [seconds[a] / seconds["untuned"] for a in ("default", "labels alone")]
    lines.append(
        f"- A fit takes {times[0]:.0f} times as long as one of labels alone (median), the teacher's own fits included; "
        f"to tune labels alone takes {times[1]:.0f} times as long."
    )
    return "\n".join(lines)


def main():
    store = HERE / "tables.json"
    if "--page" not in sys.argv:
        warnings.simplefilter("ignore")
        stored = json.loads(store.read_text()) if "--go-on" in sys.argv else []
        rows = []
        for name, (X, y, labels) in tables().items():
            here = [row for row in stored if row["table"] == name]
            rows += here or [row for seed in range(SEEDS) for row in measure(name, X, y, labels, seed)]
            later = [row for row in stored if row["table"] not in {r["table"] for r in rows}]
            keep = [{k: round(v, 4) if isinstance(v, float) else v for k, v in r.items()} for r in [*rows, *later]]
            store.write_text("[\n" + ",\n".join(json.dumps(row) for row in keep) + "\n]\n")
            print(name, flush=True)
    text = (HERE / "tables.md").read_text("utf-8")
    head, _, rest = text.partition("<!-- table: begin -->")
    _, _, tail = rest.partition("<!-- table: end -->")
    made = page(json.loads(store.read_text()))
    (HERE / "tables.md").write_text(f"{head}<!-- table: begin -->\n\n{made}\n\n<!-- table: end -->{tail}", "utf-8")


if __name__ == "__main__":
    main()
