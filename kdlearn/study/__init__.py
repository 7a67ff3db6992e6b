"""Studies that can be believed: several seeds, paired differences, tuned baselines, verdicts by rule.

`trial` is the protocol: it tunes each arm on validation rows, reads the test rows once and judges. `compare` pairs
methods that need no tuning. `sweep` runs the cells of either side by side.
"""

from kdlearn.study.cells import sweep
from kdlearn.study.comparison import Comparison, choose, compare
from kdlearn.study.intervals import Interval, Verdict, crossed, holm, interval, judge, p_value, verdicts
from kdlearn.study.origin import cell_key, environment
from kdlearn.study.trials import Trial, trial

__all__ = [
    "Comparison",
    "Interval",
    "Trial",
    "Verdict",
    "cell_key",
    "choose",
    "compare",
    "crossed",
    "environment",
    "holm",
    "interval",
    "judge",
    "p_value",
    "sweep",
    "trial",
    "verdicts",
]
