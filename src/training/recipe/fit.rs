//! A recipe and the network it is for.

use super::{Recipe, ScheduleKind};
use crate::network::shape::{LayerShape, Source};
use crate::network::{Architecture, LayerKind, Preprocessing, infer, temper};
use crate::training::error::Error;

impl Recipe {
    /// The network to train: `architecture` with this recipe's dropout. What is stored keeps its own.
    pub fn prepare(&self, architecture: &Architecture) -> Result<Architecture, Error> {
        Preprocessing::unit(architecture.input).check(architecture.input)?;
        let layers = infer(architecture)?;
        let mut faults = Vec::new();
        let mut prepared = architecture.clone();
        for (name, &p) in &self.dropout {
            match prepared.layers.iter_mut().find(|layer| layer.name == *name).map(|layer| &mut layer.kind) {
                Some(LayerKind::Dropout(dropout)) => dropout.p = p,
                _ => faults.push(format!("`dropout.{name}`: `{}` has no dropout layer of this name", architecture.name)),
            }
        }
        let side = architecture.input.height.min(architecture.input.width);
        if self.augmentation.crop_padding >= side {
            faults.push(format!("`augmentation.crop_padding` must be below {side}, the side of the network's images"));
        }
        if self.augmentation.cutout > side {
            faults.push(format!("`augmentation.cutout` must be at most {side}, the side of the network's images"));
        }
        faults.extend(self.group_faults(&layers));
        faults.extend(self.whitening_fault(architecture, &layers));
        if self.calibrate
            && let Err(fault) = temper::head(architecture, &layers)
        {
            faults.push(format!("`calibrate`: {fault}"));
        }
        if self.schedule != ScheduleKind::Step && !self.milestones.is_empty() {
            faults.push("`milestones` are a step schedule's: let `schedule` be `step`, or leave them out".into());
        }
        if faults.is_empty() { Ok(prepared) } else { Err(Error::Recipe(faults)) }
    }

    fn whitening_fault(&self, architecture: &Architecture, layers: &[LayerShape]) -> Option<String> {
        if !self.whitening {
            return None;
        }
        match (&architecture.layers[0].kind, &layers[0]) {
            (LayerKind::Conv2d(conv), shape) if shape.sources == [Source::Image] && conv.groups == 1 => {
                let most = 2 * architecture.input.channels * conv.kernel_size * conv.kernel_size;
                let fits = conv.out_channels.is_multiple_of(2) && conv.out_channels <= most && conv.dilation == 1;
                (!fits).then(|| {
                    format!(
                        "`whitening` makes pairs of filters: `{}` must have an even number of `out_channels`, at most {most}, and no \
                         dilation",
                        shape.name
                    )
                })
            }
            _ => Some("`whitening` needs a network whose first layer is a convolution of the image, without groups".into()),
        }
    }
}
