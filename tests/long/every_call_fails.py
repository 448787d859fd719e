#!/usr/bin/env python3
"""Lets one system call after another fail, once each, while a run is made: nothing is lost, and it is said aloud.

A rehearsal runs under strace, which makes the n-th call of one kind fail with EIO or ENOSPC. The run may finish all the same (it
waited for the storage, or could do without), or end with an error that says what failed. Then it is resumed without faults,
and must finish with the facts of an undisturbed run. A panic, a hang or a different result is a failure of this test.

Needs strace and Python alone.   usage: every_call_fails.py PROGRAM [POINTS_PER_CALL] [SEED]
"""
import json, os, random, re, subprocess, sys, tempfile

program = os.path.abspath(sys.argv[1])
points = int(sys.argv[2]) if len(sys.argv) > 2 else 6
draw = random.Random(int(sys.argv[3]) if len(sys.argv) > 3 else 1)
root = tempfile.mkdtemp(prefix="calls-")
CALLS = ["openat", "write", "fdatasync", "fsync", "rename", "mkdir", "ftruncate", "unlink", "read", "getdents64", "flock"]
SMALL = ["prompts.count=14", "data.limit=48", "eval.instructions=5", "eval.ranked=5", "eval.anchors=10", "eval.bootstrap=50",
         "checkpoint.every=3"]
RUN = ["--policy", "rehearsal", "--preset", "tiny", "--seed", "3", "--gate", "off", "--headless", "--foreground",
       *[word for one in SMALL for word in ("--set", one)]]


def program_under(strace, *words, limit=120):
    said = subprocess.run([*strace, program, *words, "--runs", root], capture_output=True, text=True, timeout=limit,
                          stdin=subprocess.DEVNULL)
    return said.returncode, said.stdout, said.stderr


def facts(name):
    code, out, error = program_under([], "status", name, "--json")
    assert code == 0, error
    status = json.loads(out)
    return status["state"], status["facts_hash"]


code, _, error = program_under(["strace", "-f", "-c", "-o", f"{root}/counts", "-e", "trace=" + ",".join(CALLS)],
                               "run", "--name", "whole", *RUN)
assert code == 0, error
whole = facts("whole")[1]
counts = {}
for line in open(f"{root}/counts"):
    fields = line.split()
    if fields and fields[-1] in CALLS:
        counts[fields[-1]] = int(fields[3])
print("calls of a whole run:", counts, flush=True)

tally = {"finished all the same": 0, "stopped aloud, resumed": 0, "never began, said aloud": 0}
number = 0
for call, count in counts.items():
    chosen = sorted({1, 2, count, *(draw.randint(1, count) for _ in range(points))})
    for nth in (n for n in chosen if n <= count):
        for error_name in ("EIO", "ENOSPC"):
            number += 1
            # facts do not hold the name, so every run may have its own
            name, where = f"r{number}", f"{call} {nth} of {count}, {error_name}"
            inject = ["strace", "-f", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:error={error_name}:when={nth}"]
            code, out, err = program_under(inject, "run", "--name", name, *RUN)
            assert "panicked" not in err and "panicked" not in out, f"{where}: {err}"
            began = os.path.exists(f"{root}/{name}/journal-0001.jsonl")
            # 127 is the loader's: a library could not be read, and no line of the program ran.
            assert code in (0, 1) or (code == 127 and not began), f"{where}: exit code {code}\n{err}"
            if code == 1:
                assert re.search(r"\w", err), f"{where}: failed without a word"
            if not began:
                assert code != 0, where
                tally["never began, said aloud"] += 1
                continue
            if facts(name)[0] != "finished":
                assert code == 1, f"{where}: not finished and yet no error"
                again, out, err = program_under([], "resume", name, "--headless", "--foreground")
                assert again == 0, f"{where}: resume failed: {err}"
                tally["stopped aloud, resumed"] += 1
            else:
                tally["finished all the same"] += 1
            assert facts(name) == ("finished", whole), f"{where}: other facts"
            subprocess.run(["rm", "-rf", f"{root}/{name}"], check=True)
print(f"{number} failing calls:", ", ".join(f"{n} {what}" for what, n in tally.items()))
