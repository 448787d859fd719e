#!/usr/bin/env python3
"""Cuts the power of a run's disk again and again: what was confirmed must be there when it comes back.

A rehearsal lives on an ext4 file system on a loop device. A person vetoes pairs; each veto that the command line confirms is
remembered outside. At random moments the file system is shut down without flushing anything (FS_IOC_SHUTDOWN, no log flush),
the engine is killed, the disk is mounted again, and the journal is read as the disk has it:

  1. every line but an unfinished last one is whole, and they are a prefix of what was there before the cut;
  2. at most 64 entries and about a second of them are missing, and no confirmed decision is;
  3. `resume` goes on from there, to the end of the run.

Needs root (loop mounts) and Python alone.   usage: power_cuts.py PROGRAM [CUTS] [SEED]
"""
import fcntl, json, os, random, struct, subprocess, sys, tempfile, time, zlib
from datetime import datetime

SHUTDOWN, NO_LOG_FLUSH = 0x8004587D, 2

program = os.path.abspath(sys.argv[1])
cuts = int(sys.argv[2]) if len(sys.argv) > 2 else 40
draw = random.Random(int(sys.argv[3]) if len(sys.argv) > 3 else 1)
home = tempfile.mkdtemp(prefix="power-")
image, disk = f"{home}/disk.img", f"{home}/disk"
os.mkdir(disk)
subprocess.run(["truncate", "-s", "96M", image], check=True)
subprocess.run(["mkfs.ext4", "-q", image], check=True)
SMALL = ["prompts.count=24", "data.limit=48", "eval.instructions=8", "eval.ranked=8", "eval.anchors=10", "eval.bootstrap=50",
         "checkpoint.every=3", "rehearsal.tempo=0.02"]


def mount():
    subprocess.run(["mount", "-o", "loop", image, disk], check=True)


def unmount():
    subprocess.run(["umount", "-l", disk], check=False)
    while subprocess.run(["losetup", "-j", image], capture_output=True, text=True).stdout:
        time.sleep(0.05)


def call(*words):
    return subprocess.run([program, *words, "--runs", disk], capture_output=True, text=True, timeout=60)


def asked(*words):
    said = call(*words, "--json")
    return json.loads(said.stdout) if said.returncode == 0 else {}


def journal(name):
    """The whole lines, of which only the last may be unfinished."""
    path = f"{disk}/{name}/journal-0001.jsonl"
    lines = open(path, "rb").read().split(b"\n") if os.path.exists(path) else [b""]
    whole = []
    for number, line in enumerate(lines, 1):
        body, found, crc = line.rpartition(b',"crc":"')
        if found and crc == b'%08x"}' % zlib.crc32(body) and json.loads(line)["seq"] == number:
            whole.append(line)
        else:
            assert not b"".join(lines[number:]), f"line {number} of {len(lines)} is damaged: {line[:90]!r}"
    return whole


def seconds(line):
    return datetime.fromisoformat(json.loads(line)["at"].replace("Z", "+00:00")).timestamp()


def live(name, until, confirmed):
    """A person at work until the given moment; true when the run has finished before it."""
    while time.monotonic() < until:
        status = asked("status", name)
        if status.get("state") == "finished":
            return True
        if status.get("state") == "waiting":
            pairs = [p["pair"] for p in asked("pairs", name).get("pairs", []) if p["iteration"] == status["iteration"]]
            if pairs and draw.random() < 0.85:
                pair = draw.choice(pairs)
                if call("veto", name, pair, "--reason", "wrong").returncode == 0:
                    confirmed.append(pair)
            else:
                call("gate", name, "close")
    return False


mount()
done = runs = decisions = most_lost = 0
longest = 0.0
try:
    while done < cuts:
        runs += 1
        name, confirmed = f"run{runs}", []
        begun = call("run", "--name", name, "--policy", "rehearsal", "--preset", "tiny", "--seed", str(runs), "--gate", "wait",
                     "--detach", *[word for one in SMALL for word in ("--set", one)])
        assert begun.returncode == 0, begun.stderr
        while True:
            cutting = done < cuts
            if live(name, time.monotonic() + (draw.uniform(0.2, 3.0) if cutting else 600), confirmed):
                break
            before = journal(name)
            handle = os.open(disk, os.O_RDONLY)
            fcntl.ioctl(handle, SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
            os.close(handle)
            subprocess.run(["pkill", "-9", "-f", f"engine {disk}/{name}"], check=False)
            unmount()
            mount()
            done += 1
            after = journal(name)
            assert before[: len(after)] == after[: len(before)], f"cut {done}: not a prefix"
            lost = before[len(after):]
            most_lost = max(most_lost, len(lost))
            if lost and after:
                longest = max(longest, seconds(lost[-1]) - seconds(after[-1]))
            kept = [json.loads(line)["event"] for line in after]
            taken = {pair["pair"] for event in kept if event["kind"] == "pair_decided" for pair in event["pairs"]}
            missing = set(confirmed) - taken
            assert not missing, f"cut {done}: confirmed and gone: {missing}"
            assert len(lost) <= 64, f"cut {done}: {len(lost)} entries are gone"
            if asked("status", name).get("state") == "finished":
                break
            again = call("resume", name, "--detach")
            assert again.returncode == 0, f"cut {done}: {again.stderr}"
        decisions += len(confirmed)
    print(f"{done} cuts in {runs} runs: {decisions} confirmed decisions, none lost; at most {most_lost} entries and "
          f"{longest:.2f} s of the journal went with a cut; every run resumed and finished")
finally:
    subprocess.run(["pkill", "-9", "-f", f"engine {disk}"], check=False)
    unmount()
