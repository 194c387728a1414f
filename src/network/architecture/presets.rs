//! The networks that come with the program, each an architecture file like any user's: to be trained as they are, or to start from.

use crate::network::spec::Architecture;

const PRESETS: &[(&str, &str)] = &[
    ("tutorial", include_str!("presets/tutorial.toml")),
    ("speedrun", include_str!("presets/speedrun.toml")),
    ("accurate", include_str!("presets/accurate.toml")),
    ("lenet5", include_str!("presets/lenet5.toml")),
    ("vgg8", include_str!("presets/vgg8.toml")),
    ("resnet20", include_str!("presets/resnet20.toml")),
    ("separable", include_str!("presets/separable.toml")),
];

/// Names of the presets.
pub fn names() -> impl Iterator<Item = &'static str> {
    PRESETS.iter().map(|(name, _)| *name)
}

/// The file of the preset called `name`.
pub fn text(name: &str) -> Option<&'static str> {
    PRESETS.iter().find(|(preset, _)| *preset == name).map(|(_, text)| *text)
}

/// What the file of a preset says of it in its first lines.
pub fn about(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map_while(|line| line.strip_prefix('#')).map(str::trim).collect();
    lines.join(" ")
}

/// The preset called `name`.
pub fn named(name: &str) -> Option<Architecture> {
    // A preset is a file of this crate, and a test below reads every one.
    text(name).map(|text| Architecture::from_toml(text).unwrap_or_else(|e| unreachable!("preset {name}: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::infer;
    use crate::network::shape::Shape;

    #[test]
    fn every_preset_is_valid_and_called_by_its_name() {
        for name in names() {
            let preset = named(name).unwrap();
            assert_eq!(preset.name, name);
            infer(&preset).unwrap();
            assert!(["conv1", "conv2"].iter().all(|layer| preset.position(layer).is_some()), "{name}");
            assert!(about(text(name).unwrap()).ends_with('.'), "{name}");
        }
    }

    #[test]
    fn the_tutorial_is_the_published_network() {
        let layers = infer(&named("tutorial").unwrap()).unwrap();
        let names: Vec<_> = layers.iter().map(|layer| layer.name.as_str()).collect();
        assert_eq!(names, ["conv1", "act1", "drop1", "conv2", "act2", "pool2", "flat", "fc3", "act3", "drop3", "fc4"]);
        assert_eq!(layers[5].output, Shape::Map { channels: 32, height: 16, width: 16 });
        assert_eq!(layers[6].output, Shape::Vector(8192));
        let parameters: usize = layers.iter().map(crate::network::shape::LayerShape::parameter_count).sum();
        assert_eq!(parameters, 4_210_090);
        let multiply_adds: u64 = layers.iter().map(|layer| layer.multiply_adds).sum();
        assert_eq!(multiply_adds, 14_521_344);
    }
}
