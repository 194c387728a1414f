//! A network's scores, all divided by one number, by dividing the weights that they come of: nothing that computes it has to know.

use super::weights::Weights;
use crate::network::error::Error;
use crate::network::shape::{LayerShape, Source};
use crate::network::spec::{Activation, Architecture, LayerKind};

/// The position of the layer whose weights and bias, divided by a number above 0, divide the scores by it: the last one, or an earlier
/// one where those after it pass a factor on.
///
/// # Errors
/// Names the layer that has none and passes none on.
pub fn head(architecture: &Architecture, layers: &[LayerShape]) -> Result<usize, Error> {
    let mut at = layers.len().saturating_sub(1);
    loop {
        let layer = &architecture.layers[at];
        let passes = match layer.kind {
            LayerKind::Linear(_) | LayerKind::Conv2d(_) => return Ok(at),
            LayerKind::Flatten
            | LayerKind::Dropout(_)
            | LayerKind::MaxPool2d(_)
            | LayerKind::AvgPool2d(_)
            | LayerKind::AdaptiveAvgPool2d(_)
            | LayerKind::Activation(Activation::Relu | Activation::LeakyRelu(_)) => true,
            _ => false,
        };
        match layers[at].sources[..] {
            [Source::Layer(before)] if passes => at = before,
            _ => {
                return Err(Error::Network(format!(
                    "has no last weights to divide by a temperature: `{}` stands between them and the scores; let it end with a linear layer",
                    layer.name
                )));
            }
        }
    }
}

/// Divides the scores of the network with these `layers` and `weights` by `temperature`, above 0.
///
/// # Errors
/// As [`head`].
pub fn divide(architecture: &Architecture, layers: &[LayerShape], weights: &mut Weights, temperature: f64) -> Result<(), Error> {
    let own = &layers[head(architecture, layers)?].parameters;
    for parameter in weights.iter_mut().filter(|parameter| own.iter().any(|spec| spec.name == parameter.name)) {
        parameter.values.iter_mut().for_each(|value| *value = (f64::from(*value) / temperature) as f32);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{infer, presets};

    fn head_of(layers: &str) -> Result<String, String> {
        let text = format!("name = 'n'\ninput = {{ channels = 3, height = 4, width = 4 }}\nlayers = [{layers}]");
        let architecture = Architecture::from_toml(&text).unwrap();
        let inferred = infer(&architecture).unwrap();
        head(&architecture, &inferred).map(|at| architecture.layers[at].name.clone()).map_err(|fault| fault.to_string())
    }

    #[test]
    fn the_layer_is_the_last_whose_factor_reaches_the_scores() {
        const CONV: &str = "{ name = 'c', kind = 'conv2d', out_channels = 2, kernel_size = 3 },";
        const FLAT: &str = "{ name = 'f', kind = 'flatten' },";
        for (layers, expected) in [
            (format!("{CONV}{FLAT}{{ name = 'l', kind = 'linear', out_features = 2 }}"), Ok("l")),
            (
                format!("{CONV}{{ name = 'r', kind = 'relu' }}, {{ name = 'p', kind = 'max_pool2d', kernel_size = 2 }}, {FLAT}"),
                Ok("c"),
            ),
            (format!("{CONV}{{ name = 'a', kind = 'adaptive_avg_pool2d', output_size = 1 }}, {FLAT}"), Ok("c")),
            (format!("{CONV}{{ name = 'g', kind = 'gelu' }}, {FLAT}"), Err("`g`")),
            (
                format!(
                    "{CONV}{{ name = 'd', kind = 'conv2d', from = 'input', out_channels = 2, kernel_size = 3 }}, {{ name = 's', kind = 'add', from = 'c' }}, {FLAT}"
                ),
                Err("`s`"),
            ),
            (FLAT.to_owned(), Err("`f`")),
        ] {
            match (head_of(&layers), expected) {
                (Ok(found), Ok(name)) => assert_eq!(found, name, "{layers}"),
                (Err(fault), Err(part)) => assert!(fault.contains(part) && fault.contains("linear"), "{fault}"),
                (found, _) => panic!("{layers}: {found:?}"),
            }
        }
    }

    #[test]
    fn every_preset_has_one() {
        for preset in presets::names().filter_map(presets::named) {
            head(&preset, &infer(&preset).unwrap()).unwrap();
        }
    }
}
