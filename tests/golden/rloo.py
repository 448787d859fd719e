"""Makes tests/fixtures/train/rloo.json: the loss of learning from rewards and its derivatives by PyTorch's autograd.

Run with a public package (torch): python tests/golden/rloo.py tests/fixtures/train/rloo.json
The baseline is written as TRL's RLOO trainer has it, (sum - reward) / (k - 1), the surrogate as PPO's: max of two losses.
"""

import json
import sys

import torch

generator = torch.Generator().manual_seed(5)


def loss_of(rewards, log_probs, reference, beta, clip):
    k = len(rewards)
    with torch.no_grad():
        total = rewards - beta * (log_probs - reference)
        advantages = total - (total.sum() - total) / (k - 1)
    ratio = torch.exp(log_probs - reference)
    losses = -ratio * advantages
    if clip > 0:
        losses = torch.max(losses, -torch.clamp(ratio, 1 - clip, 1 + clip) * advantages)
    return losses, advantages, ratio


rows = []
for k in [2, 4, 7]:
    for beta in [0.0, 0.05, 0.7]:
        for clip in [0.0, 0.2, 0.6]:
            for spread in [0.0, 0.15, 1.0]:
                rewards = 2 * torch.randn(k, generator=generator, dtype=torch.float64)
                reference = -20 * torch.rand(k, generator=generator, dtype=torch.float64)
                moved = spread * torch.randn(k, generator=generator, dtype=torch.float64)
                log_probs = (reference + moved).requires_grad_(True)
                losses, advantages, ratio = loss_of(rewards, log_probs, reference, beta, clip)
                (by,) = torch.autograd.grad(losses.sum(), [log_probs])
                kl = (ratio - 1 - (log_probs - reference)).mean()
                gain = (ratio / ratio.sum() * rewards).sum() - rewards.mean()
                rows.append(dict(beta=beta, clip=clip, rewards=rewards.tolist(), log_probs=log_probs.tolist(),
                                 reference=reference.tolist(), advantages=advantages.tolist(), losses=losses.tolist(),
                                 by=by.tolist(), kl=float(kl), gain=float(gain)))
with open(sys.argv[1], "w") as file:
    file.write("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")
