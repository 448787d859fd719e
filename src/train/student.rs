//! The weights in the form in which their device trains them: plain numbers on a processor, a differentiable module else.
//!
//! Both compute the same losses and gradients (a test compares them). The steps and scoring use it and ask no further.

use anyhow::{Result, bail, ensure};
use burn::tensor::{DType, Device};

use crate::model::llama::Llama;
use crate::model::shape::Shape;
use crate::model::weights::{TensorSource, Weights};
use crate::train::batch::{self, Item, Sequence};
use crate::train::gradient::{self, TokenLogProbs};
use crate::train::hand::net::Net;
use crate::train::hand::pass::Manner;
use crate::train::lora::Adapters;
use crate::train::parameters::{self, Numbers, Parameter};
use crate::train::workers::Workers;

/// Weights under training, or only scoring.
#[derive(Debug)]
pub enum Student {
    Hand(Net),
    Graph(Llama),
}

impl From<Llama> for Student {
    fn from(llama: Llama) -> Student {
        Student::Graph(llama)
    }
}

impl From<Net> for Student {
    fn from(net: Net) -> Student {
        Student::Hand(net)
    }
}

/// A student as one worker holds it.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "one a worker and step")]
pub enum Handle<'a> {
    Hand(&'a Net),
    /// Shares its weights: modules cannot be borrowed by two threads.
    Graph(Llama),
}

const NO_REWARDS: &str = "reward models are computed on a processor only; use --device cpu";

impl Student {
    /// For a processor by hand, for any other device as a module.
    pub fn load(shape: &Shape, source: &impl TensorSource, device: &Device) -> Result<Student> {
        Ok(if *device == Device::flex() {
            Student::Hand(Net::load(shape, source)?)
        } else {
            Student::Graph(Llama::load(shape, source, DType::F32, device)?)
        })
    }

    pub fn handle(&self) -> Handle<'_> {
        match self {
            Student::Hand(net) => Handle::Hand(net),
            Student::Graph(llama) => Handle::Graph(llama.clone()),
        }
    }

    /// Trains adapters from here on, and nothing else.
    pub fn attach(&mut self, adapters: Adapters) -> Result<()> {
        match self {
            Student::Hand(net) => net.attach(adapters),
            Student::Graph(_) => bail!("adapters are trained on a processor only; use --device cpu, or lora.rank = 0"),
        }
        Ok(())
    }

    /// Makes adapters part of the weights, and gives them away.
    pub fn merge(&mut self) -> Option<Adapters> {
        match self {
            Student::Hand(net) => net.merge(),
            Student::Graph(_) => None,
        }
    }

    /// The same model with a score in place of words.
    pub fn into_reward_model(self) -> Result<Student> {
        match self {
            Student::Hand(net) => Ok(Student::Hand(net.into_reward_model()?)),
            Student::Graph(_) => bail!(NO_REWARDS),
        }
    }

    pub fn adapters(&self) -> Option<&Adapters> {
        match self {
            Student::Hand(net) => net.adapters.as_ref(),
            Student::Graph(_) => None,
        }
    }

    /// What an optimiser changes.
    pub fn trained(&self) -> Vec<Parameter> {
        match self {
            Student::Hand(net) => net.trained(),
            Student::Graph(llama) => parameters::list(llama),
        }
    }

    pub fn shape(&self) -> &Shape {
        match self {
            Student::Hand(net) => &net.shape,
            Student::Graph(llama) => &llama.shape,
        }
    }

    pub fn to_weights(&self) -> Result<Weights> {
        match self {
            Student::Hand(net) => net.to_weights(),
            Student::Graph(llama) => llama.to_weights(),
        }
    }

    /// Lets what is trained be changed.
    pub fn change(self, change: impl FnOnce(&mut Numbers) -> Result<()>) -> Result<Student> {
        match self {
            Student::Hand(mut net) => {
                change(net.trained_numbers())?;
                Ok(Student::Hand(net))
            }
            Student::Graph(llama) => Ok(Student::Graph(parameters::change(llama, change)?)),
        }
    }

    /// Gives back the memory that only steps need.
    pub fn rest(&self) {
        if let Student::Hand(net) = self {
            net.rest();
        }
    }

    /// Asks something of every text, in groups of which at most so many positions are read, dealt to all workers; the answers
    /// stand in the order of the texts.
    pub fn each<T: Send>(
        &self,
        texts: &[&Sequence],
        read: impl Fn(&Sequence) -> &[u32],
        workers: &Workers,
        most_positions: usize,
        ask: impl Fn(&Handle<'_>, &[&Sequence]) -> Result<Vec<T>> + Sync,
    ) -> Result<Vec<T>> {
        let items: Vec<Item<'_>> = texts.iter().map(|text| Item::text(read(text))).collect();
        let dealt = batch::deal(&items, workers.count(), most_positions, self.pads());
        let parts: Vec<(Handle<'_>, Vec<Vec<usize>>)> =
            dealt.into_iter().map(|groups| (self.handle(), groups)).collect();
        let done = workers.each(parts, |(handle, groups)| -> Result<Vec<(usize, T)>> {
            let mut answered = Vec::new();
            for group in groups {
                let own: Vec<&Sequence> = group.iter().map(|&at| texts[at]).collect();
                answered.extend(group.into_iter().zip(ask(&handle, &own)?));
            }
            Ok(answered)
        });
        let mut all: Vec<(usize, T)> = done.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
        all.sort_by_key(|(at, _)| *at);
        Ok(all.into_iter().map(|(_, answer)| answer).collect())
    }

    /// Whether rows are padded to equal length when they are computed together.
    pub fn pads(&self) -> bool {
        matches!(self, Student::Graph(_))
    }
}

impl Handle<'_> {
    pub fn log_probs(&self, sequences: &[&Sequence]) -> Result<TokenLogProbs> {
        match self {
            Handle::Hand(net) => net.log_probs(sequences),
            Handle::Graph(llama) => gradient::log_probs(llama, sequences),
        }
    }

    /// Rewards of whole replies.
    pub fn rewards(&self, sequences: &[&Sequence]) -> Result<Vec<f64>> {
        match self {
            Handle::Hand(net) => net.rewards(sequences),
            Handle::Graph(_) => bail!(NO_REWARDS),
        }
    }

    /// Rewards, and the gradient of a loss added to `sum`, which is empty before the first.
    pub fn reward_gradient(
        &self,
        sequences: &[&Sequence],
        manner: Manner,
        derivative: impl FnOnce(&[f64]) -> Vec<f64>,
        sum: &mut Numbers,
    ) -> Result<Vec<f64>> {
        match self {
            Handle::Hand(net) => {
                make_room(net, sum);
                net.reward_gradient(sequences, manner, derivative, sum)
            }
            Handle::Graph(_) => bail!(NO_REWARDS),
        }
    }

    /// Log-probs, and the gradient of a loss added to `sum`, which is empty before the first.
    pub fn gradient(
        &self,
        sequences: &[&Sequence],
        manner: Manner,
        derivative: impl FnOnce(&TokenLogProbs) -> TokenLogProbs,
        sum: &mut Numbers,
    ) -> Result<TokenLogProbs> {
        match self {
            Handle::Hand(net) => {
                make_room(net, sum);
                net.gradient(sequences, manner, derivative, sum)
            }
            Handle::Graph(llama) => {
                ensure!(!manner.recompute, "layers are computed again on a processor only");
                let (log_probs, own) = gradient::gradient(llama, sequences, manner.dropout, derivative)?;
                if sum.is_empty() {
                    *sum = own;
                } else {
                    parameters::add(sum, &own);
                }
                Ok(log_probs)
            }
        }
    }
}

/// Zeros for every parameter that is trained, where nothing has been added yet.
fn make_room(net: &Net, sum: &mut Numbers) {
    if sum.is_empty() {
        *sum = net.trained().iter().map(|parameter| vec![0.0; parameter.len()]).collect();
    }
}
