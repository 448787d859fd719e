"""Makes tests/fixtures/train/trl.json: forty steps of TRL's own DPOTrainer on tests/fixtures/llama/tied, in f32 without dropout.

Run with public packages (trl, datasets, transformers, torch): python tests/golden/trl_curve.py tests/fixtures
The pairs are token ids of the crate's order; texts and their tokeniser are bypassed, so that only the trainer is compared.
"""

import json
import sys
import tempfile
from pathlib import Path

import torch
import trl
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from torch.utils.data import SequentialSampler
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast
from trl import DPOConfig, DPOTrainer

ROOT = Path(sys.argv[1])
sys.argv = sys.argv[:1]
MASK = (1 << 64) - 1
BATCH, STEPS, PAIRS, SEED, LR, LR_END = 5, 40, 20, 77, 5e-4, 0.0


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


class InOrder(DPOTrainer):
    """Visits rows as they stand."""

    def _get_train_sampler(self, *_):
        return SequentialSampler(self.train_dataset)


def main():
    generator = torch.Generator().manual_seed(21)
    pairs = []
    for _ in range(PAIRS):
        prompt, chosen, rejected = (int(n) for n in torch.randint(2, 12, (3,), generator=generator))
        draw = lambda count: torch.randint(3, 96, (count,), generator=generator).tolist()
        pairs.append(dict(prompt=draw(prompt), chosen=draw(chosen), rejected=draw(rejected)))
    rows = []
    for step in range(STEPS):
        order = permutation(PAIRS, derive(SEED, step // (PAIRS // BATCH)))
        rows += [pairs[i] for i in order[step % (PAIRS // BATCH) * BATCH :][:BATCH]]
    # A tokeniser whose words are the ids themselves, so that texts come out as the tokens meant.
    words = {f"a{i}b": i for i in range(96)}
    own = Tokenizer(models.WordLevel(words, unk_token="a0b"))
    own.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=own, pad_token="a0b", eos_token="a2b", unk_token="a0b")
    text = lambda ids: " ".join(f"a{i}b" for i in ids)
    data = Dataset.from_list([dict(prompt=text(r["prompt"]) + " ", chosen=text(r["chosen"]), rejected=text(r["rejected"])) for r in rows])
    folder = ROOT / "llama" / "tied"
    load = lambda: LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    config = DPOConfig(
        output_dir=tempfile.mkdtemp(), per_device_train_batch_size=BATCH, max_steps=STEPS, learning_rate=LR, beta=0.1, logging_steps=1,
        lr_scheduler_type="linear", warmup_steps=0, max_grad_norm=1.0, weight_decay=0.0, adam_epsilon=1e-8, report_to=[], save_strategy="no",
        use_cpu=True, bf16=False, fp16=False, gradient_checkpointing=False, max_length=None, disable_dropout=True, seed=0, optim="adamw_torch",
    )
    trainer = InOrder(model=load(), ref_model=load(), args=config, train_dataset=data, processing_class=tokenizer)
    # The tokens that the trainer made must be the ones meant (it ends replies with the end token).
    first = trainer.train_dataset[0]
    meant = dict(prompt_ids=rows[0]["prompt"], chosen_ids=rows[0]["chosen"] + [2], rejected_ids=rows[0]["rejected"] + [2])
    assert all(first[key] == ids for key, ids in meant.items()), (first, meant)
    trainer.train()
    history = [entry for entry in trainer.state.log_history if "loss" in entry]
    made = dict(trl=trl.__version__, pairs=pairs, batch=BATCH, epochs=STEPS * BATCH // PAIRS, seed=SEED, lr=LR, lr_end=LR_END, beta=0.1,
                losses=[entry["loss"] for entry in history], grad_norms=[entry["grad_norm"] for entry in history],
                margins=[entry["rewards/margins"] for entry in history], accuracies=[entry["rewards/accuracies"] for entry in history],
                logps_chosen=[entry["logps/chosen"] for entry in history])
    (ROOT / "train" / "trl.json").write_text(json.dumps(made) + "\n")


main()
