//! From the layer list to a program.

use super::parameters::{ConvLayer, NormLayer, Parameters};
use super::program::{MapsProgram, Node, Op, Program, Value};
use super::vectors::{VectorNode, VectorOp, Vectors};
use crate::kernels::Tier;
use crate::kernels::activation::Activation;
use crate::kernels::blocked::Maps;
use crate::kernels::blocked::conv::Conv;
use crate::kernels::blocked::part::Finish;
use crate::network::compiled::lowering::{self, Order, readers};
use crate::network::shape::{LayerShape, Shape, Source};
use crate::network::spec::{Architecture, Conv2d, LayerKind, Pool2d};

/// The pooling that a convolution does on the way out.
const HALVING: Pool2d = Pool2d { kernel_size: 2, stride: Some(2), padding: 0 };

impl Program {
    /// Fused wherever it can be.
    pub(super) fn fast((architecture, layers): (&Architecture, &[LayerShape]), parameters: &Parameters, tier: Tier) -> Self {
        Compiler { architecture, layers, parameters, tier, fast: None }.program()
    }

    /// With every layer's output as it is; shares what it can with the fast program.
    pub(super) fn plain(
        (architecture, layers): (&Architecture, &[LayerShape]),
        parameters: &Parameters,
        (tier, fast): (Tier, &Program),
    ) -> Self {
        Compiler { architecture, layers, parameters, tier, fast: Some(fast) }.program()
    }
}

struct Compiler<'a> {
    architecture: &'a Architecture,
    layers: &'a [LayerShape],
    parameters: &'a Parameters,
    tier: Tier,
    /// The fast program, where the plain one is made.
    fast: Option<&'a Program>,
}

impl Compiler<'_> {
    fn program(&self) -> Program {
        let count = lowering::maps_before_vectors(self.layers);
        let input = self.architecture.input;
        let image = Maps { channels: input.channels, height: input.height, width: input.width };
        let mut maps = MapsProgram { values: vec![Value { maps: image, offset: 0 }], ..MapsProgram::default() };
        // The value of each layer's output.
        let mut of_layer = Vec::with_capacity(count);
        while of_layer.len() < count {
            let covered = self.layer(&mut maps, of_layer.len(), &of_layer);
            let output = maps.nodes.last().map_or(0, |node| node.output);
            of_layer.extend(std::iter::repeat_n(output, covered));
        }
        maps.exit = of_layer.last().copied().unwrap_or(0);
        maps.group = maps.convs.iter().map(|layer| layer.conv.images_at_a_time()).max().unwrap_or(1);
        maps.place();
        let order = Order::of_head(self.architecture, self.layers, maps.values[maps.exit].maps);
        Program { vectors: self.vectors(count, order), maps }
    }

    fn kind(&self, at: usize) -> &LayerKind {
        &self.architecture.layers[at].kind
    }

    /// Whether the layer at `at` exists and is the only one that reads the one before it, so that both can be one node.
    fn private(&self, at: usize) -> bool {
        self.fast.is_none() && at < self.layers.len() && readers(self.layers, Source::Layer(at - 1)) == 1
    }

    /// Compiles the layer at `at` and perhaps some that follow; says how many.
    fn layer(&self, maps: &mut MapsProgram, at: usize, of_layer: &[usize]) -> usize {
        let input = at.checked_sub(1).map_or(0, |previous| of_layer[previous]);
        let from = maps.values[input].maps;
        let (op, to) = match self.kind(at) {
            LayerKind::Conv2d(conv) => return self.conv(maps, (at, conv), input),
            LayerKind::BatchNorm2d(norm) => {
                maps.norms.push(NormLayer::new(from.channels, &self.parameters.maps[at], norm.eps));
                (Op::Norm(maps.norms.len() - 1), from)
            }
            LayerKind::Relu | LayerKind::Dropout(_) => {
                let value = self.changeable(maps, at, input);
                let op = if *self.kind(at) == LayerKind::Relu { Op::Rectify } else { Op::Same };
                maps.nodes.push(Node { op, input: value, output: value, layer: Some(at) });
                return 1;
            }
            LayerKind::Gelu => (Op::Activate(Activation::Gelu), from),
            LayerKind::Silu => (Op::Activate(Activation::Silu), from),
            kind @ LayerKind::MaxPool2d(_) => {
                let windows = lowering::windows(from, kind);
                let to = windows.output();
                (Op::Max(windows), to)
            }
            kind @ (LayerKind::AvgPool2d(_) | LayerKind::AdaptiveAvgPool2d(_)) => {
                let windows = lowering::windows(from, kind);
                let to = windows.output();
                (Op::Mean(windows), to)
            }
            LayerKind::Add(_) => {
                let other = match self.layers[at].sources.get(1) {
                    Some(&Source::Layer(from)) => of_layer[from],
                    _ => 0,
                };
                (Op::Add { other }, from)
            }
            // These need or make vectors, and inference lets none stand here.
            LayerKind::Flatten | LayerKind::Linear(_) => unreachable!("a vector among feature maps"),
        };
        push(maps, op, (input, to), Some(at));
        1
    }

    /// A convolution and what goes into it of the layers that follow.
    fn conv(&self, maps: &mut MapsProgram, (at, conv): (usize, &Conv2d), input: usize) -> usize {
        let conv = Conv::new(lowering::convolution(maps.values[input].maps, conv));
        let (mut covered, mut finish, mut norm) = (1, Finish::default(), None);
        while self.private(at + covered) {
            match self.kind(at + covered) {
                LayerKind::Dropout(_) => {}
                LayerKind::BatchNorm2d(layer) if norm.is_none() && finish == Finish::default() => {
                    norm = Some((&self.parameters.maps[at + covered][..], layer.eps));
                }
                LayerKind::Relu => finish.rectify = true,
                LayerKind::MaxPool2d(pool)
                    if !finish.pool && conv.pools() && Pool2d { stride: Some(pool.step()), ..*pool } == HALVING =>
                {
                    finish.pool = true;
                }
                _ => break,
            }
            covered += 1;
        }
        let known = self.fast.and_then(|fast| fast.maps.convs.iter().find(|layer| layer.layer == at && !layer.folded));
        let layer = match known {
            Some(known) => known.unfinished(),
            None => ConvLayer::new((conv, at), self.tier, &self.parameters.maps[at], norm),
        };
        let to = finish.written(layer.conv.sizes().output);
        maps.convs.push(ConvLayer { finish, ..layer });
        push(maps, Op::Conv(maps.convs.len() - 1), (input, to), Some(at + covered - 1));
        covered
    }

    /// A value that the layer at `at` may change: its input, or a copy where others read that too.
    fn changeable(&self, maps: &mut MapsProgram, at: usize, input: usize) -> usize {
        let source = at.checked_sub(1).map_or(Source::Image, Source::Layer);
        if readers(self.layers, source) == 1 {
            return input;
        }
        push(maps, Op::Copy, (input, maps.values[input].maps), None)
    }

    /// The layers after the `flatten` at `flatten`.
    fn vectors(&self, flatten: usize, order: Order) -> Vectors {
        let mut vectors = Vectors::new(order, flatten);
        let mut of_layer = vec![0];
        let mut at = flatten + 1;
        while at < self.layers.len() {
            let input = of_layer[at - 1 - flatten];
            let mut covered = 1;
            let op = match self.kind(at) {
                LayerKind::Linear(_) => {
                    let dense = self.parameters.dense.iter().position(|dense| dense.layer == at).unwrap_or_default();
                    let mut rectify = false;
                    while self.private(at + covered) {
                        match self.kind(at + covered) {
                            LayerKind::Relu => rectify = true,
                            LayerKind::Dropout(_) => {}
                            _ => break,
                        }
                        covered += 1;
                    }
                    Some(VectorOp::Dense { dense, rectify })
                }
                LayerKind::Relu => Some(VectorOp::Activate(Activation::Relu)),
                LayerKind::Gelu => Some(VectorOp::Activate(Activation::Gelu)),
                LayerKind::Silu => Some(VectorOp::Activate(Activation::Silu)),
                LayerKind::Add(_) => match self.layers[at].sources.get(1) {
                    Some(&Source::Layer(from)) => Some(VectorOp::Add(of_layer[from - flatten])),
                    _ => None,
                },
                _ if self.fast.is_some() => Some(VectorOp::Same),
                _ => None,
            };
            let output = match op {
                Some(op) => {
                    let features = self.layers[at].output.elements();
                    vectors.push(VectorNode { op, input, layer: at + covered - 1, features })
                }
                None => input,
            };
            of_layer.extend(std::iter::repeat_n(output, covered));
            at += covered;
        }
        debug_assert!(self.layers.last().is_none_or(|last| matches!(last.output, Shape::Vector(_))));
        vectors
    }
}

/// Appends a node with an output of its own.
fn push(maps: &mut MapsProgram, op: Op, (input, to): (usize, Maps), layer: Option<usize>) -> usize {
    maps.values.push(Value { maps: to, offset: 0 });
    let output = maps.values.len() - 1;
    maps.nodes.push(Node { op, input, output, layer });
    output
}
