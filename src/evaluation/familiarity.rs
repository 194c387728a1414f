//! What a model needs to tell how familiar an image is, of the images it was trained and measured on.
//!
//! It does not know the network: what pictures are like, it looks at once for all epochs; what the model makes of them is in its
//! [`Report`].

use super::{Error, Report};
use crate::dataset::{Images, TestSet, TrainSet};
use crate::network::familiarity::{Familiarity, Gaussian, Moments, distance, picture};
use crate::network::{Preprocessing, spec::Input};

/// Training images that are looked at, evenly spread: so many tell their distribution as well as all.
const MOST: usize = 20_000;
/// Shares of [`picture::softened`]: a photograph that was enlarged or is out of focus is no stranger.
const SOFTENED: [f32; 3] = [0.0, 0.5, 1.0];

/// What the images of a dataset are like, before any network has seen them.
#[derive(Debug, Clone, PartialEq)]
pub struct Pictures {
    /// Of the training images, as they are and a little blurred.
    training: Gaussian,
    /// How far from them each test image is.
    distances: Vec<f64>,
}

impl Pictures {
    /// Looks at the images as `preprocessing` gives them to a network that takes `input`.
    ///
    /// # Errors
    /// Where the images are of another size.
    pub fn of(train: &TrainSet, test: &TestSet, preprocessing: &Preprocessing, input: Input) -> Result<Self, Error> {
        let mut moments = Moments::new(picture::count(input));
        let each = train.len().div_ceil(MOST).max(1);
        look(train, preprocessing, each, |image| {
            for share in SOFTENED {
                moments.add(&picture::statistics(&picture::softened(image, input, share), input));
            }
        })?;
        let training = moments.gaussian();
        let mut distances = Vec::with_capacity(test.len());
        look(test, preprocessing, 1, |image| distances.push(distance(&training, image, input)))?;
        Ok(Self { training, distances })
    }

    /// What the model needs whose `report` is of the same test images.
    pub fn familiarity(&self, report: &Report) -> Familiarity {
        Familiarity::new(self.training.clone(), &self.distances, &report.doubts)
    }
}

/// Shows every image whose number is a multiple of `each`.
fn look(images: &Images, preprocessing: &Preprocessing, each: usize, mut see: impl FnMut(&[f32])) -> Result<(), Error> {
    let mut input = Vec::new();
    for index in (0..images.len()).step_by(each) {
        input.clear();
        preprocessing.normalize(&images.image(index), &mut input)?;
        see(&input);
    }
    Ok(())
}
