"""Makes tests/fixtures/train/losses.json: preference losses and their derivatives by PyTorch's autograd.

Run with a public package (torch): python tests/golden/losses.py tests/fixtures/train/losses.json
The formulas are written as TRL has them (logsigmoid of logits; IPO and length-normalised DPO over per-token means).
"""

import json
import sys

import torch
import torch.nn.functional as F


def loss_of(kind, beta, smoothing, margin, c, r, rc, rr, nc, nr):
    if kind == "ipo":
        return ((c - rc) / nc - (r - rr) / nr - 1 / (2 * beta)) ** 2
    if kind == "dpo":
        logits = beta * ((c - rc) - (r - rr))
    elif kind == "length_normalised":
        logits = beta * ((c - rc) / nc - (r - rr) / nr)
    else:
        logits = beta * (c / nc - r / nr - margin)
    return -F.logsigmoid(logits) * (1 - smoothing) - F.logsigmoid(-logits) * smoothing


generator = torch.Generator().manual_seed(3)
rows = []
for kind in ["dpo", "length_normalised", "simpo", "ipo"]:
    for beta in [0.1, 0.5, 2.0]:
        for smoothing in [0.0] if kind == "ipo" else [0.0, 0.15]:
            for _ in range(4):
                nc, nr = (int(n) for n in torch.randint(1, 60, (2,), generator=generator))
                per_token = -torch.rand(4, generator=generator, dtype=torch.float64) * 2
                lengths = torch.tensor([nc, nr, nc, nr], dtype=torch.float64)
                c, r, rc, rr = (per_token * lengths).tolist()
                tc, tr = torch.tensor(c, dtype=torch.float64, requires_grad=True), torch.tensor(r, dtype=torch.float64, requires_grad=True)
                loss = loss_of(kind, beta, smoothing, 0.5, tc, tr, rc, rr, nc, nr)
                by_c, by_r = torch.autograd.grad(loss, [tc, tr])
                rows.append(dict(kind=kind, beta=beta, label_smoothing=smoothing, margin=0.5, log_probs=[c, r, rc, rr],
                                 tokens=[nc, nr], loss=float(loss), by_chosen=float(by_c), by_rejected=float(by_r)))
with open(sys.argv[1], "w") as file:
    file.write("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")
