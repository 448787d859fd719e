"""Expected numbers for tests/integration/agreement.rs, by scipy and by the plainest counting.

    python tests/golden/agreement.py > tests/fixtures/agreement.json

Made with scipy 1.17.1. The tables are hand-made; nothing here shares code with the crate.
"""

import itertools
import json
import random

from scipy import stats

# One table is a list of instructions; an instruction is a list of [judge score or null, reference rank (lower is better)].
TABLES = {
    "perfect": [[[5, 0], [3, 1], [1, 2]], [[4, 0], [2, 1]]],
    "reversed": [[[1, 0], [3, 1], [5, 2]], [[2, 0], [4, 1]]],
    "ties and a missing score": [[[4, 0], [4, 1], [None, 2]], [[5, 0], [4.5, 0], [1, 1]], [[3, 0], [3, 1], [3, 2]]],
    "a constant reference": [[[5, 1], [3, 1]], [[5, 0], [3, 1], [4, 2], [2.5, 3]]],
    "fractions": [[[4.333, 2], [4.667, 0], [3.0, 1], [4.333, 3]], [[5, 0], [5, 1], [4.667, 2], [0, 3]], [[0, 0], [1, 1], [2, 2]]],
    "nothing parsed": [[[None, 0], [None, 1]]],
    "one response": [[[5, 0]]],
}
draw = random.Random(20)
TABLES["a drawn one"] = [
    [[draw.choice([None, 0, 1, 2, 3, 3.5, 4, 4, 4, 5]), draw.choice([0, 1, 2, 3])] for _ in range(draw.randint(2, 5))]
    for _ in range(40)
]


def sign(x):
    return (x > 0) - (x < 0)


def share(part, whole):
    return part / whole if whole else None


def measure(table):
    pairs = right = ties = unparsed_pairs = fives = best = exact = exact_n = undefined = 0
    rhos, taus = [], []
    for rows in table:
        for (a, r), (b, s) in itertools.combinations(rows, 2):
            if r == s:
                continue
            pairs += 1
            if a is None or b is None:
                unparsed_pairs += 1
            elif a == b:
                ties += 1
            else:
                right += sign(a - b) == sign(s - r)
        for a, r in rows:
            if a is not None and a >= 5:
                fives += 1
                best += r == min(rank for _, rank in rows)
        scores, merits = [a for a, _ in rows], [-r for _, r in rows]
        if None in scores or len(rows) < 2:
            continue
        if len(set(merits)) > 1:
            exact_n += 1
            two = list(itertools.combinations(range(len(rows)), 2))
            exact += all(sign(scores[i] - scores[j]) == sign(merits[i] - merits[j]) for i, j in two)
        if len(set(scores)) > 1 and len(set(merits)) > 1:
            rhos.append(stats.spearmanr(scores, merits).statistic)
            taus.append(stats.kendalltau(scores, merits).statistic)
        else:
            undefined += 1
    rows = [row for instruction in table for row in instruction]
    scores, merits = [-1 if a is None else a for a, _ in rows], [-r for _, r in rows]
    defined = len(set(scores)) > 1 and len(set(merits)) > 1
    return {
        "prompts": sum(any(a is not None for a, _ in rows) for rows in table),
        "pairs": pairs,
        "pairwise_strict": share(right, pairs),
        "pairwise_half": share(right + ties / 2, pairs),
        "pairwise_excluding": share(right, pairs - ties - unparsed_pairs),
        "coverage": share(pairs - ties - unparsed_pairs, pairs),
        "five_best": share(best, fives),
        "five_best_n": fives,
        "exact_match": share(exact, exact_n),
        "exact_match_n": exact_n,
        "spearman": share(sum(rhos), len(rhos)),
        "spearman_n": len(rhos),
        "kendall": share(sum(taus), len(taus)),
        "kendall_n": len(taus),
        "undefined": undefined,
        "pooled_spearman": stats.spearmanr(scores, merits).statistic if defined else None,
        "pooled_kendall": stats.kendalltau(scores, merits).statistic if defined else None,
        "unparsed": sum(a is None for a, _ in rows),
        "responses": len(rows),
        "ties": ties,
        "unparsed_pairs": unparsed_pairs,
    }


def wilson(hits, n):
    interval = stats.binomtest(hits, n).proportion_ci(method="wilson")
    return {"hits": hits, "n": n, "low": interval.low, "high": interval.high}


def entropy(counts):
    return {"counts": counts, "bits": stats.entropy(counts, base=2)}


print(
    json.dumps(
        {
            "agreement": [{"name": name, "instructions": table, "expected": measure(table)} for name, table in TABLES.items()],
            "wilson": [wilson(*row) for row in [(0, 10), (10, 10), (3, 20), (1, 2), (541, 1000)]],
            "entropy": [entropy(row) for row in [[1, 1], [10, 0, 0, 1, 4, 7], [5, 0, 0, 0, 0, 0]]],
        },
        indent=1,
    )
)
