//! Stop strings in a growing text: what may be shown already, and when to stop.

/// Holds back what could still become a stop string.
#[derive(Debug, Clone)]
pub struct StopWatch<'a> {
    stops: &'a [String],
    held: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Text that is certainly part of the reply.
    pub text: String,
    pub stopped: bool,
}

impl<'a> StopWatch<'a> {
    pub fn new(stops: &'a [String]) -> StopWatch<'a> {
        StopWatch { stops, held: String::new() }
    }

    /// Takes the next piece. On a stop the text ends right before the earliest stop string.
    pub fn push(&mut self, piece: &str) -> Seen {
        if self.stops.is_empty() {
            return Seen { text: piece.to_owned(), stopped: false };
        }
        self.held.push_str(piece);
        if let Some(at) = self.stops.iter().filter_map(|stop| self.held.find(stop.as_str())).min() {
            self.held.truncate(at);
            return Seen { text: std::mem::take(&mut self.held), stopped: true };
        }
        let keep_from = self.held.char_indices().map(|(at, _)| at).find(|&at| self.could_begin(&self.held[at..]));
        let rest = self.held.split_off(keep_from.unwrap_or(self.held.len()));
        Seen { text: std::mem::replace(&mut self.held, rest), stopped: false }
    }

    /// What was held back in vain when the reply ended otherwise.
    pub fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }

    fn could_begin(&self, tail: &str) -> bool {
        self.stops.iter().any(|stop| stop.starts_with(tail))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_string_ends_the_text_even_across_pieces() {
        for (stops, pieces, shown, stopped) in [
            (vec!["\n\n"], vec!["a\n", "b\n", "\nc"], "a\nb", true),
            (vec!["END"], vec!["E", "EN", "D more"], "E", true),
            (vec!["END"], vec!["E", "EN"], "EEN", false),
            (vec!["ab", "b"], vec!["xab"], "x", true),
            (vec!["é!"], vec!["caf", "é", "?"], "café?", false),
            (vec![], vec!["a", "b"], "ab", false),
        ] {
            let stops: Vec<String> = stops.into_iter().map(str::to_owned).collect();
            let mut watch = StopWatch::new(&stops);
            let mut text = String::new();
            let mut ended = false;
            for piece in pieces {
                let seen = watch.push(piece);
                text += &seen.text;
                ended |= seen.stopped;
                if ended {
                    break;
                }
            }
            text += &watch.finish();
            assert_eq!((text.as_str(), ended), (shown, stopped), "{stops:?}");
        }
    }
}
