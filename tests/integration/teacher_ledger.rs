//! The ledger under any interleaving: no cap is ever exceeded, and nothing that was reserved is forgotten.

use proptest::prelude::*;
use selfreward::run::spending::{Caps, Charge, Spending};

/// Schedules that are drawn with every commit; set SELFREWARD_SCHEDULES for more.
const SCHEDULES: u32 = 3_000;

fn schedules() -> u32 {
    std::env::var("SELFREWARD_SCHEDULES").ok().and_then(|n| n.parse().ok()).unwrap_or(SCHEDULES)
}

/// What happens next in a schedule.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A call that can cost this much would be sent.
    Ask { tokens: u64, micros: u64 },
    /// Of the calls under way one ends: it is paid in this part of what was reserved.
    Answer { which: usize, percent: u64 },
    /// One ends without a charge.
    Fail { which: usize },
    /// The engine dies with everything under way, and another takes over.
    Die,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1u64..200, 0u64..500).prop_map(|(tokens, micros)| Step::Ask { tokens, micros }),
        3 => (0usize..16, 0u64..=100).prop_map(|(which, percent)| Step::Answer { which, percent }),
        1 => (0usize..16).prop_map(|which| Step::Fail { which }),
        1 => Just(Step::Die),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: schedules(), failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn no_schedule_exceeds_a_cap(
        caps in (0u64..12, 0u64..1500, 0u64..3000),
        steps in proptest::collection::vec(step(), 0..40),
    ) {
        let caps = Caps { calls: caps.0, tokens: caps.1, micros: caps.2 };
        let mut ledger = Spending::default();
        let mut open: Vec<(u64, Charge)> = Vec::new();
        // Counted by hand, as an account would.
        let (mut calls, mut paid, mut next) = (0u64, Charge::default(), 1);
        for step in steps {
            match step {
                Step::Ask { tokens, micros } => {
                    let most = Charge { tokens, micros };
                    if ledger.room(&caps, most).is_ok() {
                        ledger.reserve(next, most);
                        open.push((next, most));
                        next += 1;
                    }
                }
                Step::Answer { which, percent } if which < open.len() => {
                    let (call, most) = open.swap_remove(which);
                    let cost = Charge { tokens: most.tokens * percent / 100, micros: most.micros * percent / 100 };
                    calls += 1;
                    paid = Charge { tokens: paid.tokens + cost.tokens, micros: paid.micros + cost.micros };
                    prop_assert!(ledger.settle(call, Some(cost)));
                    prop_assert!(!ledger.settle(call, Some(cost)));
                }
                Step::Fail { which } if which < open.len() => {
                    let (call, _) = open.swap_remove(which);
                    prop_assert!(ledger.settle(call, None));
                }
                Step::Answer { .. } | Step::Fail { .. } => {}
                Step::Die => {
                    // The account may have charged for all of them in full.
                    for (_, most) in open.drain(..) {
                        calls += 1;
                        paid = Charge { tokens: paid.tokens + most.tokens, micros: paid.micros + most.micros };
                    }
                    ledger.give_up_open();
                }
            }
            let held: Charge = open.iter().fold(Charge::default(), |sum, (_, most)| Charge {
                tokens: sum.tokens + most.tokens,
                micros: sum.micros + most.micros,
            });
            prop_assert_eq!((ledger.calls, ledger.spent, ledger.held(), ledger.open()), (calls, paid, held, open.len() as u64));
            // Even if everything under way came back at its dearest.
            prop_assert!(caps.calls == 0 || calls + open.len() as u64 <= caps.calls);
            prop_assert!(caps.tokens == 0 || paid.tokens + held.tokens <= caps.tokens);
            prop_assert!(caps.micros == 0 || paid.micros + held.micros <= caps.micros);
            prop_assert_eq!(ledger.overruns, 0);
        }
    }
}
