"""Does the work of a run's iteration again with transformers and TRL, and tells how long each part took there and here.

    selfreward --runs /tmp/runs run --preset tiny --gate off --seed 11 --name it --foreground
    python3 tests/long/iteration.py /tmp/runs/it --threads 2

Needs torch, transformers, trl and datasets. The same model (M1 of the run), prompts, numbers of samples, limits of length and sampling
settings: four answers to each prompt, three judgements of each answer, and preference training on the pairs of the run with its batch,
epochs and learning rate. The texts are sampled anew and thrown away: only time is compared. Prompts are not written again, and the
judging examples that the run mixes into each step are left out there, both in favour of transformers.
"""

import argparse
import json
import time
from datetime import datetime
from pathlib import Path

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import DPOConfig, DPOTrainer


def events(run):
    for part in sorted(run.glob("journal-*.jsonl")):
        for line in part.read_text().splitlines():
            entry = json.loads(line)
            yield datetime.fromisoformat(entry["at"].replace("Z", "+00:00")), entry["event"]


def read(run):
    """What the first iteration worked on, and how long its stages took."""
    prompts, candidates, pairs, begun, took, config, judged = {}, {}, [], {}, {}, None, 0
    for at, event in events(run):
        kind = event["kind"]
        if kind == "run_started":
            config = event["config"]
        elif kind == "stage_started" and event["iteration"] == 1:
            begun[event["stage"]] = at
        elif kind == "stage_finished" and event["iteration"] == 1:
            took[event["stage"]] = (at - begun[event["stage"]]).total_seconds()
        elif kind == "prompt_written" and event["id"].startswith("1:"):
            prompts[event["id"]] = event["text"]
        elif kind == "candidate_sampled" and event["prompt"].startswith("1:"):
            candidates[event["prompt"], event["candidate"]] = event["text"]
        elif kind == "candidate_judged" and event["prompt"].startswith("1:"):
            judged += 1
        elif kind == "training_set_fixed" and event["iteration"] == 1:
            pairs = [(prompts[p["pair"]], candidates[p["pair"], p["chosen"]], candidates[p["pair"], p["rejected"]]) for p in event["pairs"]]
    return config, prompts, candidates, pairs, took, judged


def main():
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("run", type=Path)
    asked.add_argument("--threads", type=int, default=2)
    asked.add_argument("--batch", type=int, default=64, help="texts that are written at once")
    asked.add_argument("--judge-prompt", type=Path, default=Path(__file__).parents[2] / "prompts/short/judge.txt")
    asked.add_argument("--out", default="/tmp/selfreward-iteration")
    asked = asked.parse_args()
    torch.set_num_threads(asked.threads)
    torch.manual_seed(1)
    config, prompts, candidates, pairs, took, judged = read(asked.run)
    folder = asked.run / "checkpoints/M1"
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    def write(texts, each, settings):
        """So many replies to each text; returns seconds and tokens."""
        started, tokens = time.monotonic(), 0
        for at in range(0, len(texts), max(1, asked.batch // each)):
            part = texts[at : at + max(1, asked.batch // each)]
            rows = tokenizer(part, return_tensors="pt", padding=True, add_special_tokens=False)
            rows.pop("token_type_ids", None)
            with torch.inference_mode():
                out = model.generate(
                    **rows,
                    do_sample=True,
                    temperature=settings["temperature"],
                    top_p=settings["top_p"],
                    top_k=0,
                    max_new_tokens=settings["max_tokens"],
                    num_return_sequences=each,
                    pad_token_id=tokenizer.pad_token_id,
                )
            tokens += int((out[:, rows["input_ids"].shape[1] :] != tokenizer.pad_token_id).sum())
        return time.monotonic() - started, tokens

    def turn(text):
        return tokenizer.apply_chat_template([{"role": "user", "content": text}], tokenize=False, add_generation_prompt=True)

    answers, answer_tokens = write([turn(text) for text in prompts.values()], config["candidates"]["n"], config["candidates"])
    # What stands before the place of the rationale is the prompt.
    template = asked.judge_prompt.read_text().split("{{rationale}}")[0].split("Review:")[0].rstrip("\n")
    by_prompt = [(prompts[id], text) for (id, _), text in candidates.items()]
    asks = [turn(template.replace("{{prompt}}", prompt).replace("{{answer}}", answer)) for prompt, answer in by_prompt]
    # As long texts as each other are written together, which is kinder to padded batches.
    judgements, judge_tokens = write(sorted(asks, key=len), config["judge"]["samples"], config["judge"])

    rows = Dataset.from_list([{"prompt": turn(prompt), "chosen": chosen, "rejected": rejected} for prompt, chosen, rejected in pairs])
    settings = config["dpo"]
    trainer = DPOTrainer(
        model=model.train(),
        args=DPOConfig(
            output_dir=asked.out,
            per_device_train_batch_size=settings["batch"],
            num_train_epochs=settings["epochs"],
            learning_rate=settings["lr"],
            beta=settings["beta"],
            report_to=[],
            save_strategy="no",
            logging_strategy="no",
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            precompute_ref_log_probs=True,
            max_length=settings["max_tokens"],
        ),
        train_dataset=rows,
        processing_class=tokenizer,
    )
    started = time.monotonic()
    trainer.train()
    learning = time.monotonic() - started

    print(f"{len(prompts)} prompts, {len(candidates)} answers, {judged} judgements, {len(pairs)} pairs; {asked.threads} threads")
    print(f"{'':12}{'there, s':>10}{'here, s':>10}{'ratio':>8}")
    there = {"candidates": answers, "judge": judgements, "dpo": learning}
    for stage, seconds in there.items():
        print(f"{stage:12}{seconds:10.1f}{took[stage]:10.1f}{seconds / took[stage]:8.1f}")
    whole, ours = sum(there.values()), sum(took[stage] for stage in there)
    print(f"{'together':12}{whole:10.1f}{ours:10.1f}{whole / ours:8.1f}")
    print(f"tokens written there: {answer_tokens} in answers, {judge_tokens} in judgements")


if __name__ == "__main__":
    main()
