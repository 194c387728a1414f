//! The models inside the program, so that it classifies in an empty folder. A model is added by its file under `models/`
//! and one line here.

/// Name and file of each.
pub const MODELS: &[(&str, &[u8])] = &[("tutorial", include_bytes!("../../models/tutorial.safetensors"))];

/// The file of the embedded model called `name`.
pub fn named(name: &str) -> Option<&'static [u8]> {
    MODELS.iter().find(|(model, _)| *model == name).map(|&(_, bytes)| bytes)
}

#[cfg(test)]
mod tests {
    use crate::checkpoint::{read, store};

    #[test]
    fn every_embedded_model_is_whole_and_called_by_its_name() {
        for (name, bytes) in super::MODELS {
            store::check_name(name).unwrap();
            assert_eq!(read(bytes).unwrap().metadata().name, *name);
        }
    }
}
