//! A convolution's three passes, by whichever algorithm suits its sizes.

use super::Convolution;
use super::direct::{self, Direct};
use super::part::{Finish, Output, Part, Shared, Split};
use super::winograd::{self, Winograd};
use crate::kernels::crew::Crew;
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

/// Images in the blocked layout, and where what becomes of them goes: as many.
pub struct Images<'a> {
    /// Read.
    pub input: &'a [f32],
    /// Overwritten.
    pub output: &'a mut [f32],
}

/// A part of the result for one thread.
struct Piece<'a> {
    input: &'a [f32],
    output: Output<'a>,
    applied: Applied<'a>,
    part: &'a Part,
    workspace: &'a mut [f32],
}

/// What the backward pass reads and where its results go.
pub struct Gradients<'a> {
    /// What the forward pass read.
    pub input: &'a [f32],
    /// Gradient of what it wrote.
    pub output: &'a [f32],
    /// Filters by [`Conv::pack_adjoint`], and where the input's gradient goes (overwritten); none where nobody wants it.
    pub to_input: Option<(&'a [f32], &'a mut [f32])>,
    /// [`Conv::gradient_len`] floats.
    pub to_filters: &'a mut [f32],
    /// Whether they are added to; else overwritten.
    pub add: bool,
    /// [`Conv::workspace_len`] floats.
    pub workspace: &'a mut [f32],
}

impl Conv {
    /// Chooses an algorithm.
    pub fn new(sizes: Convolution) -> Self {
        let worth = sizes.input.channels.min(sizes.output.channels) >= WORTH_TRANSFORMING;
        worth.then(|| Self::winograd(sizes)).flatten().unwrap_or_else(|| Self::direct(sizes))
    }

    /// By Winograd, however few the channels; none where it does not apply.
    pub fn winograd(sizes: Convolution) -> Option<Self> {
        Winograd::new(sizes).map(|winograd| Self { sizes, algorithm: Algorithm::Winograd(winograd) })
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
            Algorithm::Winograd(winograd) => tier.run(winograd::Unpack { winograd, gathered: packed, weights }),
            Algorithm::Direct { forward, .. } => direct::Unpack { direct: forward, packed, weights }.run(),
        }
    }

    /// Whether the maxima of 2×2 squares can be written in place of the result: see [`Finish::pool`].
    pub fn pools(&self) -> bool {
        matches!(self.algorithm, Algorithm::Winograd(_))
    }

    /// Convolves images.
    pub fn forward(&self, tier: Tier, images: Images<'_>, applied: Applied<'_>, workspace: &mut [f32]) {
        let Images { input, output } = images;
        let (output, part) = (Output::new(output), &Part::whole(self.sizes.output));
        self.part(tier, Piece { input, output, applied, part, workspace });
    }

    /// Convolves images with all of the team on each; `workspaces` are one a thread, of [`Conv::workspace_len`] floats.
    pub fn forward_together<W: AsMut<[f32]> + Send>(
        &self,
        crew: Crew<'_>,
        images: Images<'_>,
        applied: Applied<'_>,
        workspaces: &mut [W],
    ) {
        let (Crew { tier, team }, Images { input, output }) = (crew, images);
        let units = match &self.algorithm {
            Algorithm::Winograd(_) => (winograd::STEP, winograd::PAIR),
            Algorithm::Direct { .. } => (1, 2),
        };
        let split = Split::new(self.sizes.output, PARTS_A_THREAD * team.size(), units);
        // SAFETY: parts do not overlap, and a convolution writes no float outside its part: a pooled one neither, since its
        // rows begin at whole tiles.
        let shared = unsafe { Shared::new(output, split.count()) };
        team.split(shared, workspaces, |at, output, workspace| {
            let (part, workspace) = (&split.part(at), workspace.as_mut());
            self.part(tier, Piece { input, output, applied, part, workspace });
        });
    }

    fn part(&self, tier: Tier, piece: Piece<'_>) {
        let Piece { input, output, applied: Applied { filters, bias, finish }, part, workspace } = piece;
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
        let Gradients { input, output: gradient, to_input, to_filters, add, workspace } = gradients;
        match &self.algorithm {
            Algorithm::Winograd(winograd) => {
                tier.run(winograd::Backward { winograd, input, gradient, to_input, to_filters, add, workspace });
            }
            Algorithm::Direct { forward, adjoint } => {
                if !add {
                    to_filters.fill(0.0);
                }
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
