"""What transformers makes of assets/tiny: tests/fixtures/tiny/golden.json.

Run with public packages (torch, transformers, tokenizers): python tests/golden/tiny.py assets/tiny tests/fixtures/tiny
The tests then need no Python. Conversations come from the folder's own held-out files, through its own chat template.
"""

import json
import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


def main(folder, out):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    sets = [json.loads(line) for line in (folder / "eft_held_out.jsonl").read_text().splitlines()[:6]]
    golden = []
    for row in sets:
        turns = [
            {"role": "user", "content": row["prompt"]},
            {"role": "assistant", "content": row["responses"][0]["text"]},
        ]
        text = tokenizer.apply_chat_template(turns, tokenize=False)
        ids = tokenizer(text, add_special_tokens=False, return_tensors="pt").input_ids
        asked = tokenizer.apply_chat_template(turns[:1], tokenize=False, add_generation_prompt=True)
        asked = tokenizer(asked, add_special_tokens=False, return_tensors="pt").input_ids
        with torch.no_grad():
            log_probs = model(ids).logits.double().log_softmax(-1)[0, :-1]
            picked = log_probs.gather(1, ids[0, 1:, None])[:, 0]
            greedy = model.generate(asked, attention_mask=torch.ones_like(asked), do_sample=False, max_new_tokens=32)
        golden.append({
            "prompt": row["prompt"],
            "reply": row["responses"][0]["text"],
            "tokens": ids[0].tolist(),
            "log_probs": [round(value, 7) for value in picked.tolist()],
            "greedy": tokenizer.decode(greedy[0, asked.shape[1]:], skip_special_tokens=True),
        })
    out.mkdir(parents=True, exist_ok=True)
    (out / "golden.json").write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
