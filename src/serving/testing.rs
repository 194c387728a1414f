//! Small models for the tests of this room.

use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Instant;

use candle_core::Device;
use tokio::sync::oneshot;

use super::batch::{Hands, Job};
use super::catalog::{Key, Known};
use super::engine::{Answer, Request};
use super::models::{Models, Settings};
use super::served::Served;
use crate::checkpoint::store::Source;
use crate::checkpoint::{self, Store};
use crate::network::{Architecture, Metadata, Model, Preprocessing, Probe, infer, init, model};
use crate::picture::Pixels;

/// Two pixels in, two classes out.
pub(super) fn tiny(seed: u64) -> Model {
    let layers = "[[layers]]\nname = 'flat'\nkind = 'flatten'\n[[layers]]\nname = 'fc'\nkind = 'linear'\nout_features = 2";
    of(&format!("name = 'tiny'\ninput = {{ channels = 3, height = 1, width = 2 }}\n{layers}"), seed)
}

/// Of every kind of kernel one: 8×8 pixels in, five classes out.
pub(super) fn small(seed: u64) -> Model {
    of(
        "name = 'small'\ninput = { channels = 3, height = 8, width = 8 }\n\
         [[layers]]\nname = 'conv1'\nkind = 'conv2d'\nout_channels = 16\nkernel_size = 3\npadding = 1\n\
         [[layers]]\nname = 'norm1'\nkind = 'batch_norm2d'\n\
         [[layers]]\nname = 'act1'\nkind = 'relu'\n\
         [[layers]]\nname = 'pool1'\nkind = 'max_pool2d'\nkernel_size = 2\n\
         [[layers]]\nname = 'flat'\nkind = 'flatten'\n\
         [[layers]]\nname = 'fc1'\nkind = 'linear'\nout_features = 32\n\
         [[layers]]\nname = 'act2'\nkind = 'relu'\n\
         [[layers]]\nname = 'fc2'\nkind = 'linear'\nout_features = 5",
        seed,
    )
}

fn of(architecture: &str, seed: u64) -> Model {
    let architecture = Architecture::from_toml(architecture).unwrap();
    let layers = infer(&architecture).unwrap();
    let weights = init::weights(&layers, init::Init::Pytorch, seed);
    let scores = layers.last().unwrap().output.elements();
    let metadata = Metadata {
        format: model::FORMAT,
        name: architecture.name.clone(),
        preprocessing: Preprocessing::unit(architecture.input),
        architecture,
        classes: (0..scores).map(|class| format!("class {class}")).collect(),
        accuracy: None,
        measured: model::Measured::default(),
        recipe: None,
        familiarity: None,
        created_by: model::created_by(),
    };
    Model::new(metadata, weights.iter().cloned().collect()).unwrap()
}

/// `model` as if it had been found in a file.
pub(super) fn prepared(model: Model) -> Arc<Served> {
    let source = Source::File(Path::new("nowhere").into());
    let key = Key { name: model.metadata().name.as_str().into(), version: 1 };
    let known = Known { key, stamp: source.stamp(), source, metadata: Arc::new(model.metadata().clone()) };
    Arc::new(Served::prepare(Arc::new(known), model, &Device::Cpu).unwrap())
}

/// [`tiny`], ready.
pub(super) fn served() -> Arc<Served> {
    prepared(tiny(1))
}

/// A model of finite weights whose values are not: it can be read and not be used.
pub(super) fn overflowing() -> Model {
    let model = tiny(1);
    let mut parameters: Vec<_> = model.weights().iter().cloned().collect();
    for parameter in &mut parameters {
        parameter.values.fill(f32::MAX);
    }
    Model::new(model.metadata().clone(), parameters).unwrap()
}

/// Puts `model` into `folder` as `NAME/VERSION`, as training does.
pub(super) fn write(folder: &Path, version: &str, model: &Model) {
    checkpoint::save(&folder.join(format!("{version}.safetensors")), model).unwrap();
}

/// The models of `folder`, one of them the default.
pub(super) fn models(folder: &Path, default: &str) -> Arc<Models> {
    let store = Store::new(vec![folder.into()]);
    let data_dir = folder.join("data");
    let settings = Settings { store, data_dir, default_name: default.into(), device: Device::Cpu, bytes: 64 << 20 };
    Arc::new(Models::open(settings))
}

/// An image of its own for each seed.
pub(super) fn image(served: &Arc<Served>, seed: u64) -> Request {
    let pixels = Pixels::from_fn(served.dimensions(), |i| (((seed + 1) * (i as u64 + 7) * 2_654_435_761) >> 7) as u8);
    Request { served: Arc::clone(served), input: pixels.into(), probe: Probe::default(), deadline: None, place: None }
}

/// One image.
pub(super) fn request(served: &Arc<Served>) -> Request {
    image(served, 9)
}

/// `request` as it waits.
pub(super) fn job(request: Request) -> (Job, Answer) {
    let (reply, answer) = oneshot::channel();
    (Job { request, queued: Instant::now(), reply, share: None }, answer)
}

/// Keeps a model from being evaluated by all threads, so that a test says when the model thread goes on.
pub(super) struct Gate {
    open: mpsc::Sender<()>,
    keeper: JoinHandle<()>,
}

impl Gate {
    /// Returns once the model is held.
    pub(super) fn closed(served: &Arc<Served>) -> Self {
        let ((open, opened), (hold, held)) = (mpsc::channel(), mpsc::channel());
        let served = Arc::clone(served);
        let keeper = std::thread::spawn(move || {
            let wait = |_: &mut _| {
                hold.send(()).unwrap();
                opened.recv().unwrap();
                Ok(())
            };
            served.with(Hands::All, wait).unwrap();
        });
        held.recv().unwrap();
        Self { open, keeper }
    }

    pub(super) fn open(self) {
        self.open.send(()).unwrap();
        self.keeper.join().unwrap();
    }
}
