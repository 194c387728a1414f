//! A convolution's three passes, by whichever algorithm suits its sizes.

use super::Convolution;
use super::direct::{self, Direct};
use super::part::{Finish, Output, Part, Shared, Split};
use super::winograd::{self, Winograd};
use crate::kernels::team::Team;
use crate::kernels::tier::Tier;

/// Fewer channels than this on either side and Winograd's transforms cost more than its products save.
const WORTH_TRANSFORMING: usize = 16;
/// Parts that one image's result is computed in, for each thread: some, so that a thread that comes late takes fewer.
const PARTS_A_THREAD: usize = 2;

/// A convolution that is ready to run: sizes, algorithm, order of its filters.
#[derive(Debug, Clone)]
pub struct Conv {
    sizes: Convolution,
    algorithm: Algorithm,
}

#[derive(Debug, Clone)]
enum Algorithm {
    Winograd(Winograd),
    Direct { forward: Box<Direct>, adjoint: Box<Direct> },
}

/// What a convolution multiplies with, and what happens to the result.
#[derive(Clone, Copy)]
pub struct Applied<'a> {
    /// By [`Conv::pack`].
    pub filters: &'a [f32],
    /// One number a channel, filled up to a block with zeros.
    pub bias: &'a [f32],
    /// On the way out.
    pub finish: Finish,
}

/// What the backward pass reads and where its results go.
pub struct Gradients<'a> {
    /// What the forward pass read.
    pub input: &'a [f32],
    /// Gradient of what it wrote.
    pub output: &'a [f32],
    /// Filters by [`Conv::pack_adjoint`], and where the input's gradient goes (overwritten); none where nobody wants it.
    pub to_input: Option<(&'a [f32], &'a mut [f32])>,
    /// [`Conv::gradient_len`] floats, added to.
    pub to_filters: &'a mut [f32],
    /// [`Conv::workspace_len`] floats.
    pub workspace: &'a mut [f32],
}

impl Conv {
    /// Chooses an algorithm.
    pub fn new(sizes: Convolution) -> Self {
        let channels = sizes.input.channels.min(sizes.output.channels);
        match Winograd::new(sizes) {
            Some(winograd) if channels >= WORTH_TRANSFORMING => Self { sizes, algorithm: Algorithm::Winograd(winograd) },
            _ => Self::direct(sizes),
        }
    }

    /// Without Winograd.
    pub fn direct(sizes: Convolution) -> Self {
        let (forward, adjoint) = (Box::new(Direct::forward(sizes)), Box::new(Direct::adjoint(sizes)));
        Self { sizes, algorithm: Algorithm::Direct { forward, adjoint } }
    }

    /// Its sizes.
    pub fn sizes(&self) -> &Convolution {
        &self.sizes
    }

    /// Images to be given at a time so that registers are full.
    pub fn images_at_a_time(&self) -> usize {
        match &self.algorithm {
            Algorithm::Winograd(winograd) => winograd.images_a_block(),
            Algorithm::Direct { .. } => 1,
        }
    }

    /// Floats of filters packed for the forward pass.
    pub fn packed_len(&self) -> usize {
        match &self.algorithm {
            Algorithm::Winograd(winograd) => winograd.filters(),
            Algorithm::Direct { forward, .. } => forward.filters(),
        }
    }

    /// Floats of filters packed for the backward pass.
    pub fn adjoint_len(&self) -> usize {
        match &self.algorithm {
            Algorithm::Winograd(winograd) => winograd.filters(),
            Algorithm::Direct { adjoint, .. } => adjoint.filters(),
        }
    }

    /// Floats of the filters' gradient before [`Conv::unpack`].
    pub fn gradient_len(&self) -> usize {
        match &self.algorithm {
            Algorithm::Winograd(winograd) => winograd.gradient(),
            Algorithm::Direct { forward, .. } => forward.filters(),
        }
    }

    /// Floats that a thread computes in.
    pub fn workspace_len(&self) -> usize {
        match &self.algorithm {
            Algorithm::Winograd(winograd) => winograd.workspace(),
            Algorithm::Direct { forward, adjoint } => forward.workspace().max(adjoint.workspace()),
        }
    }

    /// Orders filters (`[out, in / groups, k, k]`) for [`Conv::forward`].
    pub fn pack(&self, tier: Tier, weights: &[f32], to: &mut [f32]) {
        match &self.algorithm {
            Algorithm::Winograd(winograd) => tier.run(winograd::Pack { winograd, weights, adjoint: false, to }),
            Algorithm::Direct { forward, .. } => direct::Pack { direct: forward, weights, to }.run(),
        }
    }

    /// Orders filters for [`Conv::backward`].
    pub fn pack_adjoint(&self, tier: Tier, weights: &[f32], to: &mut [f32]) {
        match &self.algorithm {
            Algorithm::Winograd(winograd) => tier.run(winograd::Pack { winograd, weights, adjoint: true, to }),
            Algorithm::Direct { adjoint, .. } => direct::Pack { direct: adjoint, weights, to }.run(),
        }
    }

    /// Adds what [`Conv::backward`] gathered to the filters' gradient (`[out, in / groups, k, k]`).
    pub fn unpack(&self, tier: Tier, packed: &[f32], weights: &mut [f32]) {
        match &self.algorithm {
            Algorithm::Winograd(winograd) => tier.run(winograd::Unpack { winograd, points: packed, weights }),
            Algorithm::Direct { forward, .. } => direct::Unpack { direct: forward, packed, weights }.run(),
        }
    }

    /// Whether the maxima of 2×2 squares can be written in place of the result: see [`Finish::pool`].
    pub fn pools(&self) -> bool {
        matches!(self.algorithm, Algorithm::Winograd(_))
    }

    /// Convolves images.
    pub fn forward(&self, tier: Tier, (input, output): (&[f32], &mut [f32]), applied: Applied<'_>, workspace: &mut [f32]) {
        self.part(tier, (input, Output::new(output)), (applied, &Part::whole(self.sizes.output)), workspace);
    }

    /// Convolves images with all of `team` on each; `workspaces` are one a thread, of [`Conv::workspace_len`] floats.
    pub fn forward_together<W: AsMut<[f32]> + Send>(
        &self,
        (tier, team): (Tier, &Team),
        (input, output): (&[f32], &mut [f32]),
        applied: Applied<'_>,
        workspaces: &mut [W],
    ) {
        let units = match &self.algorithm {
            Algorithm::Winograd(_) => (winograd::STEP, winograd::CHUNK),
            Algorithm::Direct { .. } => (1, 2),
        };
        let split = Split::new(self.sizes.output, PARTS_A_THREAD * team.size(), units);
        // SAFETY: parts do not overlap, and a convolution writes no float outside its part: a pooled one neither, since its
        // rows begin at whole tiles.
        let shared = unsafe { Shared::new(output, split.count()) };
        team.split(&shared, workspaces, |at, output, workspace| {
            self.part(tier, (input, output), (applied, &split.part(at)), workspace.as_mut());
        });
    }

    fn part(
        &self,
        tier: Tier,
        (input, output): (&[f32], Output<'_>),
        (applied, part): (Applied<'_>, &Part),
        workspace: &mut [f32],
    ) {
        let Applied { filters, bias, finish } = applied;
        match &self.algorithm {
            Algorithm::Winograd(winograd) => {
                tier.run(winograd::Forward { winograd, input, filters, bias, output, part, finish, workspace });
            }
            Algorithm::Direct { forward, .. } => {
                assert!(!finish.pool, "a direct convolution does not pool");
                let (direct, bias, rectify) = (forward, Some(bias), finish.rectify);
                tier.run(direct::Forward { direct, input, filters, bias, output, part, rectify, workspace });
            }
        }
    }

    /// Gradients of images. (The bias's is a sum over [`Gradients::output`].)
    pub fn backward(&self, tier: Tier, gradients: Gradients<'_>) {
        let Gradients { input, output: gradient, to_input, to_filters, workspace } = gradients;
        match &self.algorithm {
            Algorithm::Winograd(winograd) => {
                tier.run(winograd::Backward { winograd, input, gradient, to_input, to_filters, workspace });
            }
            Algorithm::Direct { forward, adjoint } => {
                tier.run(direct::Backward { direct: forward, input, gradient, to_filters, workspace });
                if let Some((filters, output)) = to_input {
                    let (part, output) = (&Part::whole(self.sizes.input), Output::new(output));
                    let (direct, input, bias, rectify) = (adjoint, gradient, None, false);
                    tier.run(direct::Forward { direct, input, filters, bias, output, part, rectify, workspace });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::blocked::{Maps, blocks};
    use crate::kernels::lanes::WIDTH;

    fn noise(n: usize, seed: u32) -> Vec<f32> {
        let mut s = seed;
        (0..n)
            .map(|_| {
                s = s.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (s >> 8) as f32 / 8_388_608.0 - 1.0
            })
            .collect()
    }

    struct Case {
        c: Convolution,
        x: Vec<f32>,
        w: Vec<f32>,
        b: Vec<f32>,
        g: Vec<f32>,
        n: usize,
    }
    fn each(case: &Case, mut f: impl FnMut(usize, usize, usize)) {
        let c = &case.c;
        let (i, o) = (c.input, c.output);
        let opg = o.channels / c.groups;
        for n in 0..case.n {
            for oc in 0..o.channels {
                for y in 0..o.height {
                    for x in 0..o.width {
                        for ic in 0..c.seen() {
                            for ky in 0..c.kernel {
                                for kx in 0..c.kernel {
                                    let (yy, xx) =
                                        ((y * c.stride + ky).wrapping_sub(c.padding), (x * c.stride + kx).wrapping_sub(c.padding));
                                    if yy < i.height && xx < i.width {
                                        let icc = oc / opg * c.seen() + ic;
                                        f(
                                            ((n * o.channels + oc) * o.height + y) * o.width + x,
                                            ((n * i.channels + icc) * i.height + yy) * i.width + xx,
                                            ((oc * c.seen() + ic) * c.kernel + ky) * c.kernel + kx,
                                        );
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
    fn block(m: Maps, n: usize, x: &[f32]) -> Vec<f32> {
        let mut out = vec![0.0; n * m.len()];
        for i in 0..n {
            m.block(&x[i * m.channels * m.plane()..][..m.channels * m.plane()], &mut out[i * m.len()..][..m.len()]);
        }
        out
    }
    fn unblock(m: Maps, n: usize, x: &[f32]) -> Vec<f32> {
        let l = m.channels * m.plane();
        let mut out = vec![0.0; n * l];
        for i in 0..n {
            m.unblock(&x[i * m.len()..][..m.len()], &mut out[i * l..][..l]);
        }
        out
    }
    fn close(what: &str, got: &[f32], want: &[f64]) {
        let rms = (want.iter().map(|x| x * x).sum::<f64>() / want.len() as f64).sqrt();
        let err = got.iter().zip(want).map(|(&a, &b)| (a as f64 - b).abs()).fold(0.0, f64::max);
        assert!(err <= 3e-5 * rms, "{what}: {err} of {rms}");
    }

    #[test]
    fn three_passes() {
        for (i, (ci, co, k, s, p, g, h, wd)) in [
            (3, 32, 3, 1, 1, 1, 9, 11),
            (32, 32, 3, 1, 1, 1, 8, 8),
            (32, 48, 3, 1, 0, 1, 9, 7),
            (17, 33, 3, 1, 2, 1, 5, 13),
            (64, 80, 3, 1, 1, 1, 3, 3),
            (8, 24, 5, 2, 2, 2, 11, 10),
            (6, 6, 3, 2, 1, 6, 8, 9),
            (40, 20, 1, 1, 0, 4, 5, 5),
            (20, 20, 1, 2, 1, 1, 5, 5),
            (16, 32, 4, 3, 2, 1, 9, 8),
            (128, 256, 3, 1, 1, 1, 7, 7),
        ]
        .into_iter()
        .enumerate()
        {
            let c = Convolution::new(Maps { channels: ci, height: h, width: wd }, co, k).window(s, p).grouped(g);
            let n = 3;
            let case = Case {
                c,
                n,
                x: noise(n * ci * h * wd, 1),
                w: noise(c.weights(), 2),
                b: noise(co, 3),
                g: noise(n * co * c.output.plane(), 4),
            };
            let mut y: Vec<f64> =
                case.b.iter().cycle().take(n * co).flat_map(|&b| std::iter::repeat_n(b as f64, c.output.plane())).collect();
            let (mut dx, mut dw) = (vec![0f64; case.x.len()], vec![0f64; case.w.len()]);
            each(&case, |o, i, w| {
                y[o] += case.x[i] as f64 * case.w[w] as f64;
                dx[i] += case.g[o] as f64 * case.w[w] as f64;
                dw[w] += case.g[o] as f64 * case.x[i] as f64;
            });
            for tier in Tier::all() {
                for conv in [Conv::new(c), Conv::direct(c)] {
                    let what = format!("case {i} {tier} {conv:?}").chars().take(60).collect::<String>();
                    let (mut f, mut a, mut dp) =
                        (vec![f32::NAN; conv.packed_len()], vec![f32::NAN; conv.adjoint_len()], vec![0.0; conv.gradient_len()]);
                    let mut ws = vec![f32::NAN; conv.workspace_len()];
                    conv.pack(tier, &case.w, &mut f);
                    conv.pack_adjoint(tier, &case.w, &mut a);
                    let mut b = case.b.clone();
                    b.resize(blocks(co) * WIDTH, 0.0);
                    let x = block(c.input, n, &case.x);
                    let mut out = vec![f32::NAN; n * c.output.len()];
                    conv.forward(tier, (&x, &mut out), Applied { filters: &f, bias: &b, finish: Finish::default() }, &mut ws);
                    close(&format!("{what} y"), &unblock(c.output, n, &out), &y);
                    let g = block(c.output, n, &case.g);
                    let mut gx = vec![f32::NAN; x.len()];
                    conv.backward(
                        tier,
                        Gradients { input: &x, output: &g, to_input: Some((&a, &mut gx)), to_filters: &mut dp, workspace: &mut ws },
                    );
                    close(&format!("{what} dx"), &unblock(c.input, n, &gx), &dx);
                    assert!(gx.iter().all(|x| x.is_finite()));
                    let mut gw = vec![0.0; case.w.len()];
                    conv.unpack(tier, &dp, &mut gw);
                    close(&format!("{what} dw"), &gw, &dw);
                }
            }
        }
    }
}
