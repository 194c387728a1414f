//! Everything that is tested from outside. One module a feature.

mod allocations;
mod dataset;
mod download;
mod grids;
mod pictures;
