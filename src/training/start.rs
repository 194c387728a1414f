//! What a run starts from: the recipe's initialisation, and what it takes from the training images.

use super::error::Error;
use super::recipe::Recipe;
use crate::dataset::{TrainSet, shuffle};
use crate::network::parameters::whitening;
use crate::network::{LayerShape, Preprocessing, Shape, Weights, init};

/// Images whose patches are measured at most, and patches.
const IMAGES: usize = 5_000;
const PATCHES: usize = 5_000_000;

/// The images that a network starts from.
#[derive(Clone, Copy)]
pub(super) struct Seen<'a> {
    pub(super) images: &'a TrainSet,
    pub(super) preprocessing: &'a Preprocessing,
}

/// The first parameters of a network of these `layers`.
pub(super) fn weights(recipe: &Recipe, layers: &[LayerShape], seen: Seen<'_>) -> Result<Weights, Error> {
    let mut weights = init::weights(layers, recipe.init(), recipe.seed);
    if recipe.dirac {
        init::dirac(layers, &mut weights);
    }
    if recipe.whitening {
        // `Recipe::prepare` has asked for a first convolution that this fits.
        let name = &layers[0].parameters[0].name;
        let side = layers[0].parameters[0].shape[3];
        let covariance = covariance(recipe.seed, side, layers[0].input, seen)?;
        if let Some(filters) = weights.iter_mut().find(|parameter| parameter.name == *name) {
            let out = filters.shape[0];
            filters.values = whitening::filters(&covariance, out, recipe.whitening_eps);
        }
    }
    Ok(weights)
}

/// Mean products of the numbers of a patch (channel × `side` × `side`) over patches of training images, normalised as the network
/// sees them: of a random part where there are many, since a folder's images come class by class.
fn covariance(seed: u64, side: usize, input: Shape, seen: Seen<'_>) -> Result<Vec<f64>, Error> {
    let Shape::Map { channels, height, width } = input else { unreachable!("a convolution reads maps") };
    let (down, right) = (height - side + 1, width - side + 1);
    let count = (PATCHES / (down * right)).clamp(1, IMAGES).min(seen.images.len());
    let offsets: Vec<usize> = (0..channels)
        .flat_map(|channel| (0..side * side).map(move |at| (channel * height + at / side) * width + at % side))
        .collect();
    let numbers = offsets.len();
    let mut sums = vec![0.0; numbers * numbers];
    let mut image = Vec::new();
    for &index in &shuffle::order(seed, 0, seen.images.len())[..count] {
        image.clear();
        seen.preprocessing.normalize(&seen.images.image(index as usize), &mut image)?;
        for a in 0..numbers {
            for b in a..numbers {
                let mut sum = 0.0;
                for row in 0..down {
                    let line = |offset: usize| &image[offset + row * width..][..right];
                    let products = line(offsets[a]).iter().zip(line(offsets[b])).map(|(x, y)| f64::from(*x) * f64::from(*y));
                    sum += products.sum::<f64>();
                }
                sums[a * numbers + b] += sum;
            }
        }
    }
    let patches = (count * down * right) as f64;
    for a in 0..numbers {
        for b in 0..a {
            sums[a * numbers + b] = sums[b * numbers + a];
        }
    }
    Ok(sums.into_iter().map(|sum| sum / patches).collect())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::dataset::{self, Reading, Rules};
    use crate::network::{Architecture, infer};

    const NETWORK: &str = "name = 'x'\ninput = { channels = 3, height = 32, width = 32 }\nlayers = [
        { name = 'whiten', kind = 'conv2d', out_channels = 24, kernel_size = 2 }, { name = 'a', kind = 'gelu' },
        { name = 'conv', kind = 'conv2d', out_channels = 30, kernel_size = 3, padding = 1, bias = false },
        { name = 'f', kind = 'flatten' }, { name = 'l', kind = 'linear', out_features = 10 }]";

    /// What the filters make of the patches they were measured on has no correlations, and deviations of about 1.
    #[test]
    fn a_whitening_convolution_whitens_the_patches_of_real_images() {
        let architecture = Architecture::from_toml(NETWORK).unwrap();
        let layers = infer(&architecture).unwrap();
        let recipe = Recipe::from_toml("whitening = true\ndirac = true\ninit = 'pytorch'").unwrap();
        recipe.prepare(&architecture).unwrap();
        let preprocessing = Preprocessing::unit(architecture.input);
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/cifar-10-batches-bin");
        let reading = Reading { seed: 0, target: preprocessing.target(), rules: Rules::default() };
        let set = dataset::open_at(&path, &reading).unwrap();
        let seen = Seen { images: &set.train, preprocessing: &preprocessing };
        let weights = weights(&recipe, &layers, seen).unwrap();
        let filters = &weights.get("whiten.weight").unwrap().values;
        let covariance = covariance(recipe.seed, 2, layers[0].input, seen).unwrap();
        let response = |a: usize, b: usize| -> f64 {
            (0..144).map(|at| f64::from(filters[a * 12 + at / 12]) * covariance[at] * f64::from(filters[b * 12 + at % 12])).sum()
        };
        for (a, b) in (0..12).flat_map(|a| (0..12).map(move |b| (a, b))) {
            let found = response(a, b);
            assert!(if a == b { found > 0.0 && found < 1.0 + 1e-5 } else { found.abs() < 1e-4 }, "{a} {b}: {found}");
        }
        assert!(response(0, 0) > 0.999, "the strongest direction is far above what is added to it");
        assert!(filters[..144].iter().zip(&filters[144..]).all(|(a, b)| a == &-b));
        // The identity on the first 24 filters, the others as they were.
        let conv = &weights.get("conv.weight").unwrap().values;
        let plain = init::weights(&layers, recipe.init(), recipe.seed);
        assert!((0..24 * 216).all(|at| conv[at] == if at % 216 == at / 216 * 9 + 4 { 1.0 } else { 0.0 }));
        assert_eq!(conv[24 * 216..], plain.get("conv.weight").unwrap().values[24 * 216..]);
    }

    #[test]
    fn networks_without_a_first_convolution_are_not_whitened() {
        let refusal = |network: &str| {
            let recipe = Recipe::from_toml("whitening = true").unwrap();
            recipe.prepare(&Architecture::from_toml(network).unwrap()).unwrap_err().to_string()
        };
        let odd = NETWORK.replace("out_channels = 24", "out_channels = 26");
        assert!(refusal(&odd).contains("`whiten` must have an even number of `out_channels`, at most 24"), "{}", refusal(&odd));
        let start = NETWORK.replace("{ name = 'whiten', kind = 'conv2d', out_channels = 24, kernel_size = 2 },", "");
        assert!(refusal(&start).contains("first layer is a convolution"), "{}", refusal(&start));
    }
}
