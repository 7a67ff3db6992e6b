"""Distillation in scikit-learn's idiom: a small network taught by any estimator.

    DistilledClassifier(RandomForestClassifier(500), hidden_layer_sizes=(32,)).fit(X, y)

The teacher sees the rows as they are, missing cells and texts included; the student sees them
encoded and standardised. Before the student is trained, labels alone compete with the teacher on
rows held out, and what is better is kept: `report_["verdict"]` says which.
"""

from kdlearn.estimators.classifier import DistilledClassifier
from kdlearn.estimators.regressor import DistilledRegressor

__all__ = ["DistilledClassifier", "DistilledRegressor"]
