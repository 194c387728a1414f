//! Convscope: classify images with convolutional networks, see what every layer sees, train new ones while you watch.

pub mod kernels;
pub mod network;
pub mod ops;
pub mod optim;
pub mod training;
