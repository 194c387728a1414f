//! `/featuremaps`.

use convscope::checkpoint::Contents;
use reqwest::Method;

use crate::support::{Answer, Server, horse};

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
}

fn png_size(answer: &Answer) -> (u32, u32) {
    assert_eq!(answer.header("content-type"), Some("image/png"), "{}", String::from_utf8_lossy(&answer.body));
    let reader = png::Decoder::new(std::io::Cursor::new(&answer.body)).read_info().unwrap();
    (reader.info().width, reader.info().height)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_layer_in_every_form() {
    let server = Server::start().await;
    let raw = server.post("/featuremaps/act1?format=f32", horse()).await;
    assert_eq!(raw.header("x-shape"), Some("32,32,32"));
    let values = floats(&raw.body);
    assert_eq!(values.len(), 32 * 32 * 32);
    let highest = values.iter().copied().fold(f32::MIN, f32::max);
    assert!(values.iter().all(|&v| v >= 0.0) && highest > 0.0);
    assert_eq!(raw.header("x-range"), Some(format!("0,{highest}").as_str()));

    let numpy = server.post("/featuremaps/act1?format=npy", horse()).await;
    assert!(numpy.body.starts_with(b"\x93NUMPY\x01\x00"));
    assert_eq!(numpy.body[numpy.body.len() - raw.body.len()..], raw.body);

    let by_header =
        Answer::of(server.request(Method::POST, "/featuremaps/act1").header("accept", "application/json").body(horse())).await.ok();
    assert_eq!(by_header, server.post("/featuremaps/act1?format=json", horse()).await.ok());
    assert_eq!(by_header["shape"], serde_json::json!([32, 32, 32]));
    let channel = &values[5 * 1024..6 * 1024];
    let summary = &by_header["channels"][5];
    let zeros = channel.iter().filter(|&&v| v == 0.0).count() as f64 / 1024.0;
    assert!((summary["zeros"].as_f64().unwrap() - zeros).abs() < 1e-6);
    assert!((summary["max"].as_f64().unwrap() - f64::from(channel.iter().copied().fold(0.0, f32::max))).abs() < 1e-6);

    // 32 tiles of 32×32, three screen pixels a value, a gap of one between them: 6 columns, 6 rows.
    assert_eq!(png_size(&server.post("/featuremaps/act1", horse()).await), (6 * 97 - 1, 6 * 97 - 1));
    let wide = server.post("/featuremaps/act1?columns=16&zoom=1&colormap=gray&scale=channel", horse()).await;
    assert_eq!(png_size(&wide), (16 * 33 - 1, 2 * 33 - 1));
    assert_eq!(png_size(&server.post("/featuremaps/act1?channel=3&zoom=2", horse()).await), (64, 64));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_channel_is_that_alone_in_every_form() {
    let server = Server::start().await;
    for (layer, channel, sides) in [("conv1", 7, "1,32,32"), ("fc4", 3, "1"), ("input", 2, "1,32,32")] {
        let path = |query: &str| format!("/featuremaps/{layer}?sample=horse&{query}");
        let whole = floats(&server.get(&path("format=f32")).await.body);
        let summary = server.get(&path("format=json")).await.ok();
        let area = whole.len() / summary["channels"].as_array().unwrap().len();
        let expected = &whole[channel * area..(channel + 1) * area];

        let raw = server.get(&path(&format!("channel={channel}&format=f32"))).await;
        assert_eq!((raw.header("x-shape"), floats(&raw.body).as_slice()), (Some(sides), expected));
        let (low, high) = expected.iter().fold((f32::MAX, f32::MIN), |(low, high), &v| (low.min(v), high.max(v)));
        assert_eq!(raw.header("x-range"), Some(format!("{low},{high}").as_str()));
        let numpy = server.get(&path(&format!("channel={channel}&format=npy"))).await;
        assert_eq!(numpy.body.len(), 128 + 4 * area);
        assert!(numpy.body.ends_with(&raw.body));
        let tuple = if area == 1 { "'shape': (1,)" } else { "'shape': (1, 32, 32)" };
        assert!(String::from_utf8_lossy(&numpy.body[..128]).contains(tuple));

        let one = server.get(&path(&format!("channel={channel}&format=json"))).await.ok();
        assert_eq!(one["shape"], serde_json::from_str::<serde_json::Value>(&format!("[{sides}]")).unwrap());
        assert_eq!(one["channels"], serde_json::json!([summary["channels"][channel]]));
        // The colours keep the layer's range, and the picture of the same query says the same.
        assert_eq!(one["range"], summary["range"]);
        let own = server.get(&path(&format!("channel={channel}&format=json&scale=tutorial"))).await.ok();
        assert_eq!(own["range"], serde_json::json!([one["channels"][0]["min"], one["channels"][0]["max"]]));
        let drawn = server.get(&path(&format!("channel={channel}&scale=tutorial"))).await;
        assert_eq!((drawn.header("x-shape"), drawn.header("x-range")), (Some(sides), raw.header("x-range")));
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_layers_come_from_one_pass_and_agree_with_the_single_ones() {
    let server = Server::start().await;
    let all = Contents::read(&server.post("/featuremaps", horse()).await.body).unwrap();
    let names: Vec<&str> = all.parameters.iter().map(|tensor| tensor.name.as_str()).collect();
    assert_eq!(names, ["act1", "act2", "act3", "conv1", "conv2", "drop1", "drop3", "fc3", "fc4", "flat", "pool2"]);
    assert_eq!((all.metadata["model"].as_str(), all.metadata["version"].as_str()), ("tutorial", "1"));
    for tensor in &all.parameters {
        let alone = server.post(&format!("/featuremaps/{}?format=f32", tensor.name), horse()).await;
        let shape: Vec<String> = tensor.shape.iter().map(usize::to_string).collect();
        assert_eq!(alone.header("x-shape"), Some(shape.join(",").as_str()));
        assert_eq!(floats(&alone.body), tensor.values, "{}", tensor.name);
    }
    let some = Contents::read(&server.post("/featuremaps?layers=fc4,conv1", horse()).await.body).unwrap();
    assert_eq!(some.parameters, [all.parameters[3].clone(), all.parameters[8].clone()]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_masked_channel_is_dark() {
    let server = Server::start().await;
    let plain = floats(&server.post("/featuremaps/conv1?format=f32", horse()).await.body);
    let masked = floats(&server.post("/featuremaps/conv1?format=f32&mask=conv1:3", horse()).await.body);
    let (dark, others): (Vec<_>, Vec<_>) = masked.iter().zip(&plain).enumerate().partition(|(i, _)| i / 1024 == 3);
    assert!(dark.iter().all(|(_, (now, before))| **now == 0.0 && **before != 0.0));
    assert!(others.iter().all(|(_, (now, before))| now == before));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn samples_need_no_upload_and_the_input_is_a_picture() {
    let server = Server::start().await;
    let samples = server.get("/samples").await.ok();
    assert_eq!(samples["samples"].as_array().unwrap().len(), 13);
    assert_eq!(samples["samples"][11]["name"], "ship-on-wheels");
    assert_eq!(samples["samples"][11]["label"], "ship");
    assert_eq!(samples["samples"][0]["name"], "horse");
    let sample = server.get("/samples/horse").await;
    assert_eq!(sample.header("content-type"), Some("image/png"));
    let sent = server.post("/featuremaps/conv2?format=f32", sample.body).await.body;
    assert_eq!(server.get("/featuremaps/conv2?format=f32&sample=horse").await.body, sent);

    let seen = server.get("/featuremaps/input?sample=horse").await;
    assert_eq!(png_size(&seen), (32, 32));
    let mut reader = png::Decoder::new(std::io::Cursor::new(&seen.body)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    reader.next_frame(&mut pixels).unwrap();
    let numbers = floats(&server.get("/featuremaps/input?sample=horse&format=f32").await.body);
    for (i, &value) in numbers.iter().enumerate() {
        let (channel, place) = (i / 1024, i % 1024);
        assert!((value * 255.0 - f32::from(pixels[place * 3 + channel])).abs() < 1e-3);
    }
    server.get("/featuremaps/conv1").await.refused(400, "bad_query");
    server.get("/featuremaps/conv1?sample=unicorn").await.refused(404, "unknown_sample");
    server.post("/featuremaps/conv1?sample=horse", horse()).await.refused(400, "bad_query");
    server.stop().await;
}
