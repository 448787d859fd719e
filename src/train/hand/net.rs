//! The weights of a Llama as plain numbers with names, and where each layer finds its own; adapters beside them.
//!
//! The optimiser changes these numbers, the passes read them. It knows no arithmetic.

use std::sync::Mutex;

use anyhow::{Context, Result, ensure};

use crate::model::shape::{SCORE, Shape};
use crate::model::weights::{Tensor, TensorSource, Weights};
use crate::train::hand::product::{Into, Matrix, product};
use crate::train::hand::scratch::Scratch;
use crate::train::lora::Adapters;
use crate::train::parameters::{self, Numbers, Parameter};

/// A Llama that learns on a processor.
#[derive(Debug)]
pub struct Net {
    pub shape: Shape,
    /// In the order of [`parameters::of_shape`].
    pub numbers: Numbers,
    /// With adapters only they are trained; the rest stays as it is.
    pub adapters: Option<Adapters>,
    pub(super) place: Place,
    scratch: Mutex<Vec<Scratch>>,
}

/// Indices of tensors among a net's numbers.
#[derive(Clone, Debug)]
pub struct Place {
    pub embedding: usize,
    pub layers: Vec<LayerPlace>,
    pub norm: usize,
    /// The embedding once more where it is tied; of a reward model its score.
    pub head: usize,
}

#[derive(Clone, Debug)]
pub struct LayerPlace {
    pub input_norm: usize,
    pub q: ProjectionPlace,
    pub k: ProjectionPlace,
    pub v: ProjectionPlace,
    pub o: ProjectionPlace,
    pub mlp_norm: usize,
    pub gate: ProjectionPlace,
    pub up: ProjectionPlace,
    pub down: ProjectionPlace,
}

#[derive(Clone, Debug)]
pub struct ProjectionPlace {
    pub weight: usize,
    pub bias: Option<usize>,
    /// Its name without an end: what adapters are called by.
    pub name: String,
    pub inputs: usize,
    pub outputs: usize,
}

impl Net {
    pub fn load(shape: &Shape, source: &(impl TensorSource + ?Sized)) -> Result<Net> {
        let list = parameters::of_shape(shape);
        let mut numbers = Vec::with_capacity(list.len());
        for parameter in &list {
            let tensor = source.tensor(&parameter.name)?;
            ensure!(tensor.dims == parameter.dims, "{} has another shape", parameter.name);
            numbers.push(match tensor {
                std::borrow::Cow::Owned(Tensor { values: crate::model::weights::Values::F32(values), .. }) => values,
                tensor => tensor.values.to_f32(),
            });
        }
        let place = place(shape, &list)?;
        Ok(Net { shape: shape.clone(), numbers, adapters: None, place, scratch: Mutex::default() })
    }

    /// What an optimiser changes, in its order.
    pub fn trained(&self) -> Vec<Parameter> {
        match &self.adapters {
            Some(adapters) => adapters.parameters(),
            None => parameters::of_shape(&self.shape),
        }
    }

    pub fn trained_numbers(&mut self) -> &mut Numbers {
        match &mut self.adapters {
            Some(adapters) => &mut adapters.numbers,
            None => &mut self.numbers,
        }
    }

    /// Trains adapters from here on, and nothing else.
    pub fn attach(&mut self, adapters: Adapters) {
        self.adapters = Some(adapters);
    }

    /// Adds what the adapters say to the weights and gives the adapters away.
    pub fn merge(&mut self) -> Option<Adapters> {
        let adapters = self.adapters.take()?;
        let scale = adapters.settings.scale();
        let rank = adapters.settings.rank;
        for layer in &self.place.layers {
            for place in [&layer.q, &layer.k, &layer.v, &layer.o, &layer.gate, &layer.up, &layer.down] {
                let Some(at) = adapters.place_of(&place.name) else { continue };
                let a = Matrix::new(&adapters.numbers[2 * at], rank, place.inputs);
                let b = Matrix::new(&adapters.numbers[2 * at + 1], place.outputs, rank);
                product(b, a, scale, Into::added(&mut self.numbers[place.weight], place.inputs));
            }
        }
        Some(adapters)
    }

    /// The same layers with a score in place of words. It begins at zero, so that every text is worth the same and the
    /// first step's loss is ln 2.
    pub fn into_reward_model(mut self) -> Result<Net> {
        ensure!(self.adapters.is_none(), "a reward model is trained whole: set lora.rank = 0");
        ensure!(!self.shape.reward, "it is a reward model already");
        let words = parameters::of_shape(&self.shape);
        self.shape.reward = true;
        let list = parameters::of_shape(&self.shape);
        self.numbers.truncate(list.len() - 1);
        let same = words.iter().zip(&list).take(list.len() - 1).all(|(word, other)| word == other);
        ensure!(same, "the layers of a reward model stand in another order");
        self.numbers.push(vec![0.0; self.shape.hidden]);
        self.place = place(&self.shape, &list)?;
        Ok(self)
    }

    /// A copy of the weights, adapters left out.
    pub fn to_weights(&self) -> Result<Weights> {
        let tensors = parameters::of_shape(&self.shape)
            .into_iter()
            .zip(&self.numbers)
            .map(|(parameter, numbers)| (parameter.name, Tensor::f32(parameter.dims, numbers.clone())))
            .collect();
        Weights::new(&self.shape, tensors)
    }

    /// Works with buffers that were used before, if any are free.
    pub(super) fn with_scratch<R>(&self, work: impl FnOnce(&mut Scratch) -> R) -> R {
        let free = |net: &Net| net.scratch.lock().unwrap_or_else(std::sync::PoisonError::into_inner).pop();
        let mut scratch = free(self).unwrap_or_default();
        let result = work(&mut scratch);
        self.scratch.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(scratch);
        result
    }

    /// Gives the buffers' memory back: before something else needs it.
    pub fn rest(&self) {
        self.scratch.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clear();
    }
}

fn place(shape: &Shape, list: &[Parameter]) -> Result<Place> {
    let find = |name: &str| {
        list.iter().position(|parameter| parameter.name == name).with_context(|| format!("there is no {name}"))
    };
    let layer = |index: usize| -> Result<LayerPlace> {
        let norm = |part: &str| find(&format!("model.layers.{index}.{part}.weight"));
        let projection = |part: &str, biased: bool| -> Result<ProjectionPlace> {
            let name = format!("model.layers.{index}.{part}");
            let weight = find(&format!("{name}.weight"))?;
            let bias = if biased { Some(find(&format!("{name}.bias"))?) } else { None };
            let [outputs, inputs] = list[weight].dims[..] else { anyhow::bail!("{name} is no matrix") };
            Ok(ProjectionPlace { weight, bias, name, inputs, outputs })
        };
        let attention = |part: &str| projection(&format!("self_attn.{part}"), shape.attention_bias);
        let mlp = |part: &str| projection(&format!("mlp.{part}"), shape.mlp_bias);
        Ok(LayerPlace {
            input_norm: norm("input_layernorm")?,
            q: attention("q_proj")?,
            k: attention("k_proj")?,
            v: attention("v_proj")?,
            o: attention("o_proj")?,
            mlp_norm: norm("post_attention_layernorm")?,
            gate: mlp("gate_proj")?,
            up: mlp("up_proj")?,
            down: mlp("down_proj")?,
        })
    };
    let embedding = find("model.embed_tokens.weight")?;
    Ok(Place {
        embedding,
        layers: (0..shape.layers).map(layer).collect::<Result<_>>()?,
        norm: find("model.norm.weight")?,
        head: match (shape.reward, shape.tied) {
            (true, _) => find(SCORE)?,
            (false, true) => embedding,
            (false, false) => find("lm_head.weight")?,
        },
    })
}
