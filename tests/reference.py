"""The Bayes method in plain numpy, formula by formula. Slow; the fast code must agree with it."""

# ruff: noqa: PLR0917  formulas take their symbols in order

from __future__ import annotations

from itertools import combinations, permutations

import numpy as np

BETAS = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 1.0)
NEIGHBOR_COUNTS = (5, 10, 20, 50, 100)


# Consensus counts


def count_consensus(scores, indices, num_classes, k, close=None):
    """Every pair of the k neighbors of a sample; `close[n, j]` says which neighbors may be used."""
    counts = np.zeros((num_classes,) * 3)
    for row, own in enumerate(scores):
        near = [j for j in range(k) if close is None or close[row, j]]
        labels = [scores[indices[row, j]] for j in near]
        pairs = [(a, b) for a, b in combinations(labels, 2) if min(own, a, b) >= 0]
        for a, b in pairs:
            counts[own, a, b] += 1 / len(pairs)
    return sum(np.transpose(counts, axes) for axes in permutations(range(3))) / 6


# T and p


def prior_rows(num_classes, prior):
    distance = np.abs(np.subtract.outer(np.arange(num_classes), np.arange(num_classes)))
    weight = np.exp(-distance) if prior == "ordinal" else np.ones_like(distance, dtype=float)
    return weight / weight.sum(axis=1, keepdims=True)


def default_strength(samples, prior):
    return float(np.clip(samples / 250, 2, 20)) if prior == "ordinal" else 1.0


def em_step(counts, T, p, pseudo):
    """One EM step, and the objective where it starts."""
    joint = np.einsum("i,ia,ib,ic->iabc", p, T, T, T)
    model = joint.sum(axis=0)
    seen = counts > 0
    weight = np.divide(counts, model, out=np.zeros_like(counts), where=seen)
    objective = (counts[seen] * np.log(model[seen])).sum()
    objective += (pseudo[pseudo > 0] * np.log(T[pseudo > 0])).sum()
    responsibility = joint * weight
    new_T = 3 * responsibility.sum(axis=(2, 3)) + pseudo
    new_p = responsibility.sum(axis=(1, 2, 3))
    return new_T / new_T.sum(axis=1, keepdims=True), new_p / new_p.sum(), objective


def fit_observed(counts, pseudo, max_steps=3900):
    """SQUAREM from the diagonal start, over classes that all occur."""
    classes, total = len(pseudo), counts.sum()
    T = np.full((classes, classes), 0.4 / (classes - 1))
    np.fill_diagonal(T, 0.6)
    p = (counts.sum(axis=(1, 2)) / total + 1 / classes) / 2

    def logs(T, p):
        with np.errstate(divide="ignore"):
            return np.maximum(np.log(np.append(T, p)), -40)

    steps, last = 0, -np.inf
    while steps + 3 <= max_steps:
        T1, p1, _ = em_step(counts, T, p, pseudo)
        T2, p2, reached = em_step(counts, T1, p1, pseudo)
        x0, x1, x2 = logs(T, p), logs(T1, p1), logs(T2, p2)
        r, v = x1 - x0, (x2 - x1) - (x1 - x0)
        size = np.linalg.norm(v)
        if size == 0:
            leap_T, leap_p = T2, p2
        else:
            s = -max(1.0, np.linalg.norm(r) / size)
            leap = np.exp(np.clip(x0 - 2 * s * r + s * s * v, -40, 40))
            leap_T, leap_p = leap[:-classes].reshape(classes, classes), leap[-classes:]
            leap_T, leap_p = leap_T / leap_T.sum(axis=1, keepdims=True), leap_p / leap_p.sum()
        T3, p3, beyond = em_step(counts, leap_T, leap_p, pseudo)
        steps += 3
        T, p, now = (T3, p3, beyond) if beyond >= reached else (T2, p2, reached)
        if now - last < 1e-12 * total:
            return T, p, now, steps, True
        last = now
    return T, p, last, steps, False


def fit_transition(counts, prior="ordinal", strength=None):
    """Fit over the scores that occur, inside the full matrix; dead classes keep the prior's row."""
    classes, total = len(counts), counts.sum()
    strength = default_strength(total, prior) if strength is None else strength
    marginal = counts.sum(axis=(1, 2))
    seen = np.flatnonzero(marginal > 0)
    T, p = prior_rows(classes, prior), marginal / total
    if len(seen) < 2:
        return dict(T=T, p=p, degenerate=True, unidentified=list(range(classes)))
    pseudo = T[np.ix_(seen, seen)]
    pseudo = strength * pseudo / pseudo.sum(axis=1, keepdims=True)
    fit_T, fit_p, objective, steps, converged = fit_observed(
        counts[np.ix_(seen, seen, seen)], pseudo
    )
    alive = fit_p * total >= 20
    for row, i in zip(fit_T[alive], seen[alive], strict=True):
        T[i] = 0
        T[i, seen] = row
    p[seen] = fit_p
    return dict(
        T=T,
        p=p,
        degenerate=False,
        unidentified=sorted(set(range(classes)) - set(seen[alive].tolist())),
        objective=objective,
        steps=steps,
        converged=converged,
    )


# Evidence


def shared_score(scores, indices, T, p, k, beta):
    """pz: the prior times the tempered likelihood of the k neighbors' ratings."""
    near = scores[indices[:, :k]]
    logs = np.log(np.maximum(T, 1e-9))
    likelihood = np.zeros((len(scores), len(p)))
    for c in range(len(p)):
        likelihood += (near == c).sum(axis=1)[:, None] * logs[:, c]
    likelihood[:, p == 0] = -np.inf
    pz = p * np.exp(beta * (likelihood - likelihood.max(axis=1, keepdims=True)))
    return pz / pz.sum(axis=1, keepdims=True)


def information(scores, indices, T, p, k, beta):
    """Nats by which the neighbors predict a rating better than the ratings' own distribution."""
    looked_at = np.arange(0, len(scores), max(1, -(-len(scores) // 50_000)))
    rated = looked_at[scores[looked_at] >= 0]
    pz = shared_score(scores, indices, T, p, k, beta)[rated]
    own = scores[rated]
    predicted = np.maximum((pz @ T)[np.arange(len(own)), own], 1e-12)
    share = np.bincount(own) / len(own)
    return np.log(predicted).mean() - np.log(share[own]).mean()


def tune(scores, indices, T, p):
    ks = [k for k in NEIGHBOR_COUNTS if k <= indices.shape[1]] or [indices.shape[1]]
    return {(k, b): information(scores, indices, T, p, k, b) for k in ks for b in BETAS}


# Curation


def split_noise(T, noise_share):
    rater = (1 - noise_share) * np.eye(len(T)) + noise_share * T
    if noise_share == 1:
        return rater, np.eye(len(T))
    heterogeneity = np.maximum(T @ np.linalg.inv(rater), 0)
    return rater, heterogeneity / heterogeneity.sum(axis=1, keepdims=True)


def posterior(scores, indices, T, p, k, beta, noise_share):
    rater, heterogeneity = split_noise(T, noise_share)
    post = shared_score(scores, indices, T, p, k, beta) @ heterogeneity
    rated = scores >= 0
    post[rated] *= rater[:, scores[rated]].T
    return post / post.sum(axis=1, keepdims=True)


def curate(scores, indices, T, p, k, beta, noise_share=0.5, threshold=0.5):
    post = posterior(scores, indices, T, p, k, beta, noise_share)
    rows, rated = np.arange(len(scores)), scores >= 0
    own = np.where(rated, post[rows, scores], -1)
    best = post.argmax(axis=1)
    best = np.where(own == post[rows, best], scores, best)
    confidence = post[rows, best]
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = -np.nansum(post * np.log(post), axis=1)
    return dict(
        expected=post @ np.arange(len(p)),
        suggested=best,
        curated=np.where(rated & (confidence >= threshold), best, scores),
        p_misrated=np.where(rated, 1 - own, np.nan),
        misrated=rated & (1 - own > 0.5),
        confidence=confidence,
        entropy=entropy,
    )


# Trust


def agreement_by_distance(scores, indices, similarities):
    """(pairs, largest distance, agreement, chance) of the bins up to 1, 5, 20, 50 and 100 %."""
    other = scores[indices[:, 0]]
    pairs = np.flatnonzero((scores >= 0) & (other >= 0))
    distance = 1 - similarities[pairs, 0].astype(np.float64)
    pairs, distance = pairs[np.argsort(distance, kind="stable")], np.sort(distance)
    ends = [int(np.ceil(share * len(pairs))) for share in (0.01, 0.05, 0.2, 0.5, 1.0)]
    bins = []
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        x, y = scores[pairs[start:end]], other[pairs[start:end]]
        if start == end:
            bins.append((0, np.nan, np.nan, np.nan))
            continue
        chance = sum((x == c).mean() * (y == c).mean() for c in range(scores.max() + 1))
        bins.append((end - start, distance[end - 1], (x == y).mean(), chance))
    return bins


def compare_close_fit(scores, indices, similarities, num_classes, prior="ordinal", strength=None):
    """Mean diagonal of T over all pairs of nearest neighbors, and over the closest fifth."""
    distance = 1 - similarities[:, :2].astype(np.float64)
    whole = (scores >= 0) & (scores[indices[:, :2]] >= 0).all(axis=1)
    order = np.sort(distance[whole, 1])
    limit = order[int(np.ceil(0.2 * len(order))) - 1]
    fits = [
        fit_transition(count_consensus(scores, indices, num_classes, 2, close), prior, strength)
        for close in (None, distance <= limit)
    ]
    lost = set(fits[0]["unidentified"]) | set(fits[1]["unidentified"])
    both = [i for i in range(num_classes) if i not in lost]
    weight = fits[0]["p"][both]
    return limit, [
        np.average(fit["T"][both, both], weights=weight) for fit in fits
    ] if both else None


def kappa_slow(pairs, power):
    """Cohen's kappa from its definition: observed over chance disagreement, pair by pair."""
    weight = lambda a, b: float(abs(a - b) ** power) if a != b else 0.0  # noqa: E731
    observed = sum(weight(a, b) for a, b in pairs) / len(pairs)
    chance = sum(weight(a, b) for a, _ in pairs for _, b in pairs) / len(pairs) ** 2
    return 1 - observed / chance if chance > 0 else np.nan


def spearman_slow(x, y):
    """Pearson's correlation of ranks counted one by one: those below, and half of the equal."""
    ranks = [[sum((b < a) + 0.5 * (b == a) for b in column) for a in column] for column in (x, y)]
    if any(len(set(column)) < 2 for column in ranks):
        return np.nan
    return float(np.corrcoef(*ranks)[0, 1])
