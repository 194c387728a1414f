//! The JSON of an inference request. Its names are the protocol's; parameters that are not known here are for other servers.

use serde::Deserialize;

use super::data::Data;
use super::few::Few;

/// Dimensions of a tensor, inputs or outputs of a request, at most: of each there is one to be right, and a few to be refused
/// by name.
const FEW: usize = 16;

/// What is asked for.
#[derive(Debug, Deserialize)]
pub struct Inference<'a> {
    /// Comes back with the answer.
    pub id: Option<String>,
    /// Of the request as a whole.
    pub parameters: Option<Parameters>,
    /// The tensors.
    #[serde(borrow)]
    pub inputs: Few<Input<'a>, FEW>,
    /// What is wanted; everything where it is not said.
    pub outputs: Option<Few<Output, FEW>>,
}

/// Of a request.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub struct Parameters {
    /// Outputs come as bytes, where they say nothing else themselves.
    pub binary_data_output: Option<bool>,
}

/// A tensor that is sent.
#[derive(Debug, Deserialize)]
pub struct Input<'a> {
    /// Which one.
    pub name: String,
    /// Its dimensions, the batch first.
    pub shape: Few<u64, FEW>,
    /// The type of its elements.
    pub datatype: String,
    /// Of this tensor.
    pub parameters: Option<InputParameters>,
    /// Its elements, where they are not bytes behind the JSON.
    #[serde(borrow)]
    pub data: Option<Data<'a>>,
}

/// Of a tensor that is sent.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub struct InputParameters {
    /// So many bytes behind the JSON are its elements.
    pub binary_data_size: Option<u64>,
}

/// A tensor that is wanted.
#[derive(Debug, Deserialize)]
pub struct Output {
    /// Which one.
    pub name: String,
    /// How it is wanted.
    pub parameters: Option<OutputParameters>,
}

/// Of a tensor that is wanted.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub struct OutputParameters {
    /// As bytes behind the JSON.
    pub binary_data: Option<bool>,
    /// Not the numbers: so many of the highest, each with its class.
    pub classification: Option<u64>,
}
