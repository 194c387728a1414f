//! `/layers` and `/layers/{layer}/weights`.

use serde_json::json;

use crate::support::{Server, untrained};

#[tokio::test(flavor = "multi_thread")]
async fn every_layer_says_what_it_is_and_costs() {
    let server = Server::start().await;
    let answer = server.get("/layers").await.ok();
    assert_eq!(answer["model"], json!({"name": "tutorial", "version": 1}));
    assert_eq!((&answer["parameters"], &answer["multiply_adds"]), (&json!(4_210_090), &json!(14_521_344)));
    let layers = answer["layers"].as_array().unwrap();
    let names: Vec<_> = layers.iter().map(|layer| layer["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["conv1", "act1", "drop1", "conv2", "act2", "pool2", "flat", "fc3", "act3", "drop3", "fc4"]);
    let conv2 = &layers[3];
    let expected = json!({
        "name": "conv2", "kind": "conv2d", "inputs": ["drop1"], "output": [32, 32, 32], "parameters": 9248,
        "multiply_adds": 9_437_184, "out_channels": 32, "kernel_size": 3, "stride": 1, "padding": 1, "groups": 1, "bias": true,
    });
    assert_eq!(conv2, &expected);
    assert_eq!(layers[0]["inputs"], json!(["input"]));
    server.get("/layers?model=nothing").await.refused(404, "unknown_model");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn weights_are_the_files() {
    let server = Server::start().await;
    let model = untrained("tutorial", 1);
    let conv1 = server.get("/layers/conv1/weights").await.ok();
    let weight = &conv1["parameters"][0];
    assert_eq!((&weight["name"], &weight["shape"]), (&json!("conv1.weight"), &json!([32, 3, 3, 3])));
    let values: Vec<f32> = weight["values"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap() as f32).collect();
    assert!(values == model.weights().get("conv1.weight").unwrap().values);
    assert_eq!(conv1["parameters"][1]["name"], "conv1.bias");

    let little_endian = |name: &str| -> Vec<u8> {
        model.weights().get(name).unwrap().values.iter().flat_map(|value| value.to_le_bytes()).collect()
    };
    let raw = server.get("/layers/fc3/weights?format=f32").await;
    assert_eq!(raw.header("x-shape"), Some("512,8192"));
    assert!(raw.body == little_endian("fc3.weight"));
    assert_eq!(raw.header("content-length"), Some((4 * 512 * 8192).to_string().as_str()));
    let bias = server.get("/layers/fc3/weights?format=npy&parameter=bias").await;
    assert!(bias.body.starts_with(b"\x93NUMPY") && bias.body.ends_with(&little_endian("fc3.bias")));

    let sentence = server.get("/layers/fc3/weights").await.refused(422, "unprocessable");
    assert!(sentence.contains("65536") && sentence.contains("format=npy"), "{sentence}");
    assert_eq!(server.get("/layers/act1/weights").await.ok()["parameters"], json!([]));
    server.get("/layers/act1/weights?format=f32").await.refused(404, "unknown_layer");
    let sentence = server.get("/layers/conv9/weights").await.refused(404, "unknown_layer");
    assert!(sentence.contains("conv1, act1"), "{sentence}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_is_one_filter_or_row_and_its_bias() {
    let server = Server::start().await;
    let model = untrained("tutorial", 1);
    for (layer, channel, shape) in [("conv2", 5, vec![32, 3, 3]), ("fc3", 511, vec![8192])] {
        let path = |form: &str| format!("/layers/{layer}/weights?channel={channel}&format={form}");
        let size: usize = shape.iter().product();
        let weight = &model.weights().get(&format!("{layer}.weight")).unwrap().values[channel * size..(channel + 1) * size];
        let bias = model.weights().get(&format!("{layer}.bias")).unwrap().values[channel];
        let bytes: Vec<u8> = weight.iter().flat_map(|value| value.to_le_bytes()).collect();

        let raw = server.get(&path("f32")).await;
        let sides: Vec<String> = shape.iter().map(usize::to_string).collect();
        assert_eq!(raw.header("x-shape"), Some(sides.join(",").as_str()));
        assert!(raw.body == bytes, "{layer}");
        let numpy = server.get(&path("npy")).await;
        assert!(numpy.body.starts_with(b"\x93NUMPY") && numpy.body.ends_with(&bytes), "{layer}");
        // A row of the large matrix is few enough for JSON.
        let json = server.get(&path("json")).await;
        for answer in [&raw, &numpy, &json] {
            assert_eq!(answer.header("x-bias").unwrap().parse(), Ok(bias));
        }
        let json = json.ok();
        assert_eq!(json["parameters"][0]["shape"], json!(shape));
        let values = json["parameters"][0]["values"].as_array().unwrap();
        assert!(values.iter().map(|value| value.as_f64().unwrap() as f32).eq(weight.iter().copied()), "{layer}");
        assert_eq!(json["parameters"][1]["shape"], json!([1]));
        assert_eq!(json["parameters"][1]["values"][0].as_f64().unwrap() as f32, bias);
    }
    assert_eq!(server.get("/layers/conv1/weights").await.header("x-bias"), None);
    server.stop().await;
}
