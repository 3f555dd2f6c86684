"""Measures of proxies in plain loops, a row at a time: definitions, with no ranks, codes or matrices of the engine."""

from __future__ import annotations

from math import isclose


def auc(scores, is_positive):
    """Over all pairs of a positive and a negative row; None without a pair."""
    pairs = [
        1.0 if high > low else 0.5 if high == low else 0.0
        for high, positive in zip(scores, is_positive, strict=True)
        if positive
        for low, other in zip(scores, is_positive, strict=True)
        if not other
    ]
    return sum(pairs) / len(pairs) if pairs else None


def r2(predicted, target):
    mean = sum(target) / len(target)
    errors = sum((y - p) ** 2 for y, p in zip(target, predicted, strict=True))
    spread = sum((y - mean) ** 2 for y in target)
    return 1 - errors / spread if spread else None


def slope(predicted, target):
    mean = sum(predicted) / len(predicted)
    spread = sum((p - mean) ** 2 for p in predicted)
    return sum((p - mean) * y for p, y in zip(predicted, target, strict=True)) / spread if spread else None


def solve(matrix, right):
    """By Gauss and Jordan, with the largest pivot of each column."""
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    size = len(rows)
    for place in range(size):
        best = max(range(place, size), key=lambda n: abs(rows[n][place]))
        rows[place], rows[best] = rows[best], rows[place]
        rows[place] = [value / rows[place][place] for value in rows[place]]
        for other in range(size):
            if other != place:
                factor = rows[other][place]
                rows[other] = [a - factor * b for a, b in zip(rows[other], rows[place], strict=True)]
    return [row[-1] for row in rows]


def ridge(rows, target, penalty=1.0):
    """A function of a row: (Z'Z + penalty I) w = Z'(y - mean of y), Z being the columns in units of their deviation."""
    count = len(rows)
    means = [sum(column) / count for column in zip(*rows, strict=True)]
    scales = [
        (sum((v - m) ** 2 for v in column) / count) ** 0.5 or 1.0
        for column, m in zip(zip(*rows, strict=True), means, strict=True)
    ]

    def standardise(row):
        return [(v - m) / s for v, m, s in zip(row, means, scales, strict=True)]

    mean = sum(target) / count
    standard = [standardise(row) for row in rows]
    places = range(len(means))
    gram = [
        [sum(z[i] * z[j] for z in standard) + (penalty if i == j else 0.0) for j in places] for i in places
    ]
    products = [sum(z[i] * (y - mean) for z, y in zip(standard, target, strict=True)) for i in places]
    weights = solve(gram, products)
    return lambda row: mean + sum(w * z for w, z in zip(weights, standardise(row), strict=True))


def predict_out_of_fold(rows, target, folds):
    predicted = []
    for row, fold in zip(rows, folds, strict=True):
        others = [n for n, other in enumerate(folds) if other != fold]
        predicted.append(ridge([rows[n] for n in others], [target[n] for n in others])(row))
    return predicted


def bins(predicted, target, most=10):
    """Rows, mean predicted and mean that came, by bin: where the middle of a value's rows lies among all, in order."""
    groups = {}
    for p in sorted(set(predicted)):
        before, equal = sum(other < p for other in predicted), sum(other == p for other in predicted)
        place = min(most - 1, int((before + equal / 2) / len(predicted) * most))
        groups.setdefault(place, []).extend(
            (p, y) for other, y in zip(predicted, target, strict=True) if other == p
        )
    return [
        (len(own), sum(p for p, _ in own) / len(own), sum(y for _, y in own) / len(own))
        for _, own in sorted(groups.items())
    ]


def agree(value, expected, tolerance=1e-9):
    """A measure against its definition; NaN stands for none."""
    return (
        value != value if expected is None else isclose(value, expected, rel_tol=tolerance, abs_tol=tolerance)
    )
