#!/usr/bin/env python3
"""Puts bugs back, one at a time, and says which test notices each; a bug that nobody notices is a failure.

The sources are copied to target/bugs, and only the copy is changed. There each bug is written beside the right code, behind a question
that the environment answers (`crate::bug(7)`), so that one build serves them all: SELFREWARD_BUG=7 makes a test program that has bug 7
and no other. Without it every test named here must pass, or nothing that follows would mean anything.

A place that a replacement no longer finds exactly once is a failure too, so that this list cannot rot in silence.

Needs cargo, git and Python alone.   usage: bugs.py [NUMBER | PART_OF_A_NAME]...
"""
import json, os, pathlib, re, subprocess, sys, time

ROOT = pathlib.Path(__file__).resolve().parents[2]
COPY = ROOT / "target/bugs/selfreward"
LONGEST = 300

# What goes wrong, the file, the text as it stands, the text with the bug behind the question BUG, and the tests that should notice:
# `lib` or `integration`, and the beginning of their names.
BUGS = [
    ("a decision is acknowledged before it is synced", "src/engine/recorder.rs",
     "let syncs = is_worth_a_sync(&event);",
     "let syncs = is_worth_a_sync(&event) && !(BUG && matches!(event, Event::PairDecided(_)));",
     "lib engine::recorder::"),
    ("the journal is never synced", "src/run/journal.rs",
     "    pub fn sync(&mut self) -> io::Result<()> {\n",
     "    pub fn sync(&mut self) -> io::Result<()> {\n        if BUG {\n            return Ok(());\n        }\n",
     "lib engine::recorder::"),
    ("the folder is not synced after a checkpoint's rename", "src/engine/checkpoints.rs",
     "sync_folder(parent)?;\n    Ok(manifest)", "if !BUG {\n        sync_folder(parent)?;\n    }\n    Ok(manifest)",
     "lib engine::checkpoints::"),
    ("a checkpoint's content is not compared with its manifest", "src/engine/checkpoints.rs",
     "if digest(&path)?.1 != file.hash {", "if !BUG && digest(&path)?.1 != file.hash {",
     "lib engine::checkpoints::"),
    ("a torn tail is kept", "src/run/journal.rs",
     "file.set_len(from.offset)", "file.set_len(if BUG { length } else { from.offset })",
     "integration crash::every_cut_of_a_journal"),
    ("what a short write left behind stays in the journal", "src/run/journal.rs",
     "self.file.set_len(self.length)?;", "if !BUG {\n            self.file.set_len(self.length)?;\n        }",
     "integration living::a_file_that_may_not_grow"),
    ("checksums are not compared", "src/run/entry.rs",
     "if tail != crc_member(crc32fast::hash(body)) {", "if !BUG && tail != crc_member(crc32fast::hash(body)) {",
     "integration crash::"),
    ("a hole in the numbering of the journal is passed over", "src/run/journal.rs",
     "(entry.seq != self.expected)", "(!BUG && entry.seq != self.expected)",
     "integration crash::damage_before_the_end"),
    ("two engines work on one run", "src/run/folder.rs",
     "            Err(TryLockError::WouldBlock) => Ok(Err(Holder::read(&mut file))),\n            Err(TryLockError::Error(error))",
     "            Err(TryLockError::WouldBlock) if BUG => Ok(Ok(EngineLock { _file: file })),\n"
     "            Err(TryLockError::WouldBlock) => Ok(Err(Holder::read(&mut file))),\n            Err(TryLockError::Error(error))",
     "integration crash::a_second_engine"),
    ("a resume draws other seeds", "src/engine/drive.rs",
     "Seed::root(self.settings.run.seed);",
     "Seed::root(self.settings.run.seed + if BUG { self.recorder.view.seq } else { 0 });",
     "integration crash::a_journal_cut_after_any_entry"),
    ("the first score line of a reply decides", "src/recipe/score.rs",
     "lines.iter().rev().find(|line| line.anchored)",
     "(if BUG { lines.iter().find(|line| line.anchored) } else { lines.iter().rev().find(|line| line.anchored) })",
     "integration score::"),
    ("a reply without a score has the score -1", "src/recipe/score.rs",
     "score: Err(Unscored::Missing),\n", "score: if BUG { Ok(-1.0) } else { Err(Unscored::Missing) },\n",
     "integration score::"),
    ("a missing score counts as 0 in the mean", "src/recipe/judge.rs",
     "filter_map(|score| score.ok())", "filter_map(|score| score.ok().or(BUG.then_some(0.0)))",
     "lib recipe::judge::"),
    ("a candidate with too few scores has one", "src/recipe/judge.rs",
     "let needed = settings.min_parsed.clamp", "let needed = (if BUG { 1 } else { settings.min_parsed }).clamp",
     "lib recipe::judge::"),
    ("the likeliest pairs are cut instead of the least likely", "src/recipe/pairs.rs",
     "known.sort_by(|a, b| a.1.total_cmp(&b.1)", "known.sort_by(|a, b| (if BUG { b.1.total_cmp(&a.1) } else { a.1.total_cmp(&b.1) })",
     "lib recipe::pairs::"),
    ("a near duplicate of the chosen answer is its rejected one", "src/recipe/pairs.rs",
     "if same || likeness > settings.max_likeness {", "if !BUG && (same || likeness > settings.max_likeness) {",
     "lib recipe::pairs::"),
    ("a prompt that was admitted is admitted again", "src/recipe/prompt_filter.rs",
     "        self.remember(text.clone());\n        Ok(text)",
     "        if !BUG {\n            self.remember(text.clone());\n        }\n        Ok(text)",
     "lib recipe::prompt_filter::"),
    ("held-out prompts may be written again", "src/recipe/prompt_filter.rs",
     "self.is_not_held_out(&text)?;", "if !BUG {\n            self.is_not_held_out(&text)?;\n        }",
     "lib recipe::prompt_filter::"),
    ("a tie of the judge counts as decided", "src/recipe/agreement.rs",
     "if a == b => tally.ties += 1,", "if a == b && !BUG => tally.ties += 1,",
     "integration agreement::"),
    ("Kendall's tau is tau-a", "src/recipe/statistics.rs",
     "let (left, right) = (all - tied_a, all - tied_b);",
     "let (left, right) = if BUG { (all, all) } else { (all - tied_a, all - tied_b) };",
     "integration agreement::"),
    ("the oracle's grades choose the pairs", "src/engine/judging.rs",
     "                        mean: pooled.mean,\n                        edited: None,",
     "                        mean: match self.materials.oracle.filter(|_| BUG) {\n"
     "                            Some(oracle) => oracle(&desk.prompts[number as usize], &candidate.text),\n"
     "                            None => pooled.mean,\n                        },\n                        edited: None,",
     "integration rehearsal::no_value_of_the_oracle"),
    ("a vetoed pair is trained on", "src/engine/gate.rs",
     "Outcome::Drop => Err(LeftOutWhy::Human),",
     "Outcome::Drop if BUG => Ok((pair.chosen, pair.rejected)),\n        Outcome::Drop => Err(LeftOutWhy::Human),",
     "integration living::decisions_reach_the_training_set"),
    ("suspicious pairs that nobody decided pass the deadline", "src/engine/gate.rs",
     "Some(limit) if pair.suspicion > limit =>", "Some(limit) if !BUG && pair.suspicion > limit =>",
     "integration label_check::a_gate_of_labels_waits"),
    ("an undo restores nothing", "src/run/view/decisions.rs",
     "decision.undone = undone;", "decision.undone = undone && !BUG;",
     "integration living::decisions_reach_the_training_set"),
    ("a decision of somebody else is written over unseen", "src/engine/requests.rs",
     "if last > seen {", "if !BUG && last > seen {",
     "integration living::decisions_reach_the_training_set"),
    ("decisions are taken after the training set is fixed", "src/engine/requests.rs",
     "        if id.iteration != self.view.iteration || fixed {", "        if !BUG && (id.iteration != self.view.iteration || fixed) {",
     "integration living::decisions_reach_the_training_set"),
    ("an escape that a model wrote reaches the terminal", "src/text/visible.rs",
     "            '\\t' if shown.keep_tabs => out.text.push(c),",
     "            '\\u{1b}' if BUG => out.text.push(c),\n            '\\t' if shown.keep_tabs => out.text.push(c),",
     "lib text::visible::"),
    ("an error quotes the key that it refuses", "src/teacher/secret.rs",
     'bail!("a key is one word of visible ASCII characters, and this is not");',
     'if BUG {\n                bail!("`{text}` is no key");\n            }\n'
     '            bail!("a key is one word of visible ASCII characters, and this is not");',
     "lib teacher::secret::"),
    ("an endpoint's answer may echo the key", "src/teacher/secret.rs",
     "            if part >= ECHO {", "            if !BUG && part >= ECHO {",
     "lib teacher::secret::"),
]

QUESTION = """
/// Whether this bug was put back.
pub fn bug(number: u32) -> bool {
    static WHICH: std::sync::OnceLock<Option<u32>> = std::sync::OnceLock::new();
    *WHICH.get_or_init(|| std::env::var("SELFREWARD_BUG").ok()?.parse().ok()) == Some(number)
}
"""


def git(*words):
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")


def copied():
    """Every file of the checkout that git knows or would take, with the bugs in the sources. Returns what no longer applies."""
    changed, rotten = {}, []
    for number, (name, file, right, wrong, _) in enumerate(BUGS, 1):
        text = changed.get(file) or (ROOT / file).read_text()
        if text.count(right) != 1:
            rotten.append(f"{number} {name}: its place stands {text.count(right)} times in {file}")
            continue
        changed[file] = text.replace(right, wrong.replace("BUG", f"crate::bug({number})"))
    changed["src/lib.rs"] = (ROOT / "src/lib.rs").read_text() + QUESTION
    wanted = {name for name in git("ls-files", "-z", "--cached", "--others", "--exclude-standard") if (ROOT / name).is_file()}
    for name in wanted:
        content = changed[name].encode() if name in changed else (ROOT / name).read_bytes()
        there = COPY / name
        # What has not changed keeps its time, so that cargo builds only what has.
        if not there.is_file() or there.read_bytes() != content:
            there.parent.mkdir(parents=True, exist_ok=True)
            there.write_bytes(content)
            there.chmod((ROOT / name).stat().st_mode)
    for there in [path for path in COPY.rglob("*") if path.is_file()]:
        if str(there.relative_to(COPY)) not in wanted:
            there.unlink()
    return rotten


def built():
    """The two test programs: the unit tests and the integration tests."""
    said = subprocess.run(["cargo", "test", "--no-default-features", "--lib", "--test", "integration", "--no-run", "--message-format=json"],
                          cwd=COPY, stdout=subprocess.PIPE, env={**os.environ, "CARGO_TARGET_DIR": str(ROOT / "target")})
    if said.returncode != 0:
        sys.exit("the copy with the bugs does not compile: the list in this script needs another look")
    programs = {}
    for line in said.stdout.splitlines():
        message = json.loads(line)
        if message.get("reason") == "compiler-artifact" and message.get("executable") and message["profile"]["test"]:
            programs["integration" if message["target"]["name"] == "integration" else "lib"] = message["executable"]
    return programs


def play(program, tests, number):
    """The names of the tests that fail, the number of those that were run, and why none of this is known if it is not."""
    variables = {key: value for key, value in os.environ.items() if key != "SELFREWARD_BUG"}
    if number:
        variables["SELFREWARD_BUG"] = str(number)
    try:
        said = subprocess.run([program, tests, "--test-threads=2"], cwd=COPY, env=variables, capture_output=True, text=True,
                              errors="replace", timeout=LONGEST, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        return [], 0, f"no end within {LONGEST} s"
    failed = sorted(set(re.findall(r"^test (\S+) \.\.\. FAILED$", said.stdout, re.M)))
    run = re.search(r"^running (\d+) tests?$", said.stdout, re.M)
    if said.returncode != 0 and not failed:
        return [], 0, f"it died ({said.returncode}): {said.stderr[-300:]}"
    return failed, int(run[1]) if run else 0, None


def main():
    wanted = sys.argv[1:]
    chosen = [(number, *bug) for number, bug in enumerate(BUGS, 1)
              if not wanted or any(word == str(number) or not word.isdigit() and word in bug[0] for word in wanted)]
    began = time.monotonic()
    rotten = copied()
    programs = built()
    print(f"one build: {time.monotonic() - began:.0f} s\n", flush=True)
    bad = [f"no longer applies: {what}" for what in rotten]
    for tests in sorted({bug[5] for bug in chosen}):
        kind, name = tests.split()
        failed, run, why = play(programs[kind], name, None)
        if failed or why or not run:
            bad.append(f"without any bug, `{tests}`: {why or failed or 'there is no such test'}")
    print("| | bug | file | caught by |\n|---|---|---|---|")
    for number, name, file, _, _, tests in chosen:
        if any(what.startswith(f"{number} ") for what in rotten):
            print(f"| {number} | {name} | {file} | NO LONGER APPLIES |", flush=True)
            continue
        kind, beginning = tests.split()
        failed, _, why = play(programs[kind], beginning, number)
        if not failed:
            bad.append(f"not caught: {number} {name}" + (f" ({why})" if why else ""))
        more = f" and {len(failed) - 1} more" if len(failed) > 1 else ""
        print(f"| {number} | {name} | {file} | {failed[0] + more if failed else 'NOT CAUGHT'} |", flush=True)
    print(f"\n{len(chosen)} bugs in {time.monotonic() - began:.0f} s")
    for what in bad:
        print(what)
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
