"""Successive halving by plain loops, from scores that are given, and the pairs of an epoch one by one."""

from __future__ import annotations

from fractions import Fraction


def mean_pairs(lengths, window, backward):
    """Over all reaches that can be drawn, each as likely: pairs ahead, and of those behind the share `backward`."""
    total = Fraction(0)
    for length in lengths:
        for i in range(length):
            for reach in range(1, window + 1):
                for j in range(length):
                    if 0 < j - i <= reach:
                        total += Fraction(1, window)
                    if 0 < i - j <= reach:
                        total += Fraction(backward) / window
    return float(total)


def rungs(candidates, score, epochs_of, ends, patience):
    """Who takes part in each rung, and the (score, epochs) that each candidate is left with.

    Args:
        candidates: (window, backward, rate) in the order in which equals are preferred.
        score: of (candidate, epochs).
        epochs_of: of (candidate, rung): epochs after which it is scored there.
    """
    alive, participants, best, stale = list(candidates), [], {}, dict.fromkeys(candidates, 0)
    for rung in range(len(ends)):
        participants.append(list(alive))
        for each in alive:
            for epochs in epochs_of(each, rung):
                if stale[each] >= patience:
                    continue
                current = score(each, epochs)
                if each not in best or current > best[each][0]:
                    best[each], stale[each] = (current, epochs), 0
                else:
                    stale[each] += 1
        survivors = []
        for each in alive:
            rivals = [other for other in alive if rung > 0 or other[2] == each[2]]
            ahead = 0
            for other in rivals:
                first = candidates.index(other) < candidates.index(each)
                if best[other][0] > best[each][0] or (best[other][0] == best[each][0] and first):
                    ahead += 1
            if ahead < (len(rivals) + 1) // 2:
                survivors.append(each)
        alive = survivors
    winner = alive[0]
    for each in alive:
        if best[each][0] > best[winner][0]:
            winner = each
    return participants, best, winner
