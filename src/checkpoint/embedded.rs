//! The models inside the program, so that it classifies in an empty folder. A model is added by its file under `models/`
//! and its name here.

/// Each name with its file.
macro_rules! bundled {
    [$($name:literal),+] => { &[$(($name, include_bytes!(concat!("../../models/", $name, ".safetensors")))),+] };
}

/// Name and file of each. A `static`: of a constant every part of the program that names it would carry its own copy.
pub static MODELS: &[(&str, &[u8])] = bundled!["tutorial", "speedrun", "accurate"];

/// The file of the embedded model called `name`.
pub fn named(name: &str) -> Option<&'static [u8]> {
    MODELS.iter().find(|(model, _)| *model == name).map(|&(_, bytes)| bytes)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::checkpoint::{Dtype, read, store, write};

    #[test]
    fn every_embedded_model_is_whole_and_called_by_its_name() {
        for (name, bytes) in super::MODELS {
            store::check_name(name).unwrap();
            assert_eq!(read(bytes).unwrap().metadata().name, *name);
        }
    }

    #[test]
    fn every_embedded_model_says_what_is_to_be_known_of_it() {
        for (name, bytes) in super::MODELS {
            let model = read(bytes).unwrap();
            let metadata = model.metadata();
            let accuracy = metadata.accuracy.unwrap();
            assert!(accuracy.images == 10_000 && (0.5..1.0).contains(&accuracy.accuracy), "{name}: {accuracy:?}");
            assert!(["conv1", "conv2"].iter().all(|layer| metadata.architecture.position(layer).is_some()), "{name}");
            assert_eq!(metadata.classes.iter().collect::<BTreeSet<_>>().len(), metadata.classes.len(), "{name}");
            assert!(metadata.recipe.as_ref().is_some_and(|recipe| recipe.get("seed").is_some()), "{name}");
            assert!(metadata.created_by.starts_with("convscope "), "{name}");
            // Released models are stored as F16: nothing of them is lost when they are written so.
            assert!(write(&model, Dtype::F16).len().abs_diff(bytes.len()) < 4096, "{name}: {} bytes", bytes.len());
            // Their probabilities mean something, and they know what is like nothing they were shown.
            let measured = &metadata.measured;
            assert!(measured.temperature.is_some() && metadata.familiarity.is_some(), "{name}");
            assert!(measured.expected_calibration_error.is_some_and(|error| (0.0..0.015).contains(&error)), "{name}");
            assert_eq!(measured.accuracy_by_class.len(), metadata.classes.len(), "{name}");
            let images: usize = measured.accuracy_by_class.iter().map(|of| of.images).sum();
            assert_eq!(images, accuracy.images, "{name}");
        }
    }
}
