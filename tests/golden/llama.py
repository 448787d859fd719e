"""Makes tests/fixtures/llama: tiny random Llamas and what transformers computes with them.

Run with public packages (torch, transformers, tokenizers): python tests/golden/llama.py tests/fixtures/llama
The tests then need no Python. `check DIR` instead loads a folder that selfreward saved and prints a digest of it.
"""

import json
import shutil
import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

COMMON = dict(
    vocab_size=96, hidden_size=48, intermediate_size=80, num_hidden_layers=2, num_attention_heads=4,
    max_position_embeddings=256, rms_norm_eps=1e-5, bos_token_id=1, eos_token_id=2, initializer_range=0.2,
)
CASES = {
    # Llama 2: as many key-value heads as query heads.
    "mha": (dict(num_key_value_heads=4), dict()),
    # Llama 3: grouped heads, scaled rotary positions, bf16, several files, several end tokens.
    "gqa_llama3_bf16": (
        dict(num_attention_heads=6, num_key_value_heads=2, head_dim=16, eos_token_id=[2, 3],
             rope_parameters=dict(rope_type="llama3", rope_theta=5000.0, factor=8.0, low_freq_factor=1.0,
                                  high_freq_factor=4.0, original_max_position_embeddings=32)),
        dict(dtype=torch.bfloat16, max_shard_size="20KB"),
    ),
    # SmolLM2: tied embeddings, one key-value head for three query heads.
    "tied": (dict(num_attention_heads=3, num_key_value_heads=1, tie_word_embeddings=True,
                  rope_parameters=dict(rope_type="default", rope_theta=100000.0)), dict(dtype=torch.float16)),
    "biases": (dict(num_key_value_heads=2, attention_bias=True, mlp_bias=True), dict()),
    # A head dimension that neither divides 32 nor follows from the hidden size, with linearly scaled positions.
    "odd_head": (dict(num_key_value_heads=2, head_dim=10,
                      rope_parameters=dict(rope_type="linear", rope_theta=10000.0, factor=2.0)), dict()),
}


def make_case(folder, overrides, saving):
    config = LlamaConfig(**{**COMMON, **overrides})
    model = LlamaForCausalLM(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(".bias") or "norm" in name:
                parameter.add_(torch.randn_like(parameter) * 0.3)
    dtype = saving.get("dtype", torch.float32)
    model = model.to(dtype)
    model.save_pretrained(folder, max_shard_size=saving.get("max_shard_size", "5GB"))
    # The expected numbers are those of the saved weights, computed in f32.
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    generator = torch.Generator().manual_seed(5)
    texts = [torch.randint(3, config.vocab_size, (1, 64), generator=generator) for _ in range(3)]
    golden = dict(texts=[], greedy=[])
    with torch.no_grad():
        for ids in texts:
            log_probs = model(ids).logits.double().log_softmax(-1)[0, :-1]
            picked = log_probs.gather(1, ids[0, 1:, None])[:, 0]
            golden["texts"].append(dict(tokens=ids[0].tolist(), log_probs=[round(x, 9) for x in picked.tolist()]))
        for ids in texts[:2]:
            tokens, gap = ids[:, :8], 1e9
            for _ in range(64):
                logits = model(tokens).logits[0, -1]
                best = logits.topk(2).values
                gap = min(gap, float(best[0] - best[1]))
                tokens = torch.cat([tokens, logits.argmax()[None, None]], 1)
            # A near tie could be decided either way by rounding; choose another seed then.
            assert gap > 1e-3, f"{folder}: top two logits only {gap} apart"
            golden["greedy"].append(dict(prompt=tokens[0, :8].tolist(), reply=tokens[0, 8:].tolist()))
    (folder / "golden.json").write_text(json.dumps(golden) + "\n")


TEMPLATES = {
    # Headers around every turn, as Llama 3 has them; a system turn by default.
    "headers": "{{- bos_token }}{% for m in messages %}{{ '<|head|>' + m['role'] + '<|/head|>\n' + m['content'] | trim + '<|end|>' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|head|>assistant<|/head|>\n' }}{% endif %}",
    # A system turn folded into the first user turn, roles that must alternate, Python string methods.
    "folded": "{% if messages[0]['role'] == 'system' %}\n    {% set system = messages[0]['content'].strip() %}\n"
    "    {% set rest = messages[1:] %}\n{% else %}\n    {% set system = none %}\n    {% set rest = messages %}\n{% endif %}\n"
    "{% for m in rest %}\n    {% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}\n"
    "        {{ raise_exception('roles must alternate') }}\n    {% endif %}\n"
    "    {% if loop.first and system is not none %}\n        {% set content = '(' + system + ') ' + m['content'] %}\n"
    "    {% else %}\n        {% set content = m['content'] %}\n    {% endif %}\n"
    "    {% if m['role'] == 'user' %}\n        {{- bos_token + '[ ' + content.strip() + ' ]' }}\n"
    "    {% elif m['role'] == 'assistant' %}\n        {{- ' ' + content.strip() + ' ' + eos_token }}\n    {% endif %}\n{% endfor %}\n",
    # Namespaces, filters, tests, slices and macros that instruct models' templates use.
    "busy": "{%- macro turn(role, text) -%}<|head|>{{ role | upper }}<|/head|>{{ text }}<|end|>{%- endmacro -%}\n"
    "{%- set ns = namespace(count=0) -%}\n{%- for m in messages if m.content is string -%}\n"
    "{%- set ns.count = ns.count + 1 -%}\n{{ turn(m.role, m.content.split('#')[-1].lstrip()) }}\n{%- endfor -%}\n"
    "{{ ns.count }}{{ {'a': '<&>', 'n': messages | length} | tojson }}"
    "{%- if add_generation_prompt is defined and add_generation_prompt -%}\n<|head|>ASSISTANT<|/head|>{%- endif -%}\n",
}
DIALOGUES = [
    [dict(role="user", content="  Count to three. ")],
    [dict(role="system", content=" Be brief. "), dict(role="user", content="Hi # there"),
     dict(role="assistant", content="Hello!"), dict(role="user", content="naïve <b>&amp;</b> 😀\nend")],
]
TEXTS = ["Hello there", "  two  spaces\n\nlines", "naïve 😀 日本", "<|head|>user<|/head|>\nHi<|end|>", "", "1234567890 don't"]


def make_tokenizer(folder):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|pad|>", "<|begin|>", "<|end|>", "<|head|>", "<|/head|>"]
    corpus = ["Hello there, count to three and be brief.", "user assistant system", "two lines, many spaces; don't"] * 4
    tokenizer.train_from_iterator(corpus, trainers.BpeTrainer(
        vocab_size=320, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|begin|> $A", special_tokens=[("<|begin|>", tokenizer.token_to_id("<|begin|>"))])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<|begin|>", eos_token="<|end|>",
                                   pad_token="<|pad|>", clean_up_tokenization_spaces=False)
    fast.chat_template = TEMPLATES["headers"]
    fast.save_pretrained(folder)
    config = json.loads((folder / "tokenizer_config.json").read_text())
    if "chat_template" not in config:  # Newer transformers write a file of its own; both forms are read.
        assert (folder / "chat_template.jinja").exists()
    rows = [dict(text=t, with_special=fast.encode(t), plain=fast.encode(t, add_special_tokens=False)) for t in TEXTS]
    chats = []
    for name, template in TEMPLATES.items():
        for turns in DIALOGUES:
            for prompt in (False, True):
                rendered = fast.apply_chat_template(turns, chat_template=template, tokenize=False, add_generation_prompt=prompt)
                chats.append(dict(template=name, turns=turns, add_generation_prompt=prompt, rendered=rendered))
    (folder / "golden.json").write_text(json.dumps(dict(texts=rows, templates=TEMPLATES, chats=chats), indent=1) + "\n")


def check(folder):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="auto")
    for name, tensor in sorted(model.state_dict().items()):
        print(name, tensor.dtype, tuple(tensor.shape), repr(float(tensor.double().sum())))


if __name__ == "__main__":
    if sys.argv[1] == "check":
        check(sys.argv[2])
        sys.exit()
    root = Path(sys.argv[1])
    for name, (overrides, saving) in CASES.items():
        torch.manual_seed(11)
        shutil.rmtree(root / name, ignore_errors=True)
        (root / name).mkdir(parents=True)
        make_case(root / name, overrides, saving)
    shutil.rmtree(root / "tokenizer", ignore_errors=True)
    (root / "tokenizer").mkdir()
    make_tokenizer(root / "tokenizer")
