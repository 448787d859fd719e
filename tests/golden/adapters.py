"""Makes tests/fixtures/train/peft: an adapter that PEFT saved for tests/fixtures/llama/tied, with its log-probs and gradients.

Run with public packages (peft, transformers, torch): python tests/golden/peft.py tests/fixtures
`check ADAPTER TOKENS` instead loads a folder that selfreward saved and prints the log-probs of token ids, given as JSON.
"""

import json
import sys
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM


def load(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")


def log_probs(model, tokens):
    ids = torch.tensor([tokens])
    return model(ids).logits[0, :-1].log_softmax(-1).gather(1, ids[0, 1:, None])[:, 0]


def make(root):
    base = root / "llama" / "tied"
    torch.manual_seed(5)
    settings = LoraConfig(r=3, lora_alpha=12, lora_dropout=0.0, target_modules=["q_proj", "v_proj", "down_proj"], task_type="CAUSAL_LM")
    model = get_peft_model(load(base), settings)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.2)
    folder = root / "train" / "peft"
    model.save_pretrained(folder)
    config = json.loads((folder / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = "../../llama/tied"
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    (folder / "README.md").unlink(missing_ok=True)
    generator = torch.Generator().manual_seed(6)
    texts = [torch.randint(3, 96, (n,), generator=generator).tolist() for n in (9, 17, 30)]
    scored = [log_probs(model, text) for text in texts]
    (-torch.cat(scored).mean()).backward()
    norms = {n.removeprefix("base_model.model.").replace(".default", ""): float(p.grad.norm()) for n, p in model.named_parameters() if p.requires_grad}
    golden = dict(texts=texts, log_probs=[s.tolist() for s in scored], norms=norms)
    (folder / "golden.json").write_text(json.dumps(golden) + "\n")


if sys.argv[1] == "check":
    base = json.loads((Path(sys.argv[2]) / "adapter_config.json").read_text())["base_model_name_or_path"]
    model = PeftModel.from_pretrained(load(base), sys.argv[2])
    print(json.dumps([log_probs(model, tokens).tolist() for tokens in json.loads(sys.argv[3])]))
else:
    make(Path(sys.argv[1]))
