"""Expected ROUGE-L F1 for tests/integration/likeness.rs, by the rouge_score package without stemming.

    python tests/golden/likeness.py > tests/fixtures/likeness.json

Made with rouge_score 0.1.2.
"""

import itertools
import json

from rouge_score import rouge_scorer

TEXTS = [
    "Write a short poem about the sea at night.",
    "Write a poem about the sea, at night!",
    "Name three rivers that flow through Germany and say where each of them ends.",
    "Say where each of the three rivers ends that flow through Germany.",
    "Translate 'good morning' into 3 languages: French, Spanish and Finnish.",
    "translate GOOD MORNING into french spanish and finnish, in 3 languages",
    "What is 17 * 23? Show your work step-by-step.",
    "Explain step by step why the sum of two odd numbers is even.",
    "a a a b b b a a a",
    "b a b a b a",
    "word " * 70 + "end",
    "end " + "word " * 65,
    "?!",
]

scorer = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=False)
pairs = itertools.combinations_with_replacement(TEXTS, 2)
print(json.dumps([[a, b, scorer.score(a, b)["rougeL"].fmeasure] for a, b in pairs], indent=1))
