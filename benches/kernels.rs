//! How far each kernel is from what the processor can do: `cargo bench --bench kernels [-- NAME…]`.
//!
//! One thread, data as in training and evaluation of the networks that come with the program. GFLOP/s count the products of the
//! direct method, so Winograd's may pass the peak, which is measured first: multiply-adds on registers alone.

use std::hint::black_box;
use std::time::Instant;

use convscope::kernels::blocked::conv::{Applied, Conv, Gradients, Images};
use convscope::kernels::blocked::part::Finish;
use convscope::kernels::blocked::{Convolution, Maps, blocks};
use convscope::kernels::dense::panels::{Layer, Panels, Places, Results, Rows, Weights};
use convscope::kernels::dense::{Backward, BySgd, Dense, Forward};
use convscope::kernels::lanes::{Kernel, Lanes, WIDTH};
use convscope::kernels::sgd::Sgd;
use convscope::kernels::{Buffer, Crew, Team, Tier};
use half::f16;

/// Seconds that each kernel is repeated for.
const SECONDS: f64 = 0.4;

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|name| !name.starts_with('-')).collect();
    let tier = Tier::detect();
    let peak = flop_rate(2.0 * Peak::PRODUCTS as f64, || {
        black_box(tier.run(Peak));
    });
    println!("{tier}, peak {peak:.0} GFLOP/s a thread\n{:40} {:>10} {:>9} {:>7}", "kernel", "µs/image", "GFLOP/s", "of peak");
    let report = Report { wanted, peak };
    for (name, conv, images) in convolutions() {
        convolution(&report, tier, (name, conv, images));
    }
    for (outputs, inputs, batch) in [(512, 8192, 1), (512, 8192, 8), (512, 8192, 32), (512, 8192, 128), (10, 512, 128)] {
        dense(&report, tier, (outputs, inputs, batch));
    }
}

fn convolutions() -> Vec<(&'static str, Convolution, usize)> {
    let conv = |channels, side, out| {
        let input = Maps { channels, height: side, width: side };
        Convolution::new(input, out, 3).window(1, 1)
    };
    vec![
        ("conv 3-32 at 32", conv(3, 32, 32), 8),
        ("conv 32-32 at 32", conv(32, 32, 32), 8),
        ("conv 24-64 at 31", conv(24, 31, 64), 8),
        ("conv 64-64 at 15", conv(64, 15, 64), 8),
        ("conv 64-256 at 15", conv(64, 15, 256), 8),
        ("conv 256-256 at 7", conv(256, 7, 256), 32),
        ("conv 256-256 at 3", conv(256, 3, 256), 128),
    ]
}

struct Report {
    wanted: Vec<String>,
    peak: f64,
}

impl Report {
    fn time(&self, name: &str, (images, flop): (usize, f64), once: impl FnMut()) {
        if self.wanted.is_empty() || self.wanted.iter().any(|wanted| name.contains(wanted)) {
            let rate = flop_rate(flop, once);
            let micros = flop / rate / 1e3 / images as f64;
            println!("{name:40} {micros:10.1} {rate:9.0} {:6.0}%", 100.0 * rate / self.peak);
        }
    }
}

/// Median GFLOP/s.
fn flop_rate(flop: f64, mut once: impl FnMut()) -> f64 {
    once();
    let (begin, mut times) = (Instant::now(), Vec::new());
    while times.len() < 5 || begin.elapsed().as_secs_f64() < SECONDS {
        let start = Instant::now();
        once();
        times.push(start.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    flop / times[times.len() / 2] / 1e9
}

fn noise(seed: u32, count: usize) -> Buffer {
    let mut state = seed | 1;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

fn convolution(report: &Report, tier: Tier, (name, sizes, images): (&str, Convolution, usize)) {
    let flop = 2.0 * (sizes.weights() * sizes.output.plane() * images) as f64;
    let (input, weights) = (noise(1, sizes.input.len() * images), noise(2, sizes.weights()));
    let mut output = noise(3, sizes.output.len() * images);
    let mut gradient = Buffer::zeros(input.len());
    let bias = Buffer::zeros(blocks(sizes.output.channels) * WIDTH);
    for (algorithm, conv) in [("direct", Some(Conv::direct(sizes))), ("winograd", Conv::winograd(sizes))] {
        let Some(conv) = conv else { continue };
        let (mut filters, mut adjoint) = (Buffer::zeros(conv.packed_len()), Buffer::zeros(conv.adjoint_len()));
        conv.pack(tier, &weights, &mut filters);
        conv.pack_adjoint(tier, &weights, &mut adjoint);
        let (mut workspace, mut to_filters) = (Buffer::zeros(conv.workspace_len()), Buffer::zeros(conv.gradient_len()));
        let applied = Applied { filters: &filters, bias: &bias, finish: Finish { rectify: true, pool: false } };
        report.time(&format!("{name} {algorithm} forward"), (images, flop), || {
            conv.forward(tier, Images { input: &input, output: &mut output }, applied, &mut workspace);
        });
        report.time(&format!("{name} {algorithm} backward"), (images, 2.0 * flop), || {
            let to_input = Some((&adjoint[..], &mut gradient[..]));
            let (to_filters, workspace) = (&mut to_filters[..], &mut workspace[..]);
            conv.backward(tier, Gradients { input: &input, output: &output, to_input, to_filters, add: true, workspace });
        });
    }
}

fn dense(report: &Report, tier: Tier, (outputs, inputs, batch): (usize, usize, usize)) {
    let name = format!("dense {inputs}-{outputs}, batch {batch}");
    let flop = 2.0 * (outputs * inputs * batch) as f64;
    let (panels, team, padded) = (Panels { inputs, outputs }, Team::new(1), outputs.next_multiple_of(WIDTH));
    let mut input: Buffer = noise(1, inputs * batch).iter().map(|x| x.max(0.0)).collect();
    let (weights, bias, mut output) = (noise(2, panels.weights()), Buffer::zeros(padded), Buffer::zeros(padded * batch));
    let halves: Buffer<f16> = weights.iter().copied().map(f16::from_f32).collect();
    let mut places = Places::default();
    for (precision, weights) in [("f32", Weights::Full(&weights)), ("f16", Weights::Half(&halves))] {
        report.time(&format!("{name} {precision} evaluation"), (batch, flop), || {
            places.find(&input[..inputs]);
            let rows = Rows { values: &input, images: batch, stride: inputs, places: (batch == 1).then_some(&places) };
            let layer = Layer { weights, bias: &bias, rectify: true };
            panels.forward(Crew { tier, team: &team }, layer, rows, Results { values: &mut output, stride: padded });
        });
    }
    let (batch, dense) = (batch.next_multiple_of(WIDTH), Dense { blocks: inputs / WIDTH, outputs });
    let (mut weights, mut momentum) = (noise(3, dense.weights()), Buffer::zeros(dense.weights()));
    input.resize(inputs * batch);
    let (mut output, mut to_input) = (noise(4, outputs * batch), Buffer::zeros(inputs * batch));
    report.time(&format!("{name} step forward"), (batch, 2.0 * (outputs * inputs * batch) as f64), || {
        tier.run(Forward { dense, weights: &weights, bias: None, input: &input, batch, first: 0, output: &mut output });
    });
    let sgd = Sgd { learning_rate: 1e-9, momentum: 0.9, nesterov: true, weight_decay: 5e-4 };
    report.time(&format!("{name} step backward"), (batch, 4.0 * (outputs * inputs * batch) as f64), || {
        let (gradient, input, to_input) = (&output[..], &input[..], Some(&mut to_input[..]));
        let apply = BySgd { sgd, weights: &mut weights, momentum: &mut momentum };
        tier.run(Backward { dense, batch, gradient, input, to_input, apply });
    });
}

/// Multiply-adds of sixteen chains on registers.
struct Peak;

impl Peak {
    const CHAINS: usize = 12;
    const STEPS: usize = 20_000;
    const PRODUCTS: usize = Self::CHAINS * Self::STEPS * WIDTH;
}

impl Kernel for Peak {
    type Output = [f32; WIDTH];

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) -> [f32; WIDTH] {
        let mut chains: [L::V; Self::CHAINS] = std::array::from_fn(|at| l.splat(at as f32));
        let (a, b) = (l.splat(black_box(0.999)), l.splat(black_box(0.001)));
        for _ in 0..Self::STEPS {
            for chain in &mut chains {
                *chain = l.mul_add(*chain, a, b);
            }
        }
        let mut sum = [0.0; WIDTH];
        l.write(&mut sum, chains.into_iter().reduce(|a, b| l.add(a, b)).unwrap_or(a));
        sum
    }
}
