//! Every way in which a tensor is sent and an answer wanted; all of them say what `/classify` says.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::Method;
use serde_json::{Value, json};

use super::{INFER, classified, close, floats, numbers, planes, post_binary, shape};
use crate::support::{Answer, CLASSES, Server, horse};

/// Two image files and what `/classify` says of each.
struct Known {
    files: [Vec<u8>; 2],
    probabilities: Vec<f64>,
}

impl Known {
    async fn of(server: &Server) -> Self {
        let files = [horse(), server.get("/samples/cat").await.body];
        let [first, second] = files.clone();
        let probabilities = [classified(server, first).await, classified(server, second).await].concat();
        Self { files, probabilities }
    }

    fn samples(&self) -> Vec<u8> {
        self.files.iter().flat_map(|file| planes(file)).collect()
    }

    /// The files as elements behind a JSON.
    fn elements(&self) -> Vec<u8> {
        self.files.iter().flat_map(|file| [&(file.len() as u32).to_le_bytes()[..], file].concat()).collect()
    }

    fn check(&self, answer: &Value) {
        assert_eq!((&answer["model_name"], &answer["model_version"]), (&json!("tutorial"), &json!("1")));
        let output = &answer["outputs"][0];
        assert_eq!(
            (&output["name"], &output["datatype"], &output["shape"]),
            (&json!("probabilities"), &json!("FP32"), &json!([2, 10]))
        );
        close(&numbers(&output["data"]), &self.probabilities);
    }
}

fn input(datatype: &str, shape: &[usize]) -> Value {
    json!({"name": "image", "datatype": datatype, "shape": shape})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tensor_in_json_is_what_the_files_are() {
    let server = Server::start().await;
    let known = Known::of(&server).await;
    let send = async |mut input: Value, data: Value| {
        input["data"] = data;
        let answer = server.post(INFER, json!({"id": "a 42", "inputs": [input]}).to_string()).await.ok();
        assert_eq!(answer["id"], "a 42");
        assert_eq!(answer.as_object().unwrap().len(), 4, "{answer}");
        known.check(&answer);
    };
    let samples = known.samples();
    send(input("FP32", &shape(2)), json!(floats(&samples))).await;
    send(input("UINT8", &shape(2)), json!(samples)).await;
    let rows: Vec<_> = samples.chunks(32).collect();
    let channels: Vec<_> = rows.chunks(32).collect();
    let nested: Vec<_> = channels.chunks(3).collect();
    send(input("UINT8", &shape(2)), json!(nested)).await;
    let files: Vec<String> = known.files.iter().map(|file| BASE64_STANDARD.encode(file)).collect();
    send(input("BYTES", &[2]), json!(files)).await;
    let bare: Vec<Vec<&str>> = files.iter().map(|text| vec![text.trim_end_matches('=')]).collect();
    send(input("BYTES", &[2, 1]), json!(bare)).await;

    let plain = json!({"inputs": [{"name": "image", "datatype": "UINT8", "shape": shape(2), "data": samples}]}).to_string();
    let answer = server.post("/v2/models/tutorial/versions/1/infer", plain).await.ok();
    assert_eq!(answer.get("id"), None, "an id is nobody's who gave none");
    known.check(&answer);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tensor_behind_the_json_is_what_the_files_are() {
    let server = Server::start().await;
    let known = Known::of(&server).await;
    let samples = known.samples();
    let values: Vec<u8> = floats(&samples).iter().flat_map(|value| value.to_le_bytes()).collect();
    for (input, tensor) in
        [(input("FP32", &shape(2)), values), (input("UINT8", &shape(2)), samples.clone()), (input("BYTES", &[2]), known.elements())]
    {
        let mut input = input;
        input["parameters"] = json!({"binary_data_size": tensor.len()});
        let answer = post_binary(&server, &json!({"inputs": [input]}), &tensor).await;
        assert_eq!(answer.header("inference-header-content-length"), None);
        known.check(&answer.ok());
    }
    // The header alone makes no tensor binary.
    let mut input = input("UINT8", &shape(2));
    input["data"] = json!(samples);
    known.check(&post_binary(&server, &json!({"inputs": [input]}), &[]).await.ok());
    server.stop().await;
}

/// An answer's JSON, and the bytes behind it.
fn split(answer: &Answer) -> (Value, Vec<u8>) {
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    assert_eq!(answer.header("content-type"), Some("application/octet-stream"));
    let length: usize = answer.header("inference-header-content-length").unwrap().parse().unwrap();
    let (json, tensors) = answer.body.split_at(length);
    (serde_json::from_slice(json).unwrap(), tensors.to_vec())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tensor_alone_is_answered_by_tensors() {
    let server = Server::start().await;
    let known = Known::of(&server).await;
    let values: Vec<u8> = floats(&known.samples()).iter().flat_map(|value| value.to_le_bytes()).collect();
    let raw = async |body: &[u8]| {
        let request = server.request(Method::POST, INFER).header("inference-header-content-length", "0");
        Answer::of(request.body(body.to_vec())).await
    };
    let (json, tensor) = split(&raw(&values).await);
    assert_eq!(json["outputs"][0]["shape"], json!([2, 10]));
    let found = tensor.as_chunks().0.iter().map(|&bytes| f64::from(f32::from_le_bytes(bytes)));
    close(&found.collect::<Vec<_>>(), &known.probabilities);
    let sentence = raw(&values[1..]).await.refused(400, "bad_request");
    assert!(sentence.contains("12288 bytes an image") && sentence.contains("24575 bytes"), "{sentence}");
    raw(&[]).await.refused(400, "bad_request");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_output_comes_as_bytes_where_that_is_wanted() {
    let server = Server::start().await;
    let known = Known::of(&server).await;
    let mut input = input("UINT8", &shape(2));
    input["data"] = json!(known.samples());
    let outputs = |parameters: Value| json!([{"name": "probabilities", "parameters": parameters}]);
    for request in [
        json!({"id": "7", "inputs": [input], "parameters": {"binary_data_output": true}}),
        json!({"id": "7", "inputs": [input], "outputs": outputs(json!({"binary_data": true}))}),
    ] {
        let (json, tensor) = split(&server.post(INFER, request.to_string()).await);
        let output = json!({"name": "probabilities", "datatype": "FP32", "shape": [2, 10], "parameters": {"binary_data_size": 80}});
        assert_eq!(json, json!({"model_name": "tutorial", "model_version": "1", "id": "7", "outputs": [output]}));
        let values = tensor.as_chunks().0.iter().map(|&bytes| f64::from(f32::from_le_bytes(bytes)));
        close(&values.collect::<Vec<_>>(), &known.probabilities);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_output_comes_as_classes_where_that_is_wanted() {
    let server = Server::start().await;
    let known = Known::of(&server).await;
    let expected: Vec<Vec<usize>> = known
        .probabilities
        .chunks(10)
        .map(|image| {
            let mut order: Vec<usize> = (0..10).collect();
            order.sort_by(|&a, &b| image[b].total_cmp(&image[a]));
            order
        })
        .collect();
    let mut input = input("UINT8", &shape(2));
    input["data"] = json!(known.samples());
    let ask = |count: u64, binary: bool| {
        let parameters = json!({"classification": count, "binary_data": binary});
        json!({"inputs": [input], "outputs": [{"name": "probabilities", "parameters": parameters}]}).to_string()
    };
    let check = |text: &str, place: usize, count: usize| {
        let parts: Vec<&str> = text.splitn(3, ':').collect();
        let class = expected[place / count][place % count];
        assert_eq!(parts[1..], [&*class.to_string(), CLASSES[class]], "{text}");
        close(&[parts[0].parse().unwrap()], &[known.probabilities[place / count * 10 + class]]);
    };
    for (count, given) in [(1, 1), (3, 3), (1 << 40, 10)] {
        let output = &server.post(INFER, ask(count, false)).await.ok()["outputs"][0];
        assert_eq!((&output["datatype"], &output["shape"]), (&json!("BYTES"), &json!([2, given])));
        let texts = output["data"].as_array().unwrap();
        assert_eq!(texts.len(), 2 * given);
        texts.iter().enumerate().for_each(|(place, text)| check(text.as_str().unwrap(), place, given));
    }
    let (json, mut tensor) = split(&server.post(INFER, ask(3, true)).await);
    assert_eq!(json["outputs"][0]["parameters"]["binary_data_size"], tensor.len());
    for place in 0..6 {
        let rest = tensor.split_off(4);
        let length = u32::from_le_bytes(tensor.try_into().unwrap()) as usize;
        let (text, rest) = rest.split_at(length);
        check(std::str::from_utf8(text).unwrap(), place, 3);
        tensor = rest.to_vec();
    }
    assert!(tensor.is_empty());
    server.stop().await;
}
