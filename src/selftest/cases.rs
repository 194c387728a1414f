//! The networks that a machine is tested with: each kind of layer between a convolution, whose gradient shows what the layer hands
//! back, and a fully connected one; at odd sizes, and where algorithms change.

use crate::network::spec::Activation;
use crate::network::{Architecture, Error, LayerKind};

/// A network for one kind.
pub(super) struct Case {
    /// The kind, as in an architecture file.
    pub(super) kind: &'static str,
    pub(super) architecture: Architecture,
    pub(super) batch: usize,
}

/// Kind, its layers, input channels and sides, batch.
type Row = (&'static str, &'static str, [usize; 3], usize);

const ROWS: &[Row] = &[
    ("conv2d", "kind = 'conv2d', out_channels = 5, kernel_size = 3, padding = 1", [3, 7, 9], 3),
    ("conv2d", "kind = 'conv2d', out_channels = 20, kernel_size = 3, padding = 1", [17, 35, 33], 1),
    ("conv2d", "kind = 'conv2d', out_channels = 33, kernel_size = 3, padding = 1, bias = false", [16, 3, 3], 17),
    ("conv2d", "kind = 'conv2d', out_channels = 18, kernel_size = 5, stride = 2, padding = 2", [19, 11, 10], 2),
    ("conv2d", "kind = 'conv2d', out_channels = 7, kernel_size = 1, stride = 3", [6, 8, 11], 2),
    ("conv2d", "kind = 'conv2d', out_channels = 18, kernel_size = 3, padding = 1, groups = 18", [18, 9, 8], 2),
    ("conv2d", "kind = 'conv2d', out_channels = 8, kernel_size = 3, padding = 2, groups = 2", [4, 9, 8], 3),
    ("conv2d", "kind = 'conv2d', out_channels = 17, kernel_size = 3, padding = 2, dilation = 2", [16, 9, 11], 2),
    ("batch_norm2d", "kind = 'batch_norm2d'", [18, 7, 5], 3),
    ("batch_norm2d", "kind = 'batch_norm2d', eps = 1e-3", [3, 33, 34], 2),
    ("max_pool2d", "kind = 'max_pool2d', kernel_size = 2", [17, 9, 7], 2),
    ("max_pool2d", "kind = 'max_pool2d', kernel_size = 3, stride = 2, padding = 1", [4, 8, 11], 2),
    ("avg_pool2d", "kind = 'avg_pool2d', kernel_size = 3, stride = 2, padding = 1", [17, 9, 7], 2),
    ("adaptive_avg_pool2d", "kind = 'adaptive_avg_pool2d', output_size = 3", [5, 8, 10], 2),
    ("dropout", "kind = 'dropout', p = 0.4", [5, 9, 7], 2),
    ("flatten", "kind = 'flatten'", [18, 3, 5], 2),
    ("linear", "kind = 'flatten' }, { name = 'linear1', kind = 'linear', out_features = 70", [17, 5, 3], 5),
    ("linear", "kind = 'flatten' }, { name = 'linear1', kind = 'linear', out_features = 3, bias = false", [3, 5, 3], 1),
    (
        "add",
        "kind = 'conv2d', out_channels = 5, kernel_size = 1, from = 'input' }, { name = 'add', kind = 'add', from = 'first'",
        [5, 6, 7],
        2,
    ),
];

/// All of them.
pub(super) fn all() -> Result<Vec<Case>, Error> {
    ROWS.iter().map(case).chain(Activation::ALL.into_iter().map(function)).collect()
}

fn function(function: Activation) -> Result<Case, Error> {
    let mut case = case(&("relu", "kind = 'relu'", [17, 9, 7], 2))?;
    case.architecture.layers[1].kind = LayerKind::Activation(function);
    Ok(Case { kind: function.name(), ..case })
}

fn case(&(kind, layers, [channels, height, width], batch): &Row) -> Result<Case, Error> {
    let flat = if layers.contains("'flatten'") { "" } else { "{ name = 'flat', kind = 'flatten' }," };
    let text = format!(
        "name = '{kind}'\ninput = {{ channels = {channels}, height = {height}, width = {width} }}\nlayers = [\n\
         {{ name = 'first', kind = 'conv2d', out_channels = {channels}, kernel_size = 1 }}, {{ name = 'layer', {layers} }}, {flat}\n\
         {{ name = 'last', kind = 'linear', out_features = 4 }}]"
    );
    Ok(Case { kind, architecture: Architecture::from_toml(&text)?, batch })
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_kind_there_is_has_a_case() {
        let cases = super::all().unwrap();
        for kind in crate::network::spec::KINDS {
            let case = cases.iter().find(|case| case.kind == kind);
            let has = case.is_some_and(|case| case.architecture.layers.iter().any(|layer| layer.kind.name() == kind));
            assert!(has, "`convscope selftest` does not test {kind}");
        }
    }
}
