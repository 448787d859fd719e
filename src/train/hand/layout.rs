//! Where the texts of a pass stand: one behind the other, and what several begin with stands there once.
//!
//! A judge's examples begin with the same rubric, the two replies of a pair with the same prompt: what a beginning's rows
//! compute does not depend on what follows, so they are computed once and the gradients of all that follows meet in them.
//! It knows token ids, no tensor.

use std::ops::Range;

/// A beginning of fewer tokens is computed again: a product so narrow costs more than it saves.
const LEAST: usize = 8;

/// A text that is read, and the positions whose last hidden state is asked for, one behind the other.
#[derive(Clone, Debug)]
pub struct Reading<'a> {
    pub tokens: &'a [u32],
    pub picked: Range<usize>,
}

/// One text: rows of its own, after rows of texts before it that begin as it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    pub before: Vec<Range<usize>>,
    pub rows: Range<usize>,
}

impl Span {
    /// Tokens that stand before its own rows.
    pub fn begun(&self) -> usize {
        self.before.iter().map(Range::len).sum()
    }

    fn row(&self, position: usize) -> usize {
        let mut left = position;
        for part in &self.before {
            if left < part.len() {
                return part.start + left;
            }
            left -= part.len();
        }
        self.rows.start + left
    }

    /// The rows of its first tokens, without an end that is not worth it.
    fn beginning(&self, tokens: usize) -> Vec<Range<usize>> {
        let mut left = tokens;
        let mut parts = Vec::with_capacity(self.before.len() + 1);
        for part in self.before.iter().chain([&self.rows]) {
            let part = part.start..part.end.min(part.start + left);
            left -= part.len();
            if part.len() >= LEAST {
                parts.push(part);
            } else {
                break;
            }
        }
        parts
    }
}

/// Rows whose output somebody reads: a part of each span's, and how positions turn them.
#[derive(Debug)]
pub struct Wanted {
    /// In the order of the spans.
    pub parts: Vec<Range<usize>>,
    pub count: usize,
    /// All rows: nothing needs to be picked out.
    pub all: bool,
    /// D/2 numbers a wanted row.
    pub cosines: Vec<f32>,
    pub sines: Vec<f32>,
}

impl Wanted {
    /// `turns` holds an angle's cosine and sine for each position and frequency.
    fn new(spans: &[Span], parts: Vec<Range<usize>>, turns: &[(f32, f32)], frequencies: usize) -> Wanted {
        let count = parts.iter().map(Range::len).sum();
        let (mut cosines, mut sines) = (Vec::new(), Vec::new());
        for (span, part) in spans.iter().zip(&parts) {
            let from = span.begun() + part.start - span.rows.start;
            let own = &turns[from * frequencies..(from + part.len()) * frequencies];
            cosines.extend(own.iter().map(|turn| turn.0));
            sines.extend(own.iter().map(|turn| turn.1));
        }
        let all = spans.iter().zip(&parts).all(|(span, part)| span.rows == *part);
        Wanted { parts, count, all, cosines, sines }
    }

    /// The wanted rows of `from`, each so wide, in their order.
    pub fn gather(&self, from: &[f32], width: usize, to: &mut [f32]) {
        let mut at = 0;
        for part in &self.parts {
            let own = &from[part.start * width..part.end * width];
            to[at..at + own.len()].copy_from_slice(own);
            at += own.len();
        }
    }

    /// The way back: wanted rows to their places among zeros.
    pub fn scatter(&self, from: &[f32], width: usize, to: &mut [f32]) {
        to.fill(0.0);
        let mut at = 0;
        for part in &self.parts {
            let own = part.len() * width;
            to[part.start * width..part.end * width].copy_from_slice(&from[at..at + own]);
            at += own;
        }
    }
}

/// All rows of a pass.
#[derive(Debug)]
pub struct Layout {
    pub tokens: Vec<u32>,
    pub spans: Vec<Span>,
    pub all: Wanted,
    /// What the last layer is to give.
    pub last: Wanted,
    /// The picked rows of each text among those, text after text; what texts share may be picked more than once.
    pub picked: Vec<usize>,
}

impl Layout {
    /// Texts kept `apart` stand in their order and are computed whole, as masks of dropout ask for. `frequencies` are those
    /// of the rotary positions.
    pub fn new(texts: &[Reading<'_>], frequencies: &[f32], apart: bool) -> Layout {
        let mut order: Vec<usize> = (0..texts.len()).collect();
        if !apart {
            // What begins alike stands together.
            order.sort_by(|&a, &b| texts[a].tokens.cmp(texts[b].tokens));
        }
        let (mut tokens, mut spans) = (Vec::new(), Vec::<Span>::with_capacity(texts.len()));
        let mut span_of = vec![0; texts.len()];
        let mut previous: &[u32] = &[];
        for index in order {
            let text = texts[index].tokens;
            let shared = if apart { 0 } else { common(previous, text) };
            let before = spans.last().map_or_else(Vec::new, |span| span.beginning(shared));
            let from = tokens.len();
            tokens.extend_from_slice(&text[before.iter().map(Range::len).sum()..]);
            span_of[index] = spans.len();
            spans.push(Span { before, rows: from..tokens.len() });
            previous = text;
        }
        let longest = Layout::longest(&spans);
        let turns: Vec<(f32, f32)> = (0..longest)
            .flat_map(|position| {
                frequencies.iter().map(move |frequency| {
                    let angle = f64::from(position as f32 * frequency);
                    (angle.cos() as f32, angle.sin() as f32)
                })
            })
            .collect();
        let wanted = |parts| Wanted::new(&spans, parts, &turns, frequencies.len());
        let all = wanted(spans.iter().map(|span| span.rows.clone()).collect());
        let rows_of = |(text, &span): (&Reading<'_>, &usize)| -> Vec<usize> {
            text.picked.clone().map(|position| spans[span].row(position)).collect()
        };
        let picked: Vec<usize> = texts.iter().zip(&span_of).flat_map(rows_of).collect();
        let last = wanted(if apart { all.parts.clone() } else { reached(&spans, &picked) });
        let picked = places(&last.parts, tokens.len(), &picked);
        Layout { tokens, spans, all, last, picked }
    }

    /// The most tokens that one row sees.
    pub fn longest(spans: &[Span]) -> usize {
        spans.iter().map(|span| span.begun() + span.rows.len()).max().unwrap_or(0)
    }
}

/// Of each span the part from its first picked row to its last.
fn reached(spans: &[Span], picked: &[usize]) -> Vec<Range<usize>> {
    let mut sorted = picked.to_vec();
    sorted.sort_unstable();
    let part = |span: &Span| {
        let from = sorted.partition_point(|&row| row < span.rows.start);
        let to = sorted.partition_point(|&row| row < span.rows.end);
        if from == to { span.rows.start..span.rows.start } else { sorted[from]..sorted[to - 1] + 1 }
    };
    spans.iter().map(part).collect()
}

/// Where these rows stand among the wanted ones.
fn places(parts: &[Range<usize>], rows: usize, picked: &[usize]) -> Vec<usize> {
    let mut place = vec![0; rows];
    for (at, row) in parts.iter().cloned().flatten().enumerate() {
        place[row] = at;
    }
    picked.iter().map(|&row| place[row]).collect()
}

/// How many tokens two texts have in common at their beginning; none where it is not worth it.
pub fn common(one: &[u32], other: &[u32]) -> usize {
    let common = one.iter().zip(other).take_while(|(a, b)| a == b).count();
    if common < LEAST { 0 } else { common }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Eight tokens of a rubric, then others.
    fn text(beginning: u32, rest: &[u32]) -> Vec<u32> {
        (0..8).map(|at| 100 * beginning + at).chain(rest.iter().copied()).collect()
    }

    fn layout(texts: &[(Vec<u32>, Range<usize>)], apart: bool) -> Layout {
        let texts: Vec<Reading<'_>> =
            texts.iter().map(|(tokens, picked)| Reading { tokens, picked: picked.clone() }).collect();
        Layout::new(&texts, &[1.0, 0.5], apart)
    }

    #[test]
    fn a_shared_beginning_stands_once_and_every_text_can_be_read_along_its_rows() {
        let texts = [
            (text(1, &[5, 6]), 9..10),
            (text(2, &[1]), 8..9),
            (text(1, &[5, 7, 8]), 8..11),
            (text(1, &[]), 7..8),
            (vec![1, 2, 3], 1..3),
            (vec![1, 2, 4], 1..3),
            (text(1, &[5, 7, 8]), 10..11),
            (text(3, &[1, 2, 3, 4, 5, 6, 7, 8, 9]), 16..17),
            (text(3, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 9]), 17..18),
        ];
        for apart in [true, false] {
            let layout = layout(&texts, apart);
            let whole: usize = texts.iter().map(|(tokens, _)| tokens.len()).sum();
            // The rubrics of four texts, and three tokens of the same text once more; all of the one before but its last token.
            assert_eq!(layout.tokens.len(), if apart { whole } else { whole - 3 * 8 - 17 });
            let mut picked = layout.picked.iter();
            for (tokens, wanted) in &texts {
                let read = |span: &Span| -> Vec<u32> {
                    (0..span.begun() + span.rows.len()).map(|position| layout.tokens[span.row(position)]).collect()
                };
                let spans: Vec<&Span> = layout.spans.iter().filter(|span| read(span) == *tokens).collect();
                let rows: Vec<usize> = layout.last.parts.iter().cloned().flatten().collect();
                for position in wanted.clone() {
                    let row = rows[*picked.next().unwrap()];
                    assert!(spans.iter().any(|span| span.row(position) == row), "{tokens:?} {position}");
                }
            }
            assert!(picked.next().is_none());
            assert_eq!(layout.last.all, apart);
            assert_eq!(layout.last.count, layout.last.parts.iter().map(Range::len).sum::<usize>());
        }
    }

    #[test]
    fn rows_are_turned_by_their_place_in_their_text_and_wanted_ones_go_and_come_back() {
        let layout = layout(&[(text(1, &[5, 6]), 9..10), (text(1, &[9]), 8..9)], false);
        let positions = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 8];
        let expected: Vec<f32> = positions.iter().flat_map(|&p| [(p as f32).sin(), (p as f32 / 2.0).sin()]).collect();
        assert!(layout.all.sines.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-6));
        assert_eq!((layout.all.sines.len(), layout.last.count), (expected.len(), 2));
        assert_eq!(layout.last.sines, layout.all.sines[18..]);
        let rows: Vec<f32> = (0..22).map(|at| at as f32).collect();
        let (mut own, mut back) = (vec![0.0; 4], vec![7.0; 22]);
        layout.last.gather(&rows, 2, &mut own);
        assert_eq!(own, [18.0, 19.0, 20.0, 21.0]);
        layout.last.scatter(&own, 2, &mut back);
        assert_eq!(back, [vec![0.0; 18], own].concat());
    }
}
