//! A network's parameters as plain numbers, and how they begin. It does not know what computes with them.

mod eigen;
pub mod init;
pub mod temper;
pub mod weights;
pub mod whitening;
