//! Convscope classifies images with convolutional networks, shows what every layer sees, and trains new networks while you watch.
//!
//! # Where things are
//!
//! | room | is | deliberately does not know |
//! |---|---|---|
//! | [`cli`] | one file a command | how anything is computed |
//! | [`config`] | file + environment + flags → one validated [`config::Config`] | who uses it |
//! | [`console`] | standard error that no request waits for | what is said |
//! | [`http`] | routes, extractors, the one error table | a tensor |
//! | [`serving`] | named models: which there are, which are in memory, which answer; the queue and the thread that evaluates | status codes, training |
//! | [`training`] | recipe, trainer, journal, runs as child processes | status codes, serving; the trainer also tokio |
//! | [`evaluation`] | accuracy, confusion and calibration on a test set | where model and data came from |
//! | [`selftest`] | whether this machine computes what it should | the command line, how fast anything is |
//! | [`checkpoint`] | models as files, and files of other programs | how a model is computed |
//! | [`dataset`] | labelled images, train and test kept apart by type; augmentation | networks |
//! | [`picture`] | bytes → pixels, activations → PNG | networks, files, requests |
//! | [`network`] | an architecture as data, and what is derived from it | files, requests, datasets |
//! | [`optim`] | update rules, schedules, averaging | networks |
//! | [`ops`] | candle operations with right gradients | layers |
//! | [`kernels`] | arithmetic on slices | tensors |
//! | [`words`] | names of devices and kernels, and what a mistaken word was meant as | what a name stands for |
//!
//! # How an image flows
//!
//! 1. [`http::router`] names the endpoint; [`http::upload`] admits the body before it is read and splits its parts,
//!    [`http::body`] charges its memory as it comes. Whoever refuses it drops it: [`http::intake`] reads what is still coming.
//! 2. [`picture::decode`] turns bytes into 8-bit pixels, grey or RGB, at the network's size, within the limits of [`config::Config`].
//! 3. [`serving::models`] has the model, which answered its own canary image before any other; [`serving::engine`] takes the
//!    pixels into a bounded queue, or refuses at once; its thread takes what waits as one batch.
//! 4. [`network::Preprocessing`] makes the network's input of the pixels, [`network::Evaluator`] evaluates it, taps included.
//! 5. Plain numbers come back: JSON, or a picture by [`picture::grid`]; [`http::answers`] counts what is not read yet.
//! 6. [`http::access`] has noted what it took: a line in the log, and [`http::metrics`].
//!
//! # How a training run flows
//!
//! 1. `POST /admin/train` reaches [`training::supervisor`], which writes what is asked for to `runs/ID/job.json` and, when
//!    [`training::queue`] lets it, starts `convscope train --run-dir runs/ID` as a child process; the command line starts the same
//!    thing directly ([`cli::train`]).
//! 2. [`dataset`] reads and checks the images; [`training::Recipe`] says what is done with them.
//! 3. [`training::trainer`] shuffles, augments and steps a [`network::Learner`], and says what happens as [`training::Event`]s.
//! 4. After each epoch [`evaluation`] measures the test set and [`checkpoint`] keeps the weights.
//! 5. The child's [`training::journal`] is what the server shows, and the weights are files that [`serving::catalog`] finds.
//!
//! # Invariants
//!
//! `tests/it/rules.rs` holds the first three, and which room may name which, by reading the source.
//!
//! 1. Nothing below `http` knows a status code; nothing in `http` knows a `Tensor`.
//! 2. Nothing below `serving` and `training` knows tokio, axum or the config file. The trainer takes a closure that receives
//!    events and returns [`ControlFlow`](std::ops::ControlFlow): progress and cancellation in one.
//! 3. `serving` and `training` do not import each other: they meet in files. A trained model is read back from disk before it is
//!    served.
//! 4. Preprocessing travels inside the checkpoint and is written in one place ([`network::Preprocessing`]).
//! 5. A network's meaning exists once, in its layer list. [`network::reference`] interprets it with candle: the reference, and what
//!    runs on CUDA. [`network::compiled`] (evaluation and training) is compiled from the same list onto the
//!    [`kernels`], and tests hold them to the reference on random architectures.
//! 6. A training run is a process of its own: it may be killed, run out of memory or lose its GPU, and serving goes on. It ends
//!    when its standard input does.
//! 7. One writable root, `data_dir`, holds models, runs and datasets, and is made when first written.
//! 8. No function takes more than five parameters, no file passes 400 lines, every `unsafe` block says why it is sound.

pub mod checkpoint;
pub mod classification;
pub mod cli;
pub mod config;
pub mod console;
pub mod dataset;
pub mod evaluation;
pub mod http;
pub mod kernels;
pub mod network;
pub mod ops;
pub mod optim;
pub mod picture;
pub mod selftest;
pub mod serving;
pub mod training;
pub mod words;
