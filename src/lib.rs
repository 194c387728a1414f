//! Convscope: classify images with convolutional networks, see what every layer sees, train new ones while you watch.

pub mod checkpoint;
pub mod classification;
pub mod cli;
pub mod config;
pub mod dataset;
pub mod evaluation;
pub mod http;
pub mod kernels;
pub mod network;
pub mod ops;
pub mod optim;
pub mod picture;
pub mod serving;
pub mod training;
