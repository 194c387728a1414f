//! Looking at layers and switching channels off, while a program of unfused layers runs.

use crate::kernels::blocked::Maps;
use crate::kernels::lanes::WIDTH;
use crate::network::probe::{Probe, Tap};
use crate::network::shape::LayerShape;

/// A probe, and what it has seen.
pub(super) struct Sight<'a> {
    probe: &'a Probe,
    /// Images.
    pub(super) batch: usize,
    pub(super) taps: Vec<Tap>,
}

impl<'a> Sight<'a> {
    pub(super) fn new(probe: &'a Probe, layers: &[LayerShape], batch: usize) -> Self {
        let tap = |&layer: &usize| {
            let shape = layers[layer].output;
            Tap { layer, shape, values: vec![0.0; batch * shape.elements()] }
        };
        Self { taps: probe.taps.iter().map(tap).collect(), batch, probe }
    }

    /// Whether there is anything to look at.
    pub(super) fn is_open(&self) -> bool {
        !self.probe.is_empty()
    }

    /// The part of each tap on `layer` that is the image at `image`.
    fn tapped(&mut self, layer: usize, image: usize) -> impl Iterator<Item = &mut [f32]> {
        self.taps.iter_mut().filter(move |tap| tap.layer == layer).map(move |tap| {
            let len = tap.shape.elements();
            &mut tap.values[image * len..][..len]
        })
    }

    /// One image's feature maps are there, and may be changed.
    pub(super) fn maps(&mut self, layer: usize, image: usize, maps: Maps, values: &mut [f32]) {
        for channel in self.probe.masks_of(layer, image) {
            let plane = &mut values[channel / WIDTH * maps.plane() * WIDTH..][..maps.plane() * WIDTH];
            plane.iter_mut().skip(channel % WIDTH).step_by(WIDTH).for_each(|x| *x = 0.0);
        }
        self.tapped(layer, image).for_each(|tap| maps.unblock(values, tap));
    }

    /// One image's vector is there, and may be changed; `place` says where a feature lies.
    pub(super) fn vector(&mut self, layer: usize, image: usize, place: impl Fn(usize) -> usize, values: &mut [f32]) {
        for feature in self.probe.masks_of(layer, image) {
            values[place(feature)] = 0.0;
        }
        for tap in self.tapped(layer, image) {
            tap.iter_mut().enumerate().for_each(|(feature, x)| *x = values[place(feature)]);
        }
    }
}
