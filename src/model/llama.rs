//! The Llama itself, top to bottom: embedding, layers of attention and MLP, norm, output projection.
//!
//! This is the differentiable form that training uses, and the one that the packed kernels are tested against. Fields
//! carry Hugging Face's names, weights lie `[out, in]` as in the files. It knows no tokens' meaning and no sampling.
//!
//! Letters in shapes: B rows, S new positions, L positions seen, N = B·S, d hidden, V vocabulary, Hq query heads,
//! Hkv key-value heads, G = Hq / Hkv, D head dimension.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::activation::{silu, softmax};
use burn::tensor::{DType, Device, Int, Tensor, TensorData};

use crate::model::kv_cache::LayerCache;
use crate::model::shape::Shape;
use crate::model::weights::{self, TensorSource, Weights};

#[derive(Module, Debug)]
pub struct Llama {
    pub model: Body,
    /// Absent when the embedding is tied: then it projects back to the vocabulary too.
    pub lm_head: Option<Projection>,
    #[module(skip)]
    pub shape: Shape,
}

#[derive(Module, Debug)]
pub struct Body {
    pub embed_tokens: Embedding,
    pub layers: Vec<Layer>,
    pub norm: Norm,
}

#[derive(Module, Debug)]
pub struct Embedding {
    /// `[V, d]`
    pub weight: Param<Tensor<2>>,
}

#[derive(Module, Debug)]
pub struct Layer {
    pub input_layernorm: Norm,
    pub self_attn: Attention,
    pub post_attention_layernorm: Norm,
    pub mlp: Mlp,
}

#[derive(Module, Debug)]
pub struct Attention {
    pub q_proj: Projection,
    pub k_proj: Projection,
    pub v_proj: Projection,
    pub o_proj: Projection,
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
}

#[derive(Module, Debug)]
pub struct Mlp {
    pub gate_proj: Projection,
    pub up_proj: Projection,
    pub down_proj: Projection,
}

#[derive(Module, Debug)]
pub struct Projection {
    /// `[out, in]`
    pub weight: Param<Tensor<2>>,
    pub bias: Option<Param<Tensor<1>>>,
}

#[derive(Module, Debug)]
pub struct Norm {
    pub weight: Param<Tensor<1>>,
    epsilon: f64,
}

/// What depends on where tokens stand, not on what they are; computed once for all layers.
#[derive(Debug, Clone)]
pub struct Places {
    /// `[B or 1, 1, S, D/2]`
    cos: Tensor<4>,
    sin: Tensor<4>,
    /// `[B or 1, 1, G·S, L]`: 0 where a query may look, a large negative number where not. Finite, because the
    /// gradient of a masked infinity is NaN.
    bias: Tensor<4>,
}

/// Far below any score, and its exponential is exactly zero in f32.
const MASKED: f32 = -1e9;

impl Llama {
    /// Makes the module from any source of tensors, one tensor at a time.
    pub fn load(shape: &Shape, source: &impl TensorSource, dtype: DType, device: &Device) -> Result<Llama> {
        let read = Reader { source, dtype, device };
        let layer = |index: usize| -> Result<Layer> {
            let name = |part: &str| format!("model.layers.{index}.{part}");
            let attention = |part: &str| read.projection(&name(&format!("self_attn.{part}")), shape.attention_bias);
            let mlp = |part: &str| read.projection(&name(&format!("mlp.{part}")), shape.mlp_bias);
            Ok(Layer {
                input_layernorm: read.norm(&name("input_layernorm"), shape)?,
                self_attn: Attention {
                    q_proj: attention("q_proj")?,
                    k_proj: attention("k_proj")?,
                    v_proj: attention("v_proj")?,
                    o_proj: attention("o_proj")?,
                    heads: shape.heads,
                    kv_heads: shape.kv_heads,
                    head_dim: shape.head_dim,
                },
                post_attention_layernorm: read.norm(&name("post_attention_layernorm"), shape)?,
                mlp: Mlp { gate_proj: mlp("gate_proj")?, up_proj: mlp("up_proj")?, down_proj: mlp("down_proj")? },
            })
        };
        shape.ensure_it_writes()?;
        Ok(Llama {
            model: Body {
                embed_tokens: Embedding { weight: read.matrix("model.embed_tokens.weight")? },
                layers: (0..shape.layers).map(layer).collect::<Result<_>>()?,
                norm: read.norm("model.norm", shape)?,
            },
            lm_head: if shape.tied { None } else { Some(read.projection("lm_head", false)?) },
            shape: shape.clone(),
        })
    }

    /// The weights back as plain slices, in f32.
    pub fn to_weights(&self) -> Result<Weights> {
        let mut collector = Collector::default();
        self.visit(&mut collector);
        Weights::new(&self.shape, collector.tensors)
    }

    /// Tokens `[B, S]` to the last hidden states `[B·S, d]`, after the final norm.
    pub fn hidden(&self, tokens: Tensor<2, Int>, places: &Places) -> Tensor<2> {
        self.run(tokens, places, None)
    }

    /// The same for the S newest tokens of rows whose earlier keys and values lie in the caches, one per layer.
    pub fn hidden_cached(&self, tokens: Tensor<2, Int>, places: &Places, caches: &mut [LayerCache]) -> Tensor<2> {
        self.run(tokens, places, Some(caches))
    }

    fn run(&self, tokens: Tensor<2, Int>, places: &Places, mut caches: Option<&mut [LayerCache]>) -> Tensor<2> {
        let [rows, length] = tokens.dims();
        let mut x = self.model.embed_tokens.weight.val().select(0, tokens.reshape([rows * length]));
        for (index, layer) in self.model.layers.iter().enumerate() {
            let cache = caches.as_deref_mut().and_then(|caches| caches.get_mut(index));
            x = layer.forward(x, rows, places, cache);
        }
        self.model.norm.forward(x)
    }

    /// Hidden states `[N, d]` to logits `[N, V]`. Give it the rows that are needed, not all: V is large.
    pub fn logits(&self, hidden: Tensor<2>) -> Tensor<2> {
        let weight = match &self.lm_head {
            Some(head) => head.weight.val(),
            None => self.model.embed_tokens.weight.val(),
        };
        hidden.matmul(weight.transpose())
    }
}

impl Layer {
    /// x + Attention(Norm(x)), then x + MLP(Norm(x)); x is `[N, d]`, N = B·S with the rows one after the other.
    pub fn forward(&self, x: Tensor<2>, rows: usize, places: &Places, cache: Option<&mut LayerCache>) -> Tensor<2> {
        let attended = self.self_attn.forward(self.input_layernorm.forward(x.clone()), rows, places, cache);
        let x = x + attended;
        let thought = self.mlp.forward(self.post_attention_layernorm.forward(x.clone()));
        x + thought
    }
}

impl Attention {
    /// softmax(Q Kᵀ / √D + bias) V, with the G query heads of a group folded into the query axis, so that keys and
    /// values are never repeated.
    pub fn forward(&self, x: Tensor<2>, rows: usize, places: &Places, cache: Option<&mut LayerCache>) -> Tensor<2> {
        let length = x.dims()[0] / rows;
        let split = |x: Tensor<2>, heads: usize| x.reshape([rows, length, heads, self.head_dim]).swap_dims(1, 2);
        let q = rotate(split(self.q_proj.forward(x.clone()), self.heads), places);
        let k = rotate(split(self.k_proj.forward(x.clone()), self.kv_heads), places);
        let v = split(self.v_proj.forward(x), self.kv_heads);
        let (k, v) = match cache {
            Some(cache) => cache.append(k, v),
            None => (k, v),
        };

        let group = self.heads / self.kv_heads;
        let q = q.reshape([rows, self.kv_heads, group * length, self.head_dim]);
        let scores = q.matmul(k.swap_dims(2, 3)).mul_scalar(1.0 / (self.head_dim as f64).sqrt());
        // Softmax in f32 whatever the weights' precision: sums over many positions need it.
        let dtype = scores.dtype();
        let weights = to_dtype(softmax(to_dtype(scores, DType::F32) + places.bias.clone(), 3), dtype);
        let mixed = weights.matmul(v).reshape([rows, self.heads, length, self.head_dim]);
        self.o_proj.forward(mixed.swap_dims(1, 2).reshape([rows * length, self.heads * self.head_dim]))
    }
}

impl Mlp {
    /// down(silu(gate(x)) ∘ up(x))
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let gate = silu(self.gate_proj.forward(x.clone()));
        self.down_proj.forward(gate * self.up_proj.forward(x))
    }
}

impl Projection {
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let y = x.matmul(self.weight.val().transpose());
        match &self.bias {
            Some(bias) => y + bias.val().unsqueeze(),
            None => y,
        }
    }
}

impl Norm {
    /// w ∘ x / √(mean(x²) + ε), in f32.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let dtype = x.dtype();
        let x = to_dtype(x, DType::F32);
        let mean_square = x.clone().square().mean_dim(1);
        let normed = x / (mean_square + self.epsilon).sqrt();
        to_dtype(normed, dtype) * self.weight.val().unsqueeze()
    }
}

/// Rotary positions, Hugging Face's layout: element i turns together with element i + D/2.
fn rotate(x: Tensor<4>, places: &Places) -> Tensor<4> {
    let dtype = x.dtype();
    let half = x.dims()[3] / 2;
    let x = to_dtype(x, DType::F32);
    let (left, right) = (x.clone().narrow(3, 0, half), x.narrow(3, half, half));
    let turned_left = left.clone() * places.cos.clone() - right.clone() * places.sin.clone();
    let turned_right = right * places.cos.clone() + left * places.sin.clone();
    to_dtype(Tensor::cat(vec![turned_left, turned_right], 3), dtype)
}

/// A cast that leaves no trace in the graph when there is nothing to do.
fn to_dtype<const D: usize>(x: Tensor<D>, dtype: DType) -> Tensor<D> {
    if x.dtype() == dtype { x } else { x.cast(dtype) }
}

impl Places {
    /// For fresh rows that all start at position 0 and are padded on the right to `length`. Padding needs no mask of
    /// its own: no earlier position looks at it.
    pub fn from_start(shape: &Shape, length: usize, device: &Device) -> Places {
        Places::new(shape, &[(0, 0)], length, length, device)
    }

    /// For rows that each add `new` tokens. A row is `(first position, first cache slot in use)`; the new tokens take
    /// the last `new` of the cache's `seen` slots. Slots before the first in use are padding.
    pub fn new(shape: &Shape, rows: &[(usize, usize)], new: usize, seen: usize, device: &Device) -> Places {
        let half = shape.head_dim / 2;
        let frequencies = shape.rope.inverse_frequencies(shape.head_dim);
        let mut cos = Vec::with_capacity(rows.len() * new * half);
        let mut sin = Vec::with_capacity(rows.len() * new * half);
        let mut bias = Vec::with_capacity(rows.len() * shape.group() * new * seen);
        for &(first, first_slot) in rows {
            for offset in 0..new {
                for frequency in &frequencies {
                    let angle = f64::from((first + offset) as f32 * frequency);
                    cos.push(angle.cos() as f32);
                    sin.push(angle.sin() as f32);
                }
            }
            for _ in 0..shape.group() {
                for offset in 0..new {
                    let own_slot = seen - new + offset;
                    bias.extend(
                        (0..seen).map(|slot| if (first_slot..=own_slot).contains(&slot) { 0.0 } else { MASKED }),
                    );
                }
            }
        }
        let tensor = |values: Vec<f32>, dims: [usize; 4]| {
            Tensor::<4>::from_data(TensorData::new(values, dims), (device, DType::F32))
        };
        Places {
            cos: tensor(cos, [rows.len(), 1, new, half]),
            sin: tensor(sin, [rows.len(), 1, new, half]),
            bias: tensor(bias, [rows.len(), 1, shape.group() * new, seen]),
        }
    }
}

/// Token rows of different lengths as one tensor `[B, S]`, padded on the right with token 0, which nothing looks at.
pub fn pad_right(rows: &[&[u32]], device: &Device) -> Result<Tensor<2, Int>> {
    let length = rows.iter().map(|row| row.len()).max().unwrap_or(0);
    ensure!(length > 0, "a batch needs at least one token");
    let mut padded = Vec::with_capacity(rows.len() * length);
    for row in rows {
        padded.extend(row.iter().map(|&token| token as i32));
        padded.resize(padded.len() + length - row.len(), 0);
    }
    Ok(Tensor::from_data(TensorData::new(padded, [rows.len(), length]), (device, DType::I32)))
}

struct Reader<'a, S> {
    source: &'a S,
    dtype: DType,
    device: &'a Device,
}

impl<S: TensorSource> Reader<'_, S> {
    fn tensor<const D: usize>(&self, name: &str) -> Result<Param<Tensor<D>>> {
        let tensor = self.source.tensor(name)?.into_owned();
        ensure!(tensor.dims.len() == D, "{name} has {} dimensions, {D} are needed", tensor.dims.len());
        let values = match tensor.values {
            weights::Values::F32(values) => values,
            narrow @ weights::Values::Bf16(_) => narrow.to_f32(),
        };
        let data = TensorData::new(values, tensor.dims).convert_dtype(self.dtype);
        Ok(Param::from_tensor(Tensor::from_data(data, (self.device, self.dtype))))
    }

    fn matrix(&self, name: &str) -> Result<Param<Tensor<2>>> {
        self.tensor(name)
    }

    fn projection(&self, name: &str, bias: bool) -> Result<Projection> {
        Ok(Projection {
            weight: self.tensor(&format!("{name}.weight"))?,
            bias: if bias { Some(self.tensor(&format!("{name}.bias"))?) } else { None },
        })
    }

    fn norm(&self, name: &str, shape: &Shape) -> Result<Norm> {
        Ok(Norm { weight: self.tensor(&format!("{name}.weight"))?, epsilon: f64::from(shape.rms_eps) })
    }
}

/// Walks the module; the path of fields is Hugging Face's name of the tensor.
#[derive(Default)]
struct Collector {
    path: Vec<String>,
    tensors: BTreeMap<String, weights::Tensor>,
}

impl ModuleVisitor for Collector {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let tensor = param.val();
        let dims = tensor.dims().to_vec();
        let data = tensor.into_data().convert::<f32>();
        // The dtype was converted just above; were it not, the missing tensor would be named by `Weights::new`.
        if let Ok(values) = data.try_into_vec::<f32>() {
            self.tensors.insert(self.path.join("."), weights::Tensor::f32(dims, values));
        }
    }
}
