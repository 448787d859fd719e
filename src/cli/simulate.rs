//! `check --simulate`: a careful person, played by the oracle of the embedded world. A simulation, for measuring what human
//! decisions are worth; it decides through requests like anybody else, under a name that says what it is.
//!
//! Evaluation only: it is a process beside the run, and no engine can tell it from a person.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::cli::arguments::Simulate;
use crate::cli::open;
use crate::cli::output::Output;
use crate::engine::desk::Desk;
use crate::microworld::oracle;
use crate::recipe::seeds::Seed;
use crate::run::command::{Choice, Command, Decide, Outbox};
use crate::run::event::Event;
use crate::run::folder::RunFolder;
use crate::run::ids::PromptId;
use crate::run::journal::{Found, Tail};
use crate::run::view::{RunView, State, side_number};

const NAME: &str = "simulated-human";
const LOOK: Duration = Duration::from_millis(100);

/// Decides at every gate of the run until the run ends, and says what it did.
pub fn simulate(root: &Path, run: &str, looks_at: Simulate, output: &mut Output) -> Result<()> {
    let folder = open::find(root, run)?;
    let (mut view, mut desk) = (RunView::default(), Desk::default());
    let mut tail = Tail::new(folder.path());
    let outbox = Outbox::open(folder.path(), NAME)?;
    // Texts of labels that were offered: the pool's other texts are not in the journal.
    let mut offered = Offered::new();
    let mut done = 0;
    loop {
        tail.read(|_, found| {
            if let Found::Entry(entry) = found {
                view.apply(&entry);
                desk.apply(&entry.event);
                if let Event::TextOffered(event) = entry.event {
                    offered.insert((event.pair, event.answer.map(side_number)), event.text);
                }
            }
            true
        })?;
        match &view.state {
            State::Finished => return Ok(()),
            State::Failed(error) => bail!("the run failed: {error}"),
            State::Stopped(why) => bail!("the run stopped: {why}"),
            _ => {}
        }
        if let Some(gate) = view.open_gate().filter(|gate| gate.opened_seq > done) {
            done = gate.opened_seq;
            let said = decide(&folder, &view, (&desk, &offered), looks_at, &outbox)?;
            output.remark(&format!("iteration {}, a simulated human: {said}", view.iteration));
        }
        std::thread::sleep(LOOK);
    }
}

/// Texts of the pool's pairs: the prompt, or the answer of this number.
type Offered = BTreeMap<(PromptId, Option<u32>), String>;

fn decide(
    folder: &RunFolder,
    view: &RunView,
    (desk, offered): (&Desk, &Offered),
    looks_at: Simulate,
    outbox: &Outbox,
) -> Result<String> {
    let Some(round) = view.round(view.iteration) else { bail!("{} has no iteration", folder.name()) };
    let prompt = |id: PromptId| match id.is_label() {
        true => offered.get(&(id, None)),
        false => desk.prompts.get(id.number as usize),
    };
    let answer = |id: PromptId, number: u32| match id.is_label() {
        true => offered.get(&(id, Some(number))),
        false => Some(&desk.candidates.get(id.number as usize)?.get(number as usize)?.text),
    };
    // Nobody can look at what is not there to be read.
    let all: Vec<PromptId> = round.pairs().map(|(id, _)| id).filter(|id| prompt(*id).is_some()).collect();
    let queued: Vec<PromptId> = round.gate.iter().flat_map(|gate| gate.queue.iter()).map(|item| item.pair).collect();
    let looked: Vec<PromptId> = match looks_at {
        Simulate::All => all,
        Simulate::Queue => queued,
        Simulate::Random => {
            let stream = &mut Seed::root(u64::from(view.iteration)).named(&folder.name()).stream();
            stream.choose(all.len(), queued.len()).into_iter().map(|at| all[at]).collect()
        }
    };
    let (mut keep, mut swap, mut tie) = (Vec::new(), Vec::new(), Vec::new());
    for (id, pair) in round.pairs().filter(|(id, _)| looked.contains(id)) {
        let Some(prompt) = prompt(id) else { continue };
        let grade = |number: u32| Some(oracle::grade(prompt, answer(id, number)?)?.score);
        match (grade(pair.chosen), grade(pair.rejected)) {
            (Some(chosen), Some(rejected)) if chosen > rejected => keep.push(id),
            (Some(chosen), Some(rejected)) if chosen < rejected => swap.push(id),
            // As good as each other, or a prompt that makes no sense: nothing can be learnt from it.
            _ => tie.push(id),
        }
    }
    let said =
        format!("{} pairs looked at, {} kept, {} swapped, {} dropped", looked.len(), keep.len(), swap.len(), tie.len());
    for (choice, pairs) in [(Choice::Keep, keep), (Choice::Swap, swap), (Choice::Tie, tie)] {
        if !pairs.is_empty() {
            let decision = Decide {
                pairs,
                choice,
                reason: None,
                note: Some("decided by the oracle, as a simulation".into()),
                took_ms: None,
                blind: false,
                filter: None,
                seen: None,
            };
            outbox.send(NAME, open::now(), Command::Decide(decision))?;
        }
    }
    outbox.send(NAME, open::now(), Command::CloseGate)?;
    Ok(said)
}
