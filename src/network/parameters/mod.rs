//! A network's parameters as plain numbers, and how they begin. It does not know what computes with them.

pub mod init;
pub mod weights;
