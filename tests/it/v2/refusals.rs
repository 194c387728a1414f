//! What is no inference request, by name.

use reqwest::Method;
use serde_json::{Value, json};

use super::{INFER, floats, planes, post_binary, shape};
use crate::support::{Answer, Server, horse};

/// A right request, of which each test makes a wrong one.
fn request() -> Value {
    let data = floats(&planes(&horse()));
    json!({"inputs": [{"name": "image", "datatype": "FP32", "shape": shape(1), "data": data}]})
}

fn with(change: impl FnOnce(&mut Value)) -> String {
    let mut request = request();
    change(&mut request["inputs"][0]);
    request.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn names_shapes_and_types_that_are_wrong_are_named() {
    let server = Server::start().await;
    server.post(INFER, request().to_string()).await.ok();
    let all = |value: Value| with(|input| input["data"] = value);
    let bytes = |shape: Value, data: Value| {
        json!({"inputs": [{"name": "image", "datatype": "BYTES", "shape": shape, "data": data}]}).to_string()
    };
    let mut strange = floats(&planes(&horse()));
    strange[2 * 1024 + 5 * 32 + 9] = 255.0;
    let mut output = request();
    output["outputs"] = json!([{"name": "labels"}]);
    for (body, code, said) in [
        (with(|input| input["name"] = json!("images")), "bad_request", "no input `images`. Did you mean `image`?"),
        (with(|input| input["datatype"] = json!("FP64")), "bad_request", "no datatype `FP64`. Did you mean `FP32`?"),
        (with(|input| input["shape"] = json!([1, 32, 32, 3])), "bad_request", "takes [-1, 3, 32, 32]: channels come before rows"),
        (
            with(|input| input["shape"] = json!([3, 32, 32])),
            "bad_request",
            "shape [3, 32, 32], and this model takes [-1, 3, 32, 32]",
        ),
        (with(|input| input["shape"] = json!([0, 3, 32, 32])), "no_image", "no image in it"),
        (with(|input| input["shape"] = json!([2, 3, 32, 32])), "bad_request", "needs 6144 elements for its shape, and has 3072"),
        (with(|input| input["shape"] = json!([u64::MAX, 3, 32, 32])), "bad_request", "elements for its shape, and has 3072"),
        (with(|input| input["shape"] = json!([-1, 3, 32, 32])), "bad_request", "invalid value: integer `-1`"),
        (with(|input| input["shape"] = json!(vec![1; 17])), "bad_request", "a list of at most 16"),
        (all(json!([])), "bad_request", "needs 3072 elements for its shape, and has 0"),
        (all(json!(null)), "bad_request", "`image` has no elements"),
        (all(json!([true])), "bad_request", "a list of numbers or of strings"),
        (all(json!(["a"])), "bad_request", "needs 3072 elements for its shape, and has 0"),
        (all(json!(strange)), "bad_request", "`image` is 255 at [0, 2, 5, 9]: FP32 samples are in [0, 1]"),
        (with(|input| input["datatype"] = json!("UINT8")), "bad_request", "UINT8 samples are whole, 0 to 255"),
        (with(|input| input["parameters"] = json!({"binary_data_size": 4})), "bad_request", "both `data` and `binary_data_size`"),
        (output.to_string(), "bad_request", "no output `labels`"),
        (json!({"inputs": []}).to_string(), "bad_request", "`inputs` must hold one tensor, `image`"),
        (json!({"inputs": [request()["inputs"][0], request()["inputs"][0]]}).to_string(), "bad_request", "must hold one tensor"),
        (json!({}).to_string(), "bad_request", "missing field `inputs`"),
        (String::new(), "bad_request", "no inference request of version 2"),
        ("[".repeat(100_000), "bad_request", "no inference request of version 2"),
        (bytes(json!([1, 3, 32, 32]), json!(["aGk="])), "bad_request", "as BYTES it takes [-1]"),
        (bytes(json!([2]), json!(["aGk="])), "bad_request", "needs 2 elements for its shape, and has 1"),
        (bytes(json!([2]), json!(["aGk=", "a b"])), "bad_request", "image 2 of `image` cannot be read"),
        (bytes(json!([1]), json!([""])), "no_image", "image 1 of `image` is empty"),
        (bytes(json!([1]), json!([7])), "bad_request", "needs 1 elements for its shape, and has 0"),
    ] {
        let sentence = server.post(INFER, body).await.refused(400, code);
        assert!(sentence.contains(said), "{sentence}\n{said}");
    }
    server
        .post(INFER, bytes(json!([1]), json!(["aGVsbG8sIHdvcmxkLCB0aGlzIGlzIG5vIGltYWdl"])))
        .await
        .refused(415, "unsupported_image");
    let sentence = server.post("/v2/models/tutoral/infer", request().to_string()).await.refused(404, "unknown_model");
    assert!(sentence.contains("tutorial"), "{sentence}");
    server.post("/v2/models/tutorial/versions/9/infer", request().to_string()).await.refused(404, "unknown_model");
    server.post("/v2/models/tutorial/infer?top_k=1", request().to_string()).await.refused(400, "bad_query");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_do_not_fit_their_tensor_are_counted() {
    let server = Server::start().await;
    let samples = planes(&horse());
    let tensor = |datatype: &str, shape: Value, size: usize| {
        let parameters = json!({"binary_data_size": size});
        json!({"inputs": [{"name": "image", "datatype": datatype, "shape": shape, "parameters": parameters}]})
    };
    let uint8 = |size| tensor("UINT8", json!([1, 3, 32, 32]), size);
    let mut nan: Vec<u8> = floats(&samples).iter().flat_map(|value| value.to_le_bytes()).collect();
    nan[4 * (1024 + 32)..][..4].copy_from_slice(&f32::NAN.to_le_bytes());
    let element = |length: u32, file: &[u8]| [&length.to_le_bytes()[..], file].concat();
    let bytes = |count: usize, tensor_bytes: &[u8]| tensor("BYTES", json!([count]), tensor_bytes.len());
    let horses = [element(horse().len() as u32, &horse()), element(horse().len() as u32, &horse())].concat();
    let longer = element(4_000_000_000, &horse());
    for (json, behind, said) in [
        (uint8(3072), samples[1..].to_vec(), "`binary_data_size` of 3072, and there are 3071 bytes behind the JSON"),
        (uint8(3071), samples[1..].to_vec(), "needs 3072 bytes for its shape, and has 3071"),
        (tensor("FP32", json!([1, 3, 32, 32]), 3072), samples.clone(), "needs 12288 bytes for its shape, and has 3072"),
        (tensor("FP32", json!([1, 3, 32, 32]), nan.len()), nan.clone(), "`image` is NaN at [0, 1, 1, 0]"),
        (request(), samples.clone(), "3072 bytes behind the JSON that no input asks for"),
        (bytes(1, &horses), horses.clone(), "behind the 1 images of `image` there are"),
        (bytes(3, &horses), horses.clone(), "needs 3 elements for its shape, and has 2"),
        (bytes(1, &longer), longer.clone(), "image 1 of `image` says it has 4000000000 bytes"),
        (bytes(1, &[1, 0]), vec![1, 0], "needs 1 elements for its shape, and has 0"),
    ] {
        let sentence = post_binary(&server, &json, &behind).await.refused(400, "bad_request");
        assert!(sentence.contains(said), "{sentence}\n{said}");
    }
    // One of several: by its position, as for `/classify`.
    let torn = &horse()[..horse().len() / 2];
    let two = [element(horse().len() as u32, &horse()), element(torn.len() as u32, torn)].concat();
    let sentence = post_binary(&server, &bytes(2, &two), &two).await.refused(400, "bad_image");
    assert!(sentence.starts_with("image 2: "), "{sentence}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_not_as_announced_is_refused() {
    let server = Server::with(|config| config.limits.body_bytes = 1 << 20).await;
    let ask = async |name: &str, value: &str, body: Vec<u8>| {
        Answer::of(server.request(Method::POST, INFER).header(name, value).body(body)).await
    };
    let body = request().to_string().into_bytes();
    let header = "inference-header-content-length";
    let sentence = ask(header, &(body.len() + 1).to_string(), body.clone()).await.refused(400, "bad_request");
    assert!(sentence.contains("it is the length of the JSON"), "{sentence}");
    for value in ["-1", "many", "1.5"] {
        ask(header, value, body.clone()).await.refused(400, "bad_request");
    }
    let sentence = ask("content-encoding", "gzip", body.clone()).await.refused(400, "bad_request");
    assert!(sentence.contains("Content-Encoding"), "{sentence}");
    ask("content-encoding", "identity", body).await.ok();
    server.post(INFER, vec![b' '; (1 << 20) + 1]).await.refused(413, "body_too_large");
    server.stop().await;
}
