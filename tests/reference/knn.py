"""Weighted k-NN of Instance Discrimination (arXiv:1805.01978, section 3.4), one query at a time."""

import math


def weighted_knn_loop(train, labels, queries, *, k, num_classes, tau):
    """Scores[m][c] = sum of exp(s / tau) over those of the k nearest whose class is c."""

    def cosine(a, b):
        dot = sum(x * y for x, y in zip(a, b, strict=True))
        return dot / math.sqrt(sum(x * x for x in a)) / math.sqrt(sum(y * y for y in b))

    scores = []
    for query in queries:
        similar = sorted(((cosine(query, row), i) for i, row in enumerate(train)), reverse=True)
        votes = [0.0] * num_classes
        for s, i in similar[:k]:
            votes[labels[i]] += math.exp(s / tau)
        scores.append(votes)
    return scores
