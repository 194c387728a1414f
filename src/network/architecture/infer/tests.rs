use super::*;

fn fails(layers: &str) -> String {
    let text = format!("name = 'x'\ninput = {{ channels = 3, height = 9, width = 7 }}\n{layers}");
    infer(&Architecture::from_toml(&text).unwrap()).unwrap_err().to_string()
}

#[test]
fn a_misfit_names_the_layer_and_both_shapes() {
    let cases = [
        ("layers = [{ name = 'fc', kind = 'linear', out_features = 2 }]", "`fc` (linear): cannot take 3×9×7 from `input`"),
        (
            "layers = [{ name = 'fc', kind = 'linear', out_features = 2 }]",
            "put a `flatten` before it, which gives 189 = 3·9·7 inputs",
        ),
        (
            "layers = [{ name = 'a', kind = 'flatten' }, { name = 'b', kind = 'max_pool2d', kernel_size = 2 }]",
            "`b` (max_pool2d): cannot take a vector of 189 from `a`",
        ),
        (
            "layers = [{ name = 'a', kind = 'conv2d', out_channels = 4, kernel_size = 8 }]",
            "its 8×8 window does not fit 9×7 planes with padding 0",
        ),
        (
            "layers = [{ name = 'a', kind = 'conv2d', out_channels = 4, kernel_size = 3, dilation = 5, padding = 1 }]",
            "its 3×3 window with dilation 5 reaches 11×11 and does not fit 9×7 planes with padding 1",
        ),
        (
            "layers = [{ name = 'a', kind = 'conv2d', out_channels = 4, kernel_size = 3, groups = 2 }]",
            "`groups` = 2 must divide both 3 and `out_channels` = 4",
        ),
        (
            "layers = [{ name = 'a', kind = 'relu' }, { name = 'b', kind = 'max_pool2d', kernel_size = 2 }, { name = 'c', kind = 'add', from = 'a' }]",
            "`c` (add): cannot take 3×4×3 from `b`: `a` gives 3×9×7",
        ),
        ("layers = [{ name = 'a', kind = 'add', from = 'z' }]", "`from` names `z`, which is not an earlier layer"),
        ("layers = [{ name = 'a', kind = 'relu', from = 'a' }]", "`from` names `a`, which is this layer itself"),
        ("layers = [{ name = 'a', kind = 'relu' }]", "ends in 3×9×7"),
        ("layers = []", "has no layers"),
        ("layers = [{ name = 'a', kind = 'relu' }, { name = 'a', kind = 'flatten' }]", "`a` (flatten): the name `a` is taken by"),
        ("layers = [{ name = 'a/b', kind = 'relu' }]", "must be letters"),
        (
            "layers = [{ name = 'a', kind = 'conv2d', out_channels = 1000000, kernel_size = 7, padding = 100000000 }]",
            "would hold more than",
        ),
        (
            "layers = [{ name = 'a', kind = 'relu' }, { name = 'b', kind = 'flatten', from = 'input' }]",
            "`a` (relu): nothing reads it",
        ),
    ];
    for (layers, expected) in cases {
        let message = fails(layers);
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn a_fault_hides_none_after_it_and_makes_no_noise() {
    let text = "layers = [
        { name = 'conv1', kind = 'conv2d', out_channels = 32, kernel_size = 5 },
        { name = 'pool1', kind = 'max_pool2d', kernel_size = 2, padding = 3 },
        { name = 'norm1', kind = 'batch_norm2d', eps = 0.0 },
        { name = 'conv2', kind = 'conv2d', out_channels = 0, kernel_size = 0, from = 'poool1' },
        { name = 'act2', kind = 'relu' },
        { name = 'drop2', kind = 'dropout', p = 1.5 },
        { name = 'flat', kind = 'flatten' },
        { name = 'fc3', kind = 'linear', out_features = 10 },
        { name = 'norm3', kind = 'batch_norm2d' },
        { name = 'fc4', kind = 'linear', out_features = 10 },
    ]";
    let found: Vec<String> = fails(text).lines().skip(1).map(|line| line.trim().to_owned()).collect();
    assert_eq!(
        found,
        [
            "layer `pool1` (max_pool2d): `padding` is 3 and must be at most half of `kernel_size`, here 1",
            "layer `norm1` (batch_norm2d): `eps` must be above 0",
            "layer `conv2` (conv2d): `from` names `poool1`, which is not an earlier layer; did you mean `pool1`?",
            "layer `conv2` (conv2d): `out_channels` must be at least 1",
            "layer `conv2` (conv2d): `kernel_size` must be at least 1",
            "layer `drop2` (dropout): `p` must be at least 0 and below 1",
            "layer `norm3` (batch_norm2d): cannot take a vector of 10 from `fc3`: batch norm works on feature maps; put it before `flatten`",
        ]
    );
}

#[test]
fn the_faults_of_a_hostile_list_are_bounded() {
    let many = format!("layers = [{}]", "{ name = 'a', kind = 'linear', out_features = 0 },".repeat(900));
    assert!(fails(&many).lines().count() <= MOST_FAULTS + 4);
    let many = format!("layers = [{}]", "{ name = 'a', kind = 'relu' },".repeat(1001));
    assert!(fails(&many).contains("has 1001 layers; at most 1000 are allowed"));
}
