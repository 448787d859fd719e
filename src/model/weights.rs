//! The weights of one Llama as plain slices under Hugging Face's names.
//!
//! Loading, saving, the burn module and the packed decode kernels all meet here. A tensor keeps the precision it was
//! stored in (f16 becomes f32, which holds it exactly). It knows no file and no device.

use std::borrow::Cow;
use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use half::bf16;

use crate::model::shape::Shape;

#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    F32(Vec<f32>),
    Bf16(Vec<bf16>),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// `[out, in]` for projections, `[len]` for norms and biases.
    pub dims: Vec<usize>,
    pub values: Values,
}

/// Where tensors come from one at a time: [`Weights`] in memory, or a [`Folder`](crate::model::folder::Folder) on disk.
/// A reader that converts as it goes then never holds more than its own copy and one tensor.
pub trait TensorSource {
    fn tensor(&self, name: &str) -> Result<Cow<'_, Tensor>>;
}

/// All tensors of one model. The set of names and dimensions is exactly that of its shape.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Weights {
    tensors: BTreeMap<String, Tensor>,
}

impl Weights {
    /// Takes the tensors of a shape from anywhere; names everything that is missing, left over or mis-shaped.
    pub fn new(shape: &Shape, mut tensors: BTreeMap<String, Tensor>) -> Result<Weights> {
        let mut faults = Vec::new();
        let mut kept = BTreeMap::new();
        for (name, dims) in shape.tensors() {
            match tensors.remove(&name) {
                None => faults.push(format!("{name} is missing")),
                Some(tensor) if tensor.dims != dims => {
                    faults.push(format!("{name} is {:?}, the shape asks for {dims:?}", tensor.dims));
                }
                Some(tensor) => {
                    ensure!(
                        tensor.values.len() == dims.iter().product::<usize>(),
                        "{name} does not fill its dimensions"
                    );
                    kept.insert(name, tensor);
                }
            }
        }
        faults.extend(tensors.keys().map(|name| format!("{name} has no place in this shape")));
        if !faults.is_empty() {
            bail!("the weights do not fit the shape: {}", faults.join("; "));
        }
        Ok(Weights { tensors: kept })
    }

    /// Fresh weights for a model that is born here: normal with the given deviation, norms one, biases zero.
    /// The same seed gives the same bits on every machine.
    pub fn random(shape: &Shape, deviation: f32, seed: u64) -> Result<Weights> {
        let mut tensors = BTreeMap::new();
        for (index, (name, dims)) in shape.tensors().into_iter().enumerate() {
            let count = dims.iter().product::<usize>();
            let values = if name.ends_with("norm.weight") {
                vec![1.0; count]
            } else if name.ends_with(".bias") {
                vec![0.0; count]
            } else {
                let stream = crate::model::random::derive(seed, index as u64);
                (0..count).map(|i| crate::model::random::normal(stream, i as u64) * deviation).collect()
            };
            tensors.insert(name, Tensor { dims, values: Values::F32(values) });
        }
        Weights::new(shape, tensors)
    }

    /// Reads every tensor of a source into memory.
    pub fn gather(shape: &Shape, source: &impl TensorSource) -> Result<Weights> {
        let mut tensors = BTreeMap::new();
        for (name, _) in shape.tensors() {
            let tensor = source.tensor(&name)?.into_owned();
            tensors.insert(name, tensor);
        }
        Weights::new(shape, tensors)
    }

    pub fn get(&self, name: &str) -> Result<&Tensor> {
        self.tensors.get(name).with_context(|| format!("there is no tensor {name:?}"))
    }

    /// Takes one tensor out, for a reader that turns the whole set into another form without holding both.
    pub fn take(&mut self, name: &str) -> Result<Tensor> {
        self.tensors.remove(name).with_context(|| format!("there is no tensor {name:?}"))
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> + Clone {
        self.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    pub fn parameters(&self) -> usize {
        self.tensors.values().map(|tensor| tensor.values.len()).sum()
    }

    /// The same weights rounded to bf16 (nearest, ties to even).
    pub fn to_bf16(&self) -> Weights {
        let round = |tensor: &Tensor| Tensor { dims: tensor.dims.clone(), values: tensor.values.to_bf16() };
        Weights { tensors: self.tensors.iter().map(|(name, tensor)| (name.clone(), round(tensor))).collect() }
    }
}

impl TensorSource for Weights {
    fn tensor(&self, name: &str) -> Result<Cow<'_, Tensor>> {
        self.get(name).map(Cow::Borrowed)
    }
}

/// Another source with its weights rounded to bf16: half the memory, and a small, measurable difference.
#[derive(Debug)]
pub struct Rounded<'a, S>(pub &'a S);

impl<S: TensorSource> TensorSource for Rounded<'_, S> {
    fn tensor(&self, name: &str) -> Result<Cow<'_, Tensor>> {
        let tensor = self.0.tensor(name)?;
        Ok(Cow::Owned(Tensor { dims: tensor.dims.clone(), values: tensor.values.to_bf16() }))
    }
}

impl Tensor {
    pub fn f32(dims: Vec<usize>, values: Vec<f32>) -> Tensor {
        Tensor { dims, values: Values::F32(values) }
    }
}

impl Values {
    pub fn len(&self) -> usize {
        match self {
            Values::F32(values) => values.len(),
            Values::Bf16(values) => values.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn to_f32(&self) -> Vec<f32> {
        match self {
            Values::F32(values) => values.clone(),
            Values::Bf16(values) => values.iter().map(|value| value.to_f32()).collect(),
        }
    }

    pub fn to_bf16(&self) -> Values {
        match self {
            Values::F32(values) => Values::Bf16(values.iter().map(|&value| bf16::from_f32(value)).collect()),
            Values::Bf16(values) => Values::Bf16(values.clone()),
        }
    }

    /// True when bf16 holds every value exactly, so that packing it so changes no bit of any result.
    pub fn fits_bf16(&self) -> bool {
        match self {
            Values::F32(values) => values.iter().all(|value| value.to_bits() & 0xffff == 0),
            Values::Bf16(_) => true,
        }
    }

    pub fn first_not_finite(&self) -> Option<usize> {
        match self {
            Values::F32(values) => values.iter().position(|value| !value.is_finite()),
            Values::Bf16(values) => values.iter().position(|value| !value.is_finite()),
        }
    }
}
