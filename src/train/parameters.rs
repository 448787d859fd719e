//! The parameters of a Llama in one fixed order, as plain numbers: out of the module and back into it.
//!
//! The gradient and the optimiser meet here. Names are Hugging Face's; the order is that of the module's fields.

use anyhow::{Context, Result, ensure};
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{DType, Gradients, Tensor, TensorData};

use crate::model::llama::Llama;
use crate::model::shape::{SCORE, Shape};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A projection inside a layer.
    Hidden,
    /// The projection to the vocabulary, where it has weights of its own; a reward model's to its score.
    Output,
    Embedding,
    Norm,
    Bias,
}

impl Kind {
    fn of(name: &str) -> Kind {
        if name.ends_with("embed_tokens.weight") {
            Kind::Embedding
        } else if name.ends_with("norm.weight") {
            Kind::Norm
        } else if name.ends_with(".bias") {
            Kind::Bias
        } else if name.starts_with("lm_head") || name == SCORE {
            Kind::Output
        } else {
            Kind::Hidden
        }
    }

    /// Whether weight decay applies: it would pull norms away from one, and forget rare words.
    pub fn decays(self) -> bool {
        matches!(self, Kind::Hidden | Kind::Output)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    pub name: String,
    pub dims: Vec<usize>,
    pub kind: Kind,
}

impl Parameter {
    pub fn len(&self) -> usize {
        self.dims.iter().product()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One list of numbers a parameter, in the order of [`list`].
pub type Numbers = Vec<Vec<f32>>;

/// The parameters of a shape, in the order of its tensors.
pub fn of_shape(shape: &Shape) -> Vec<Parameter> {
    let parameter = |(name, dims): (String, Vec<usize>)| Parameter { kind: Kind::of(&name), name, dims };
    shape.tensors().into_iter().map(parameter).collect()
}

pub fn list(llama: &Llama) -> Vec<Parameter> {
    let mut lister = Lister::default();
    llama.visit(&mut lister);
    lister.found
}

/// The same weights as the leaves of a graph of their own.
pub fn leaves(llama: &Llama) -> Llama {
    llama.clone().map(&mut Leaf)
}

/// What a backward pass left at the leaves; zeros where it did not come.
pub fn gradient(leaves: &Llama, mut gradients: Gradients) -> Result<Numbers> {
    let mut collector = GradientCollector { gradients: &mut gradients, found: Ok(Vec::new()) };
    leaves.visit(&mut collector);
    collector.found
}

/// Takes all weights out, lets them be changed, and puts them back. Nothing is copied where nobody else holds them.
pub fn change(llama: Llama, change: impl FnOnce(&mut Numbers) -> Result<()>) -> Result<Llama> {
    let dims: Vec<Vec<usize>> = list(&llama).into_iter().map(|parameter| parameter.dims).collect();
    let mut taker = Taker { taken: Ok(Vec::new()) };
    let llama = llama.map(&mut taker);
    let mut numbers = taker.taken?;
    change(&mut numbers)?;
    let mut giver = Giver { numbers: numbers.into_iter().zip(dims), complete: true };
    let llama = llama.map(&mut giver);
    ensure!(giver.complete && giver.numbers.next().is_none(), "the parameters changed in number");
    Ok(llama)
}

/// Adds one list of numbers to another of the same sizes.
pub fn add(to: &mut Numbers, from: &Numbers) {
    for (to, from) in to.iter_mut().zip(from) {
        for (to, from) in to.iter_mut().zip(from) {
            *to += from;
        }
    }
}

#[derive(Default)]
struct Lister {
    path: Vec<String>,
    found: Vec<Parameter>,
}

impl ModuleVisitor for Lister {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let name = self.path.join(".");
        self.found.push(Parameter { kind: Kind::of(&name), dims: param.val().dims().to_vec(), name });
    }
}

struct Leaf;

impl ModuleMapper for Leaf {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        Param::from_tensor(param.val().inner().autodiff())
    }
}

struct GradientCollector<'a> {
    gradients: &'a mut Gradients,
    found: Result<Numbers>,
}

impl ModuleVisitor for GradientCollector<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Ok(found) = &mut self.found else { return };
        let tensor = param.val();
        let count = tensor.dims().iter().product();
        match tensor.grad_remove(self.gradients).map(numbers) {
            None => found.push(vec![0.0; count]),
            Some(Ok(gradient)) => found.push(gradient),
            Some(Err(error)) => self.found = Err(error),
        }
    }
}

struct Taker {
    taken: Result<Numbers>,
}

impl ModuleMapper for Taker {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Ok(taken) = &mut self.taken else { return param };
        let (id, tensor, mapper) = param.consume();
        let device = tensor.device();
        match numbers(tensor) {
            Ok(weights) => taken.push(weights),
            Err(error) => self.taken = Err(error),
        }
        // Only the place is kept meanwhile, not its memory.
        Param::from_mapped_value(id, Tensor::empty([1; D], (&device, DType::F32)), mapper)
    }
}

struct Giver {
    numbers: std::iter::Zip<std::vec::IntoIter<Vec<f32>>, std::vec::IntoIter<Vec<usize>>>,
    complete: bool,
}

impl ModuleMapper for Giver {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, tensor, mapper) = param.consume();
        let device = tensor.device();
        match self.numbers.next().filter(|(numbers, dims)| numbers.len() == dims.iter().product::<usize>()) {
            Some((numbers, dims)) => {
                let tensor = Tensor::from_data(TensorData::new(numbers, dims), (&device, DType::F32));
                Param::from_mapped_value(id, tensor, mapper)
            }
            None => {
                self.complete = false;
                Param::from_mapped_value(id, tensor, mapper)
            }
        }
    }
}

/// The numbers of a tensor in f32.
pub fn numbers<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>> {
    let data = tensor.into_data().convert::<f32>();
    data.try_into_vec::<f32>().map_err(|error| anyhow::anyhow!("{error:?}")).context("reading a tensor")
}
