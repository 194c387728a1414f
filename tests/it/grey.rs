//! Networks that look at grey images: trained, imported, served and shown; and those that look at what no image is, refused.

use std::ops::ControlFlow;
use std::path::Path;

use candle_core::Device;
use convscope::checkpoint::{self, Dtype};
use convscope::network::forward::{Forward, Mode, probabilities, tensors};
use convscope::network::init::{self, Init};
use convscope::network::{Architecture, DeviceChoice, Evaluator, Metadata, Model, Preprocessing, Probe, infer, model};
use convscope::picture::decode::{Limits, decode};
use convscope::picture::pixels::luma;
use convscope::training::event::Event;
use convscope::training::trainer::{Finish, Models, Output, Run, train};
use serde_json::json;

use crate::cli::convscope_in;
use crate::pictures::rgb_png;
use crate::support::{CLASSES, Server, horse};
use crate::training::{images, recipe};

/// A small network that looks at images of `channels`.
fn network(channels: usize) -> Architecture {
    let text = format!(
        "name = 'small{channels}'\ninput = {{ channels = {channels}, height = 32, width = 32 }}\n\
         [[layers]]\nname = 'conv1'\nkind = 'conv2d'\nout_channels = 8\nkernel_size = 3\npadding = 1\n\
         [[layers]]\nname = 'act1'\nkind = 'relu'\n\
         [[layers]]\nname = 'pool1'\nkind = 'max_pool2d'\nkernel_size = 4\n\
         [[layers]]\nname = 'flat'\nkind = 'flatten'\n\
         [[layers]]\nname = 'fc'\nkind = 'linear'\nout_features = 10\n"
    );
    Architecture::from_toml(&text).unwrap()
}

fn untrained(channels: usize) -> Result<Model, String> {
    let architecture = network(channels);
    let weights = init::weights(&infer(&architecture).unwrap(), Init::Pytorch, 3);
    let metadata = Metadata {
        format: model::FORMAT,
        name: architecture.name.clone(),
        preprocessing: Preprocessing::unit(architecture.input),
        architecture,
        classes: CLASSES.map(str::to_owned).to_vec(),
        accuracy: None,
        measured: model::Measured::default(),
        recipe: None,
        familiarity: None,
        created_by: model::created_by(),
    };
    Model::new(metadata, weights.iter().cloned().collect()).map_err(|error| error.to_string())
}

/// The horse as the luma of its pixels, by the definition.
fn grey_horse() -> Vec<u8> {
    let rgb = image::load_from_memory(&horse()).unwrap().into_rgb8();
    rgb.pixels().map(|pixel| luma(pixel.0)).collect()
}

fn close(got: &[f32], expected: &[f32]) {
    assert_eq!(got.len(), expected.len());
    assert!(got.iter().zip(expected).all(|(got, expected)| (got - expected).abs() <= 1e-5), "{got:?}\n{expected:?}");
}

/// From the file of an image to probabilities, against candle's forward of the luma or RGB computed here.
#[test]
fn every_channel_count_that_is_a_model_answers_as_the_reference_does() {
    let mut answered = Vec::new();
    for channels in 0..=5 {
        if channels == 0 {
            assert!(infer(&network(0)).is_err());
            continue;
        }
        let model = match untrained(channels) {
            Ok(model) => model,
            Err(said) => {
                assert!(said.contains(&format!("takes images of {channels} channels, and images have 1 (grey) or 3")), "{said}");
                continue;
            }
        };
        let preprocessing = &model.metadata().preprocessing;
        let picture = decode(&horse(), &preprocessing.target(), &Limits::default()).unwrap();
        let rgb = image::load_from_memory(&horse()).unwrap().into_rgb8().into_raw();
        let samples = if channels == 1 { grey_horse() } else { rgb };
        assert_eq!(picture.pixels.values(), samples);
        let planes: Vec<f32> = (0..channels)
            .flat_map(|channel| samples[channel..].iter().step_by(channels).map(|&value| f32::from(value) / 255.0))
            .collect();
        let network = Forward::new(
            &model.metadata().architecture,
            model.layers(),
            tensors(model.layers(), model.weights(), &Device::Cpu).unwrap(),
        );
        let pass = network.run(&network.images(&planes, &Device::Cpu).unwrap(), Mode::Evaluation, &Probe::default()).unwrap();
        let expected: Vec<f32> = probabilities(&pass.scores).unwrap().flatten_all().unwrap().to_vec1().unwrap();
        let mut input = Vec::new();
        preprocessing.normalize(&picture.pixels, &mut input).unwrap();
        let mut evaluator = Evaluator::new(&model, &Device::Cpu).unwrap();
        close(&evaluator.evaluate(&input, &Probe::default()).unwrap().probabilities, &expected);
        answered.push(channels);
    }
    assert_eq!(answered, [1, 3]);
}

fn run(folder: &Path, data: &Path, channels: usize) -> Run {
    Run {
        architecture: network(channels),
        data: data.into(),
        rules: convscope::dataset::Rules::default(),
        recipe: recipe(&json!({"epochs": 2, "normalize": "channel"})),
        device: DeviceChoice::Cpu,
        output: Output {
            name: "grey".into(),
            state: folder.join("grey.state"),
            models: Models::Last { path: folder.join("grey.safetensors"), dtype: Dtype::F32 },
        },
        resume: false,
        fit_data: false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grey_network_is_trained_and_classifies() {
    let folder = tempfile::tempdir().unwrap();
    let mut losses = Vec::new();
    let finish = train(&run(folder.path(), &images(), 1), &mut |event| {
        if let Event::Epoch(record) = event {
            losses.push(record.train_loss);
        }
        ControlFlow::Continue(())
    });
    assert!(matches!(finish, Ok(Finish::Done(_))), "{finish:?}");
    assert!(losses[1] < losses[0], "{losses:?}");
    let path = folder.path().join("grey.safetensors");
    let model = checkpoint::load(&path).unwrap();
    let preprocessing = model.metadata().preprocessing.clone();
    assert_eq!((preprocessing.mean.len(), preprocessing.std.len()), (1, 1));
    assert!((0.3..0.6).contains(&preprocessing.mean[0]), "measured on luma: {:?}", preprocessing.mean);

    // What the network is given, computed from the definition of luma.
    let input: Vec<f32> =
        grey_horse().iter().map(|&value| (f32::from(value) / 255.0 - preprocessing.mean[0]) / preprocessing.std[0]).collect();
    let probe = Probe { taps: vec![0], ..Probe::default() };
    let evaluation = Evaluator::new(&model, &Device::Cpu).unwrap().evaluate(&input, &probe).unwrap();

    let server = Server::with(|config| {
        config.models.dir = folder.path().into();
        config.models.default = "grey".into();
    })
    .await;
    assert_eq!(server.get("/health/ready").await.status, 200);
    let answer = server.post("/classify", horse()).await.ok();
    let got: Vec<f32> = CLASSES.iter().map(|class| answer["probabilities"][class].as_f64().unwrap() as f32).collect();
    close(&got, &evaluation.probabilities);
    let map = server.post("/featuremaps/conv1?format=f32", horse()).await;
    assert_eq!((map.status.as_u16(), map.header("x-shape")), (200, Some("8,32,32")), "{:?}", map.headers);
    let values: Vec<f32> = map.body.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    close(&values, &evaluation.taps[0].values);
    // The page shows what the network is given: a grey picture of one plane.
    let shown = server.get("/featuremaps/input?sample=horse").await;
    assert_eq!((shown.status.as_u16(), shown.header("content-type")), (200, Some("image/png")));
    let shown = image::load_from_memory(&shown.body).unwrap();
    assert_eq!((shown.color(), shown.into_bytes()), (image::ColorType::L8, grey_horse()));
    let numbers = server.get("/featuremaps/input?sample=horse&format=f32").await;
    assert_eq!(numbers.header("x-shape"), Some("1,32,32"));
    assert_eq!(server.get("/featuremaps/input?sample=horse&format=json").await.ok()["channels"].as_array().unwrap().len(), 1);
    assert_eq!(server.get("/featuremaps/conv1?sample=horse").await.status, 200);
    // One channel is all there is, in every form.
    assert_eq!(server.get("/featuremaps/input?sample=horse&format=f32&channel=0").await.body, numbers.body);
    server.get("/featuremaps/input?sample=horse&channel=1").await.refused(422, "unprocessable");
    assert_eq!(server.post("/featuremaps?layers=conv1", horse()).await.status, 200);
    assert_eq!(server.get("/layers").await.ok()["input"]["channels"], 1);
    assert_eq!(server.get("/layers/conv1/weights").await.ok()["parameters"][0]["shape"][1], 1);
    let listed = server.get("/models").await.ok();
    let own = listed["models"].as_array().unwrap().iter().find(|model| model["name"] == "grey").unwrap();
    assert_eq!(own["input"]["channels"], 1);
    server.stop().await;
}

#[test]
fn a_grey_network_is_trained_on_a_folder_of_coloured_images() {
    let folder = tempfile::tempdir().unwrap();
    for (number, class) in CLASSES.iter().enumerate() {
        for part in ["train", "test"] {
            let class = folder.path().join("set").join(part).join(class);
            std::fs::create_dir_all(&class).unwrap();
            let png = rgb_png(9, 7, &[20 * number as u8, 255 - 20 * number as u8, 7].repeat(63));
            std::fs::write(class.join("a.png"), &png).unwrap();
            std::fs::write(class.join("b.png"), &png).unwrap();
        }
    }
    let finish = train(&run(folder.path(), &folder.path().join("set"), 1), &mut |_| ControlFlow::Continue(()));
    assert!(matches!(finish, Ok(Finish::Done(_))), "{finish:?}");
}

#[test]
fn networks_that_look_at_what_no_image_is_are_refused_before_anything_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut heard = 0;
    let error = train(&run(folder.path(), Path::new("nowhere"), 2), &mut |_| {
        heard += 1;
        ControlFlow::Continue(())
    });
    let said = error.unwrap_err().to_string();
    assert!(said.contains("takes images of 2 channels, and images have 1 (grey) or 3 (red, green, blue)") && heard == 0, "{said}");
}

#[test]
fn a_grey_network_is_imported_and_one_of_two_channels_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let grey = untrained(1).unwrap();
    checkpoint::save_as(&folder.path().join("weights.safetensors"), &grey, Dtype::F32).unwrap();
    for channels in [1, 2] {
        std::fs::write(folder.path().join(format!("net{channels}.toml")), toml::to_string(&network(channels)).unwrap()).unwrap();
    }
    let import = |net: &str| {
        convscope_in(folder.path(), &[], &["import", "weights.safetensors", "--arch", net, "--out", "mine.safetensors"])
    };
    let said = import("net1.toml").succeeded();
    assert!(said.contains("grey in [0, 1], mean 0, standard deviation 1 (assumed; see --mean and --std)"), "{said}");
    std::fs::write(folder.path().join("horse.png"), horse()).unwrap();
    let said = convscope_in(folder.path(), &[], &["classify", "horse.png", "--model", "mine.safetensors", "--json"]).succeeded();
    let answer: serde_json::Value = serde_json::from_str(&said).unwrap();
    let input: Vec<f32> = grey_horse().iter().map(|&value| f32::from(value) / 255.0).collect();
    let expected = Evaluator::new(&grey, &Device::Cpu).unwrap().evaluate(&input, &Probe::default()).unwrap().probabilities;
    let got: Vec<f32> = CLASSES.iter().map(|class| answer["probabilities"][class].as_f64().unwrap() as f32).collect();
    close(&got, &expected);
    let said = import("net2.toml").failed(1);
    assert!(said.contains("takes images of 2 channels"), "{said}");
}
