//! What is paid for: a ledger in which every call is reserved before it is sent and settled after it.
//!
//! The fold keeps one in the view, so that the engine's caps, the screens and a resume count the same money. Pure: no clock, no file.

use imbl::OrdMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What one call costs: its tokens, and millionths of the currency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Charge {
    /// Tokens of the request and of the answer together.
    pub tokens: u64,
    /// Millionths of the currency in which the prices are set.
    pub micros: u64,
}

/// The most that may be spent; 0 sets no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Caps {
    /// Calls.
    pub calls: u64,
    /// Tokens, sent and answered together.
    pub tokens: u64,
    /// Millionths of the currency.
    pub micros: u64,
}

/// Which cap leaves no room for another call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cap {
    Calls { cap: u64 },
    Tokens { cap: u64, left: u64, needed: u64 },
    Cost { cap: u64, left: u64, needed: u64 },
}

/// What was spent, and what may still have to be paid for calls under way.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spending {
    /// Calls that were paid for, or may have been.
    pub calls: u64,
    pub spent: Charge,
    /// Calls whose end is in no journal because the engine died: they count as if they had cost the most they could.
    pub lost: u64,
    /// Calls that cost more than was reserved for them: the endpoint did not keep to the length that was asked for.
    pub overruns: u64,
    open: OrdMap<u64, Charge>,
    held: Charge,
}

impl Spending {
    /// Calls under way.
    pub fn open(&self) -> u64 {
        self.open.len() as u64
    }

    /// The most that the calls under way can cost.
    pub fn held(&self) -> Charge {
        self.held
    }

    /// Whether one more call of at most this cost stays within the caps, whatever becomes of those under way.
    pub fn room(&self, caps: &Caps, needed: Charge) -> Result<(), Cap> {
        let left = |cap: u64, spent: u64, held: u64| cap.saturating_sub(spent).saturating_sub(held);
        if caps.calls > 0 && left(caps.calls, self.calls, self.open()) == 0 {
            return Err(Cap::Calls { cap: caps.calls });
        }
        let tokens = left(caps.tokens, self.spent.tokens, self.held.tokens);
        if caps.tokens > 0 && tokens < needed.tokens {
            return Err(Cap::Tokens { cap: caps.tokens, left: tokens, needed: needed.tokens });
        }
        let micros = left(caps.micros, self.spent.micros, self.held.micros);
        if caps.micros > 0 && micros < needed.micros {
            return Err(Cap::Cost { cap: caps.micros, left: micros, needed: needed.micros });
        }
        Ok(())
    }

    /// Sets the most that this call can cost aside. A number that is under way already is settled in full first.
    pub fn reserve(&mut self, call: u64, most: Charge) {
        if let Some(before) = self.open.get(&call).copied() {
            self.settle(call, Some(before));
        }
        self.open.insert(call, most);
        self.held.tokens += most.tokens;
        self.held.micros += most.micros;
    }

    /// The call has ended: it cost this, or nothing. False when no such call was under way.
    pub fn settle(&mut self, call: u64, paid: Option<Charge>) -> bool {
        let Some(reserved) = self.open.remove(&call) else { return false };
        self.held.tokens = self.held.tokens.saturating_sub(reserved.tokens);
        self.held.micros = self.held.micros.saturating_sub(reserved.micros);
        if let Some(paid) = paid {
            self.calls += 1;
            self.spent.tokens = self.spent.tokens.saturating_add(paid.tokens);
            self.spent.micros = self.spent.micros.saturating_add(paid.micros);
            self.overruns += u64::from(paid.tokens > reserved.tokens || paid.micros > reserved.micros);
        }
        true
    }

    /// Another engine took over: nobody will ever hear of the calls that were under way, so they count in full.
    pub fn give_up_open(&mut self) {
        for (call, reserved) in self.open.clone() {
            self.settle(call, Some(reserved));
            self.lost += 1;
        }
    }
}

/// The cost in millionths of so many tokens at prices for a million of them, rounded up: a price of 1 for a million is one millionth each.
pub fn cost(tokens_in: u64, tokens_out: u64, price_in: f64, price_out: f64) -> u64 {
    let exact = tokens_in as f64 * price_in.max(0.0) + tokens_out as f64 * price_out.max(0.0);
    // A product of decimal prices is off by some last digits; these must not round up to another millionth.
    (exact - 1e-6).ceil().max(0.0) as u64
}

/// Millionths as an amount: `1.25`, `0.0004`.
pub fn amount(micros: u64) -> String {
    let (whole, part) = (micros / 1_000_000, micros % 1_000_000);
    if whole > 0 || part % 10_000 == 0 {
        return format!("{whole}.{:02}", part / 10_000);
    }
    format!("0.{part:06}").trim_end_matches('0').to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_reserved_settled_and_never_forgotten() {
        let charge = |tokens, micros| Charge { tokens, micros };
        let caps = Caps { calls: 3, tokens: 100, micros: 50 };
        let mut spending = Spending::default();
        assert_eq!(spending.room(&caps, charge(60, 10)), Ok(()));
        spending.reserve(1, charge(60, 10));
        assert_eq!(spending.room(&caps, charge(60, 10)), Err(Cap::Tokens { cap: 100, left: 40, needed: 60 }));
        assert_eq!(spending.room(&caps, charge(40, 41)), Err(Cap::Cost { cap: 50, left: 40, needed: 41 }));
        assert!(spending.settle(1, Some(charge(20, 5))) && !spending.settle(1, Some(charge(20, 5))));
        spending.reserve(2, charge(60, 10));
        assert!(spending.settle(2, None), "an answer that nobody charges for is no call");
        assert_eq!((spending.calls, spending.spent, spending.held()), (1, charge(20, 5), Charge::default()));
        // The engine died with two under way.
        spending.reserve(3, charge(10, 1));
        spending.reserve(4, charge(10, 1));
        assert_eq!(spending.room(&caps, charge(1, 1)), Err(Cap::Calls { cap: 3 }));
        spending.give_up_open();
        assert_eq!((spending.calls, spending.lost, spending.spent), (3, 2, charge(40, 7)));
        spending.reserve(5, charge(1, 1));
        spending.settle(5, Some(charge(2, 1)));
        assert_eq!(spending.overruns, 1);
    }

    #[test]
    fn prices_are_for_a_million_tokens_and_amounts_are_readable() {
        for (tokens_in, tokens_out, price_in, price_out, micros) in
            [(1_000_000, 0, 2.5, 10.0, 2_500_000), (3, 1, 0.1, 0.4, 1), (0, 0, 1.0, 1.0, 0), (10, 10, 0.1, 0.2, 3)]
        {
            assert_eq!(cost(tokens_in, tokens_out, price_in, price_out), micros);
        }
        for (micros, shown) in
            [(0, "0.00"), (1_250_000, "1.25"), (400, "0.0004"), (20_000, "0.02"), (3, "0.000003"), (1_999_999, "1.99")]
        {
            assert_eq!(amount(micros), shown);
        }
    }
}
