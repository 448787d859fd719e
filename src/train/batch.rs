//! From sequences to padded rows, and from a batch to parts of about equal work.
//!
//! The steps use it. It knows token ids and lengths, no text and no loss.

use std::ops::Range;

use anyhow::{Result, ensure};
use burn::tensor::{DType, Device, Int, Tensor, TensorData};

use crate::model::llama::{Places, pad_right};
use crate::model::random;
use crate::model::shape::Shape;
use crate::train::hand::layout::common;

/// Lengths are rounded up to a multiple of this, so that few shapes occur.
const BUCKET: usize = 16;

/// Tokens with the reply's place among them: only the reply is learnt from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequence {
    pub tokens: Vec<u32>,
    pub reply: Range<usize>,
}

impl Sequence {
    /// Cut to at most so many tokens: the reply loses its end; a prompt that leaves it less than half of the room loses its
    /// beginning, because the end of a prompt says what the reply answers.
    pub fn new(tokens: Vec<u32>, reply: Range<usize>, most: usize) -> Result<Sequence> {
        ensure!(most >= 2, "sequences of at most {most} tokens leave nothing to predict");
        ensure!(
            reply.start < reply.end && reply.end <= tokens.len(),
            "the reply {reply:?} has no place in its sequence"
        );
        if tokens.len() <= most {
            // The first token of a text follows nothing, so nothing predicts it.
            let reply = reply.start.max(1)..reply.end;
            ensure!(!reply.is_empty(), "a text of one token has nothing to predict");
            return Ok(Sequence { tokens, reply });
        }
        let kept_reply = reply.len().min((most - reply.start.min(most)).max(most / 2));
        let kept_prompt = reply.start.min(most - kept_reply);
        let from = reply.start - kept_prompt;
        let start = kept_prompt.max(1);
        Ok(Sequence { tokens: tokens[from..reply.start + kept_reply].to_vec(), reply: start..kept_prompt + kept_reply })
    }

    pub fn reply_tokens(&self) -> u32 {
        self.reply.len() as u32
    }

    /// Positions that a forward pass computes: all but the last token's.
    pub fn positions(&self) -> usize {
        self.reply.end - 1
    }

    /// The tokens at these positions.
    pub fn read(&self) -> &[u32] {
        &self.tokens[..self.positions()]
    }

    /// All up to the reply's end: what a reward is of.
    pub fn whole(&self) -> &[u32] {
        &self.tokens[..self.reply.end]
    }
}

/// Sequences as one padded tensor, with the positions that predict a reply's tokens.
#[derive(Debug)]
pub struct Rows {
    pub tokens: Tensor<2, Int>,
    pub places: Places,
    /// Rows of the flattened hidden states, sequence after sequence.
    pub picked: Tensor<1, Int>,
    /// The token that each picked position is to predict.
    pub targets: Vec<u32>,
    /// Reply tokens of each sequence.
    pub lengths: Vec<usize>,
}

impl Rows {
    pub fn new(shape: &Shape, sequences: &[&Sequence], device: &Device) -> Result<Rows> {
        let longest = sequences.iter().map(|sequence| sequence.positions()).max().unwrap_or(0);
        ensure!(longest <= shape.max_positions, "{longest} tokens are more than the model's {}", shape.max_positions);
        let length = longest.next_multiple_of(BUCKET).min(shape.max_positions);
        let mut inputs = Vec::with_capacity(sequences.len());
        let (mut picked, mut targets, mut lengths) = (Vec::new(), Vec::new(), Vec::new());
        for (row, sequence) in sequences.iter().enumerate() {
            let beyond = sequence.tokens.iter().find(|&&token| token as usize >= shape.vocab);
            ensure!(beyond.is_none(), "token {beyond:?} is beyond the vocabulary of {}", shape.vocab);
            let mut input = sequence.tokens[..sequence.positions()].to_vec();
            input.resize(length, 0);
            inputs.push(input);
            let offset = row * length;
            picked.extend(sequence.reply.clone().map(|at| (offset + at - 1) as i32));
            targets.extend_from_slice(&sequence.tokens[sequence.reply.clone()]);
            lengths.push(sequence.reply.len());
        }
        let count = picked.len();
        let inputs: Vec<&[u32]> = inputs.iter().map(Vec::as_slice).collect();
        Ok(Rows {
            tokens: pad_right(&inputs, device)?,
            places: Places::from_start(shape, length, device),
            picked: Tensor::from_data(TensorData::new(picked, [count]), (device, DType::I32)),
            targets,
            lengths,
        })
    }

    /// One flat list of numbers per picked position, cut up into one list a sequence.
    pub fn by_sequence(&self, flat: &[f32]) -> Vec<Vec<f32>> {
        let mut rest = flat;
        self.lengths
            .iter()
            .map(|&length| {
                let (own, after) = rest.split_at(length.min(rest.len()));
                rest = after;
                own.to_vec()
            })
            .collect()
    }
}

/// Something to compute: how many positions it takes, and what it begins with.
#[derive(Clone, Copy, Debug)]
pub struct Item<'a> {
    pub positions: usize,
    pub begins: &'a [u32],
}

impl<'a> Item<'a> {
    pub fn text(tokens: &'a [u32]) -> Item<'a> {
        Item { positions: tokens.len(), begins: tokens }
    }

    /// Texts that stay together; what all of them begin with as the first does is computed once.
    pub fn several(texts: &[&'a [u32]]) -> Item<'a> {
        let first = texts.first().copied().unwrap_or_default();
        let adds = |text: &&[u32]| text.len() - common(first, text);
        Item { positions: first.len() + texts.iter().skip(1).map(adds).sum::<usize>(), begins: first }
    }

    /// Two texts that stay together, and what they begin with alike is computed once.
    pub fn two(one: &'a [u32], other: &'a [u32]) -> Item<'a> {
        Item::several(&[one, other])
    }
}

/// Items dealt to workers as groups that pad to at most `most` positions each. A group keeps items of like length together;
/// which worker gets what follows from the items alone.
/// Without padding a group's size is the sum of its items' sizes less what they begin with alike, and all groups are about
/// equal.
pub fn deal(items: &[Item<'_>], workers: usize, most: usize, pads: bool) -> Vec<Vec<Vec<usize>>> {
    let workers = workers.max(1);
    let sizes: Vec<usize> = items.iter().map(|item| item.positions).collect();
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by_key(|&item| (std::cmp::Reverse(sizes[item]), item));
    if !pads {
        return deal_evenly(items, &order, workers, most);
    }
    let total: usize = sizes.iter().sum();
    // As many groups as workers when everything fits, so that each worker computes one large product.
    let share = total.div_ceil(workers).min(most.max(1));
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut longest = 0;
    for item in order {
        match groups.last_mut() {
            Some(group) if (group.len() + 1) * longest <= share.max(longest) => group.push(item),
            _ => {
                longest = sizes[item];
                groups.push(vec![item]);
            }
        }
    }
    let mut dealt: Vec<(usize, Vec<Vec<usize>>)> = vec![(0, Vec::new()); workers];
    for group in groups {
        let work = group.len() * group.first().map_or(0, |&item| sizes[item]);
        if let Some(least) = dealt.iter_mut().min_by_key(|(load, _)| *load) {
            least.0 += work;
            least.1.push(group);
        }
    }
    dealt.into_iter().map(|(_, groups)| groups).filter(|groups| !groups.is_empty()).collect()
}

/// Largest first, each to the group that has least with it: as many groups a worker as memory asks for. What an item shares
/// with a group is looked up in the group's first item: near enough, and quick among thousands.
fn deal_evenly(items: &[Item<'_>], order: &[usize], workers: usize, most: usize) -> Vec<Vec<Vec<usize>>> {
    let total: usize = items.iter().map(|item| item.positions).sum();
    let rounds = total.div_ceil(workers * most.max(1)).max(1);
    let mut groups: Vec<(usize, Vec<usize>)> = vec![(0, Vec::new()); workers * rounds];
    for &item in order {
        let with = |(load, group): &(usize, Vec<usize>)| {
            let shared = group.first().map_or(0, |&first| common(items[first].begins, items[item].begins));
            load + items[item].positions - shared
        };
        if let Some((load, least)) = (0..groups.len()).map(|at| (with(&groups[at]), at)).min() {
            groups[least].0 = load;
            groups[least].1.push(item);
        }
    }
    let mut dealt = vec![Vec::new(); workers];
    for (at, (_, group)) in groups.into_iter().enumerate().filter(|(_, (_, group))| !group.is_empty()) {
        dealt[at % workers].push(group);
    }
    dealt.into_iter().filter(|groups| !groups.is_empty()).collect()
}

/// The items of one step: every epoch visits all of them in an order of its own, which follows from the seed.
pub fn of_step(items: usize, batch: usize, step: u64, seed: u64) -> Vec<usize> {
    let batch = batch.max(1);
    let per_epoch = items.div_ceil(batch).max(1) as u64;
    let order = permutation(items, random::derive(seed, step / per_epoch));
    order.into_iter().skip((step % per_epoch) as usize * batch).take(batch).collect()
}

pub fn steps(items: usize, batch: usize, epochs: u32) -> u64 {
    items.div_ceil(batch.max(1)) as u64 * u64::from(epochs)
}

/// So many items for one step, going round and round through all of them, in a new order each time round.
pub fn in_turn(items: usize, count: usize, step: u64, seed: u64) -> Vec<usize> {
    if items == 0 {
        return Vec::new();
    }
    let (items, first) = (items as u64, step * count as u64);
    let mut round = u64::MAX;
    let mut order = Vec::new();
    (first..first + count as u64)
        .map(|turn| {
            if turn / items != round {
                round = turn / items;
                order = permutation(items as usize, random::derive(seed, round));
            }
            order[(turn % items) as usize]
        })
        .collect()
}

/// Fisher and Yates's shuffle.
fn permutation(items: usize, key: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..items).collect();
    for last in (1..items).rev() {
        let other = (random::uniform(key, last as u64) * (last + 1) as f64) as usize;
        order.swap(last, other.min(last));
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_visits_every_item_once_in_an_order_of_its_own() {
        let epoch = |number: u64| -> Vec<usize> { (0..4).flat_map(|s| of_step(10, 3, number * 4 + s, 7)).collect() };
        let (first, second) = (epoch(0), epoch(1));
        assert_ne!(first, second);
        for mut epoch in [first, second] {
            assert_eq!(epoch.len(), 10);
            epoch.sort_unstable();
            assert_eq!(epoch, (0..10).collect::<Vec<_>>());
        }
        assert_eq!(of_step(10, 3, 5, 7), of_step(10, 3, 5, 7));
        let mut turns: Vec<usize> = (0..5).flat_map(|step| in_turn(10, 4, step, 7)).collect();
        turns.sort_unstable();
        assert_eq!(turns, (0..10).flat_map(|item| [item, item]).collect::<Vec<_>>());
    }

    #[test]
    fn every_item_is_dealt_once_and_no_group_is_larger_than_asked() {
        for (sizes, workers, most) in [
            (vec![5, 9, 3, 9, 1, 40], 2, 50),
            (vec![100; 32], 2, 800),
            (vec![10], 4, 100),
            (vec![300, 2, 2], 2, 100),
            ((1..200).collect(), 3, 1000),
        ] {
            let texts: Vec<Vec<u32>> = sizes.iter().enumerate().map(|(key, &size)| vec![key as u32; size]).collect();
            let items: Vec<Item<'_>> = texts.iter().map(|text| Item::text(text)).collect();
            let dealt = deal(&items, workers, most, true);
            let mut all: Vec<usize> = dealt.iter().flatten().flatten().copied().collect();
            all.sort_unstable();
            assert_eq!(all, (0..sizes.len()).collect::<Vec<_>>());
            for group in dealt.iter().flatten() {
                let longest = group.iter().map(|&item| sizes[item]).max().unwrap();
                assert!(group.len() == 1 || group.len() * longest <= most, "{group:?}");
            }
            let dealt = deal(&items, workers, most, false);
            let mut all: Vec<usize> = dealt.iter().flatten().flatten().copied().collect();
            all.sort_unstable();
            assert_eq!(all, (0..sizes.len()).collect::<Vec<_>>());
            let longest = sizes.iter().copied().max().unwrap();
            for group in dealt.iter().flatten() {
                let size: usize = group.iter().map(|&item| sizes[item]).sum();
                assert!(group.len() == 1 || size <= most + longest, "{group:?}");
            }
        }
        let alike = [Item::text(&[7; 8]); 32];
        assert_eq!(deal(&alike, 2, 10_000, true).iter().map(Vec::len).collect::<Vec<_>>(), [1, 1]);
    }

    #[test]
    fn what_begins_alike_weighs_only_what_it_adds() {
        let text = |key: u32, length: usize| -> Vec<u32> { [vec![1; 30], vec![key; length]].concat() };
        // Four of 40 tokens that share 30, and two of 25 by themselves: 30 + 10 + 10 + 25 for each worker.
        let texts = [text(2, 10), text(3, 10), text(4, 10), text(5, 10), vec![6; 25], vec![7; 25]];
        let items: Vec<Item<'_>> = texts.iter().map(|text| Item::text(text)).collect();
        let dealt = deal(&items, 2, 1000, false);
        assert_eq!(dealt, [vec![vec![0, 2, 4]], vec![vec![1, 3, 5]]]);
        assert_eq!(Item::two(&texts[0], &texts[1]).positions, 50);
        assert_eq!(Item::two(&texts[0], &texts[4]).positions, 65);
    }

    #[test]
    fn a_sequence_that_is_too_long_keeps_the_end_of_its_prompt_and_the_beginning_of_its_reply() {
        let cut = |prompt: u32, reply: u32, most| {
            let tokens: Vec<u32> = (0..prompt + reply).collect();
            let cut = Sequence::new(tokens, prompt as usize..(prompt + reply) as usize, most).unwrap();
            (cut.tokens[0], cut.tokens[cut.tokens.len() - 1], cut.reply)
        };
        assert_eq!(cut(3, 4, 10), (0, 6, 3..7));
        assert_eq!(cut(3, 20, 10), (0, 9, 3..10));
        assert_eq!(cut(20, 20, 10), (15, 24, 5..10));
        assert_eq!(cut(20, 2, 10), (12, 21, 8..10));
        assert_eq!(cut(0, 4, 10), (0, 3, 1..4));
        assert!(Sequence::new(vec![1], 0..1, 10).is_err());
    }
}
