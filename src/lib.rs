//! Convscope: classify images with convolutional networks, see what every layer sees, train new ones while you watch.

pub mod checkpoint;

pub mod network;
pub mod optim;
pub mod serving;
