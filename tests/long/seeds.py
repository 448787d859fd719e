"""Measures the embedded default: whole runs over several seeds, printed as tables of medians and ranges.

    cargo build --release
    python3 tests/long/seeds.py --seeds 1 2 3 4 5 --out /tmp/seeds
    python3 tests/long/seeds.py --seeds 1 2 3 4 5 --out /tmp/seeds --human all
    python3 tests/long/seeds.py --seeds 1 --out /tmp/seeds --collapse saturation length parse overfit

Needs the standard library alone. A run that is there already is read, not made again. `--human` lets the embedded world's
oracle decide at every gate (`check --simulate`): a simulation of a careful person, not a person.
"""

import argparse
import json
import resource
import statistics
import subprocess
import time
from datetime import datetime
from pathlib import Path

MODELS = ["M0", "SFT", "M1", "M2", "M3"]


def journal(folder):
    for part in sorted(folder.glob("journal-*.jsonl")):
        for line in part.read_text().splitlines():
            entry = json.loads(line)
            yield entry["at"], entry["event"]


def make(program, root, name, seed, human, collapse, extra):
    folder = root / name
    if not folder.exists():
        common = ["--name", name, "--seed", str(seed), *[word for pair in extra for word in ("--set", pair)]]
        started = time.monotonic()
        if collapse:
            subprocess.run([program, "--runs", root, "demo", "--collapse", collapse, "--foreground", *common], check=True, stdout=subprocess.DEVNULL)
        elif human:
            subprocess.run([program, "--runs", root, "run", "--preset", "tiny", "--gate", "wait", "--detach", *common], check=True)
            subprocess.run([program, "--runs", root, "check", name, "--simulate", human], check=True)
        else:
            subprocess.run([program, "--runs", root, "run", "--preset", "tiny", "--gate", "off", "--foreground", *common], check=True, stdout=subprocess.DEVNULL)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent = {"wall_s": time.monotonic() - started, "peak_mb_so_far": used.ru_maxrss / 1024}
        (folder / "measured.json").write_text(json.dumps(spent))
    return read(folder)


def read(folder):
    run = {"evaluated": {}, "alarms": [], "stages": []}
    begun = {}
    for at, event in journal(folder):
        at = datetime.fromisoformat(at.replace("Z", "+00:00"))
        kind = event["kind"]
        if kind == "evaluated":
            run["evaluated"][event["model"]] = event
            run["alarms"].append((at, "measured " + event["model"]))
        elif kind == "alarm_raised":
            run["alarms"].append((at, f"{event['level']} {event['id']} (iteration {event['iteration']})"))
        elif kind == "stage_started":
            begun[event["iteration"], event["stage"], event["model"]] = at
        elif kind == "stage_finished":
            key = event["iteration"], event["stage"], event["model"]
            run["stages"].append((key, (at - begun[key]).total_seconds()))
        elif kind == "run_finished":
            run["finished"] = at
        elif kind == "run_started":
            run["started"] = at
    if (folder / "measured.json").exists():
        run["spent"] = json.loads((folder / "measured.json").read_text())
    return run


def spread(values):
    values = [value for value in values if value is not None]
    if not values:
        return "–"
    return f"{statistics.median(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def table(runs):
    rows = {
        "oracle mean, T 0.7": lambda e: (e.get("oracle") or {}).get("mean_t07"),
        "perfect, T 0.7": lambda e: (e.get("oracle") or {}).get("perfect_t07"),
        "oracle mean, T 1.0": lambda e: (e.get("oracle") or {}).get("mean_t10"),
        "perfect, T 1.0": lambda e: (e.get("oracle") or {}).get("perfect_t10"),
        "pairwise, ties half": lambda e: e["agreement"].get("pairwise_half"),
        "5-best": lambda e: e["agreement"].get("five_best"),
        "exact": lambda e: e["agreement"].get("exact_match"),
        "Spearman": lambda e: e["agreement"].get("spearman"),
        "Kendall": lambda e: e["agreement"].get("kendall"),
        "words": lambda e: e["lengths"]["mean"],
        "distinct-2": lambda e: e["diversity"]["distinct_2"],
        "chosen truly better": lambda e: share(e.get("pairs_truly_better")),
        "prompts well formed": lambda e: part(e, "well_formed", "prompts"),
        "suspicion AUROC": lambda e: (e.get("hindsight") or {}).get("suspicion_auroc"),
        "wrong in queue / wrong in all": lift,
        "decided and changed": lambda e: part(e, "changed", "decided"),
    }
    print("| | " + " | ".join(MODELS) + " |\n|---|" + "---|" * len(MODELS))
    for name, value in rows.items():
        cells = [spread([value(run["evaluated"][model]) for run in runs if model in run["evaluated"]]) for model in MODELS]
        print(f"| {name} | " + " | ".join(cells) + " |")
    perfect = [{model: run["evaluated"][model]["oracle"]["perfect_t07"] for model in MODELS if model in run["evaluated"]} for run in runs]
    perfect = [row for row in perfect if "M3" in row]
    if perfect:
        print(f"\nM1 to M2, perfect at T 0.7: {spread([row['M2'] - row['M1'] for row in perfect])}")
        print(f"M2 to M3: {spread([row['M3'] - row['M2'] for row in perfect])}")
        print(f"M3 above M1 in {sum(row['M3'] > row['M1'] for row in perfect)} of {len(perfect)}")
    wins = [duel for run in runs if "M2" in run["evaluated"] for duel in run["evaluated"]["M2"]["head_to_head"] if duel["against"] == "M1" and duel["by"] == "oracle"]
    print(f"M2 beats M1 more often than it loses in {sum(duel['win'] > duel['lose'] for duel in wins)} of {len(wins)}: "
          + ", ".join(f"{duel['win']}/{duel['tie']}/{duel['lose']}" for duel in wins))
    stages = {}
    for run in runs:
        for (iteration, stage, model), seconds in run["stages"]:
            stages.setdefault((iteration, stage, model), []).append(seconds)
    print("\nseconds by stage: " + "; ".join(f"{stage} {model} {spread(seconds)}" for (_, stage, model), seconds in stages.items()))
    print("whole run, s: " + spread([(run["finished"] - run["started"]).total_seconds() for run in runs if "finished" in run]))
    print("peak memory, MB: " + spread([run.get("spent", {}).get("peak_mb_so_far") for run in runs]))


def share(counts):
    return counts["count"] / counts["n"] if counts else None


def part(event, count, of):
    found = event.get("hindsight")
    return found[count] / found[of] if found and found[of] else None


def lift(event):
    found = event.get("hindsight")
    if not found or not found["offered"] or found["pairs"] == found["better"]:
        return None
    return (found["offered_wrong"] / found["offered"]) / ((found["pairs"] - found["better"]) / found["pairs"])


def first_alarms(name, run):
    """What came first: an alarm, or a fall of the oracle's mean by 0.1 below the best model before."""
    print(f"\n## {name}")
    best = None
    for at, what in run["alarms"]:
        if what.startswith("measured "):
            oracle = run["evaluated"][what[9:]].get("oracle") or {}
            mean, perfect = oracle.get("mean_t07"), oracle.get("perfect_t07")
            fallen = best is not None and mean is not None and mean < best - 0.1
            # People's own answers lower the mean before any iteration; what counts is the fall after M1.
            if what[9:] not in ("M0", "SFT"):
                best = mean if best is None else max(best, mean)
            agreement = run["evaluated"][what[9:]]["agreement"].get("pairwise_half")
            print(f"{at:%H:%M:%S} {what}: oracle mean {mean:.2f}, perfect {perfect:.3f}, pairwise {agreement}" + ("  << fallen" if fallen else ""))
        else:
            print(f"{at:%H:%M:%S}   {what}")


def main():
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--program", default="target/release/selfreward")
    asked.add_argument("--out", type=Path, required=True)
    asked.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    asked.add_argument("--human", choices=["all", "queue", "random"])
    asked.add_argument("--collapse", nargs="+", default=[])
    asked.add_argument("--set", action="append", default=[])
    asked = asked.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    for collapse in asked.collapse:
        for seed in asked.seeds:
            name = f"{collapse}-{seed}"
            first_alarms(name, make(asked.program, asked.out, name, seed, None, collapse, asked.set))
    if not asked.collapse:
        kind = asked.human or "alone"
        table([make(asked.program, asked.out, f"{kind}-{seed}", seed, asked.human, None, asked.set) for seed in asked.seeds])


if __name__ == "__main__":
    main()
