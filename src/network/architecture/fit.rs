//! A layer list changed to what images are: its input, and how many scores it ends in. Everything between follows.

use super::infer::infer;
use super::spec::{Architecture, Input, LayerKind};
use crate::network::error::Error;

/// `architecture` for images of `input` in `classes` classes, and what was changed for that, in words.
///
/// # Errors
/// Where the list does not end in a linear layer, or is no network on such images.
pub fn fit(architecture: &Architecture, input: Input, classes: usize) -> Result<(Architecture, Vec<String>), Error> {
    let (mut fitted, mut changes) = (architecture.clone(), Vec::new());
    let shown = |input: Input| format!("{}×{}×{}", input.channels, input.height, input.width);
    if fitted.input != input {
        changes.push(format!("its input is {} in place of {}", shown(input), shown(fitted.input)));
        fitted.input = input;
    }
    let Some(last) = fitted.layers.last_mut() else { return Err(Error::Network("has no layers".into())) };
    let LayerKind::Linear(linear) = &mut last.kind else {
        let sentence =
            format!("ends in `{}` ({}), and only a linear layer can be fitted to the classes", last.name, last.kind.name());
        return Err(Error::Network(sentence));
    };
    if linear.out_features != classes {
        changes.push(format!("`{}` has `out_features = {classes}` in place of {}", last.name, linear.out_features));
        linear.out_features = classes;
    }
    infer(&fitted)?;
    Ok((fitted, changes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::presets;

    #[test]
    fn input_and_last_layer_are_fitted_and_said() {
        let lenet = presets::named("lenet5").unwrap();
        let (fitted, changes) = fit(&lenet, Input { channels: 1, height: 36, width: 40 }, 2).unwrap();
        assert_eq!(changes, ["its input is 1×36×40 in place of 3×32×32", "`fc5` has `out_features = 2` in place of 10"]);
        assert_eq!(infer(&fitted).unwrap().last().unwrap().output.elements(), 2);
        assert_eq!(fit(&lenet, lenet.input, 10).unwrap(), (lenet.clone(), vec![]));
        let small = fit(&lenet, Input { channels: 3, height: 8, width: 8 }, 2).unwrap_err().to_string();
        assert!(small.contains("`conv2`") && small.contains("does not fit 2×2 planes"), "{small}");
        let mut headless = lenet;
        headless.layers.pop();
        let message = fit(&headless, headless.input, 2).unwrap_err().to_string();
        assert!(message.contains("ends in `act4` (tanh)"), "{message}");
    }
}
