//! candle's reading of the layer list: forward with taps, and automatic differentiation. What is compiled is held to it, and
//! CUDA runs it. It knows neither files nor runs.

pub mod autograd;
pub mod forward;
