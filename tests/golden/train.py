"""Makes tests/fixtures/train: losses, gradients, updates and a training curve as PyTorch and transformers compute them.

Run with public packages (torch, transformers, safetensors): python tests/golden/train.py tests/fixtures
Reads the tiny Llamas that tests/golden/llama.py made.
"""

import inspect
import json
import math
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch.optim import _muon
from transformers import LlamaConfig, LlamaForCausalLM

ROOT = Path(sys.argv[1])
MASK = (1 << 64) - 1


def derive(key, part):
    """The crate's numbered draws, so that both sides visit examples in the same order."""
    z = key ^ (((part + 1) & MASK) * 0x9E3779B97F4A7C15 & MASK)
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & MASK
    return z ^ (z >> 31)


def permutation(items, key):
    order = list(range(items))
    for last in range(items - 1, 0, -1):
        other = int((derive(key, last) >> 11) / (1 << 53) * (last + 1))
        order[last], order[other] = order[other], order[last]
    return order


def load(case):
    return LlamaForCausalLM.from_pretrained(ROOT / "llama" / case, dtype=torch.float32, attn_implementation="eager").train()


def draw(generator, prompt, reply):
    tokens = torch.randint(3, 96, (prompt + reply,), generator=generator).tolist()
    return dict(tokens=tokens, start=prompt)


def token_log_probs(model, sequence):
    ids = torch.tensor([sequence["tokens"]])
    log_probs = model(ids).logits[0, :-1].log_softmax(-1)
    return log_probs.gather(1, ids[0, 1:, None])[:, 0][sequence["start"] - 1 :]


def pair_loss(kind, beta, smoothing, margin, c, r, rc, rr, nc, nr):
    if kind == "ipo":
        return ((c - rc) / nc - (r - rr) / nr - 1 / (2 * beta)) ** 2
    if kind == "dpo":
        logits = beta * ((c - rc) - (r - rr))
    elif kind == "length_normalised":
        logits = beta * ((c - rc) / nc - (r - rr) / nr)
    else:
        logits = beta * (c / nc - r / nr - margin)
    return -F.logsigmoid(logits) * (1 - smoothing) - F.logsigmoid(-logits) * smoothing


def weighted(log_probs, shorter, tail):
    weights = torch.ones_like(log_probs)
    weights[shorter:] = tail
    return (log_probs * weights).sum()


def preference_loss(model, pairs, spec):
    """Mean over pairs, with the chosen reply's NLL per token, and examples mixed in at weight 1. Also the first term alone."""
    total, plain = 0, 0
    for pair in pairs:
        c, r = token_log_probs(model, pair["chosen"]), token_log_probs(model, pair["rejected"])
        shorter = min(len(c), len(r))
        loss = pair_loss(spec["kind"], spec["beta"], spec["label_smoothing"], spec["margin"], weighted(c, shorter, spec["tail"]),
                         weighted(r, shorter, spec["tail"]), *pair["reference"], len(c), len(r))
        plain = plain + loss / len(pairs)
        total = total + (loss - spec["nll_weight"] * c.mean()) / len(pairs)
    if spec["replay"]:
        own = torch.cat([token_log_probs(model, sequence) for sequence in spec["replay"]])
        total = total - own.mean()
    return total, plain


def gradients(model):
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


def steps():
    """One gradient of every kind of loss."""
    generator = torch.Generator().manual_seed(7)
    sft = [draw(generator, p, r) for p, r in [(5, 9), (12, 3), (1, 20), (8, 8), (3, 1)]]
    pairs = []
    for prompt, chosen, rejected in [(6, 7, 12), (10, 4, 4), (3, 15, 5), (8, 2, 9)]:
        c, r = draw(generator, prompt, chosen), draw(generator, prompt, rejected)
        r["tokens"][:prompt] = c["tokens"][:prompt]
        reference = (-torch.rand(2, generator=generator) * 8 - 4 * torch.tensor([chosen, rejected])).tolist()
        pairs.append(dict(chosen=c, rejected=r, reference=reference))
    plain = dict(kind="dpo", beta=0.1, label_smoothing=0.0, margin=0.5, tail=1.0, nll_weight=0.0, replay=[])
    specs = dict(
        dpo=plain,
        everything=dict(plain, label_smoothing=0.1, tail=0.5, nll_weight=1.0, replay=sft[:3]),
        length_normalised=dict(plain, kind="length_normalised", beta=2.0),
        simpo=dict(plain, kind="simpo", beta=2.0),
        ipo=dict(plain, kind="ipo", beta=0.5),
    )
    cases, tensors = [], {}
    for model_name in ["tied", "biases", "gqa_llama3_bf16"]:
        for name, spec in [("sft", None), *specs.items()]:
            if model_name != "tied" and name not in ("sft", "everything"):
                continue
            model = load(model_name)
            if spec is None:
                loss = -torch.cat([token_log_probs(model, sequence) for sequence in sft]).mean()
                plain_loss = loss
            else:
                loss, plain_loss = preference_loss(model, pairs, spec)
            loss.backward()
            found = gradients(model)
            case = dict(model=model_name, name=name, loss=float(plain_loss.detach()),
                        norms={n: float(g.double().norm()) for n, g in found.items()})
            case["grad_norm"] = math.sqrt(sum(n * n for n in case["norms"].values()))
            cases.append(case)
            if model_name == "tied" and name in ("sft", "everything", "simpo") or name == "sft" and model_name == "biases":
                tensors.update({f"{model_name}/{name}/{n}": g.contiguous() for n, g in found.items()})
    save_file(tensors, ROOT / "train" / "gradients.safetensors")
    return dict(sft=sft, pairs=pairs, specs=specs, cases=cases)


def curve():
    """Forty steps of DPO with AdamW, clipping and a falling learning rate, on one model."""
    generator = torch.Generator().manual_seed(9)
    pairs = []
    for _ in range(20):
        prompt, chosen, rejected = (int(n) for n in torch.randint(2, 12, (3,), generator=generator))
        c, r = draw(generator, prompt, chosen), draw(generator, prompt, rejected)
        r["tokens"][:prompt] = c["tokens"][:prompt]
        pairs.append(dict(chosen=c, rejected=r))
    model = load("tied")
    with torch.no_grad():
        for pair in pairs:
            pair["reference"] = [float(token_log_probs(model, pair[side]).sum()) for side in ("chosen", "rejected")]
    spec = dict(kind="dpo", beta=0.1, label_smoothing=0.0, margin=0.5, tail=1.0, nll_weight=0.0, replay=[])
    decayed = [p for n, p in model.named_parameters() if "norm" not in n and "embed" not in n]
    kept = [p for n, p in model.named_parameters() if "norm" in n or "embed" in n]
    optimizer = torch.optim.AdamW([dict(params=decayed, weight_decay=0.01), dict(params=kept, weight_decay=0.0)], lr=5e-4)
    batch, steps, seed, lr, lr_end = 5, 40, 1234, 5e-4, 5e-5
    losses, norms = [], []
    for step in range(steps):
        order = permutation(len(pairs), derive(seed, step // 4))
        chosen = [pairs[i] for i in order[step % 4 * batch : (step % 4 + 1) * batch]]
        loss, _ = preference_loss(model, chosen, spec)
        optimizer.zero_grad()
        loss.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)))
        for group in optimizer.param_groups:
            group["lr"] = lr_end + (lr - lr_end) * (1 - step / steps)
        optimizer.step()
        losses.append(float(loss.detach()))
    return dict(pairs=pairs, batch=batch, epochs=10, seed=seed, lr=lr, lr_end=lr_end, weight_decay=0.01, losses=losses, grad_norms=norms)


def fill(index, count, step=None):
    """Numbers that both sides can write down."""
    i = torch.arange(count, dtype=torch.float64)
    if step is None:
        return (0.3 * torch.cos(0.11 * i + index)).float()
    return (torch.sin(0.37 * i + 1.3 * step + index) * (1 + index % 3) * 0.1).float()


def updates():
    """Twenty updates of AdamW, and of Muon with AdamW beside it, on given gradients."""
    # Newton and Schulz's steps in f32 instead of bf16: the same equations, comparable digits.
    source = inspect.getsource(_muon._zeropower_via_newtonschulz).replace("bfloat16", "float32")
    exec(source, _muon.__dict__)
    config = LlamaConfig(vocab_size=10, hidden_size=8, intermediate_size=12, num_hidden_layers=1, num_attention_heads=2,
                         num_key_value_heads=1, max_position_embeddings=32, rms_norm_eps=1e-5, tie_word_embeddings=False)
    found = {}
    for rule in ["adamw", "muon"]:
        model = LlamaForCausalLM(config)
        names = sorted(name for name, _ in model.named_parameters())
        named = dict(model.named_parameters())
        for index, name in enumerate(names):
            named[name].data = fill(index, named[name].numel()).reshape(named[name].shape)
        hidden = [named[n] for n in names if "proj" in n]
        output = [named["lm_head.weight"]]
        kept = [named[n] for n in names if "norm" in n or "embed" in n]
        plain = dict(lr=3e-3, betas=(0.9, 0.999), eps=1e-8)
        if rule == "adamw":
            optimizers = [torch.optim.AdamW([dict(params=hidden + output, weight_decay=0.1), dict(params=kept, weight_decay=0)], **plain)]
        else:
            optimizers = [
                torch.optim.AdamW([dict(params=output, weight_decay=0.1), dict(params=kept, weight_decay=0)], **plain),
                torch.optim.Muon(hidden, lr=3e-3, weight_decay=0.1, momentum=0.95, nesterov=True, adjust_lr_fn="match_rms_adamw"),
            ]
        norms = []
        for step in range(20):
            for index, name in enumerate(names):
                named[name].grad = fill(index, named[name].numel(), step).reshape(named[name].shape)
            norms.append(float(torch.nn.utils.clip_grad_norm_(named.values(), 1.0)))
            for optimizer in optimizers:
                optimizer.step()
        found[rule] = dict(norms=norms, weights={n: [round(x, 8) for x in named[n].detach().flatten().tolist()] for n in names})
    return dict(config=json.loads(config.to_json_string()), names=names, **found)


torch.manual_seed(0)
(ROOT / "train").mkdir(exist_ok=True)
for name, made in [("steps", steps()), ("curve", curve()), ("updates", updates())]:
    (ROOT / "train" / f"{name}.json").write_text(json.dumps(made) + "\n")
