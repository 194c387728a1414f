//! The error table, a row at a time and over the wire: nothing here is made up, each refusal has its real reason.

use std::time::Duration;

use convscope::checkpoint::{self, Dtype, METADATA_KEY, Tensor};
use reqwest::multipart::{Form, Part};
use reqwest::{Body, Method};
use serde_json::json;

use crate::support::{Answer, HalfSent, Server, horse, untrained};

fn image() -> Part {
    Part::bytes(horse())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_400() {
    let server = Server::start().await;
    let sentence = server.post("/classify?topk=3", horse()).await.refused(400, "bad_query");
    assert!(sentence.contains("Did you mean `top_k`?"), "{sentence}");
    for (query, part) in [
        ("top_k=0", "top_k: must be a whole number from 1"),
        ("top_k=-1", "not `-1`"),
        ("top_k=99999999999999999999", "not `99999999999999999999`"),
        ("version=1.0", "version: must be a whole number from 0"),
        ("partial=maybe", "partial: "),
        ("version=1&version=1", "twice"),
        ("mask=conv1", "conv1:3,7;conv2:0"),
    ] {
        let sentence = server.post(&format!("/classify?{query}"), horse()).await.refused(400, "bad_query");
        assert!(sentence.contains(part), "{query}: {sentence}");
    }
    let numbers = ["zoom=0", "columns=0", "zoom=100000", "zoom=4294967295", "columns=4294967296", "channel=-1", "channel=1e3"];
    for query in ["colormap=jet", "scale=big", "format=gif"].into_iter().chain(numbers) {
        for layer in ["conv1", "fc4", "input"] {
            server.post(&format!("/featuremaps/{layer}?{query}"), horse()).await.refused(400, "bad_query");
            server.get(&format!("/featuremaps/{layer}?sample=horse&{query}")).await.refused(400, "bad_query");
        }
    }
    for path in ["/layers?version=x", "/layers/conv1/weights?channel=-1", "/samples/horse?size=64"] {
        server.get(path).await.refused(400, "bad_query");
    }
    server.get("/models?all=1").await.refused(400, "bad_query");
    let timeout = server.request(Method::POST, "/classify").body(horse()).header("x-timeout-ms", "soon");
    Answer::of(timeout).await.refused(400, "bad_request");
    server.get("/layers/%ff/weights").await.refused(400, "bad_request");
    let form = "--x\r\ncontent-disposition: form-data; name=\"image\"\r\n\r\nnever closed";
    let broken = server.request(Method::POST, "/classify").header("content-type", "multipart/form-data; boundary=x").body(form);
    Answer::of(broken).await.refused(400, "bad_request");
    let unbounded = server.request(Method::POST, "/classify").header("content-type", "multipart/form-data").body(form);
    let sentence = Answer::of(unbounded).await.refused(400, "bad_request");
    assert!(sentence.contains("boundary") && sentence.contains("curl -F"), "{sentence}");
    let misnamed = server.request(Method::POST, "/classify").multipart(Form::new().part("imge", image()));
    let sentence = Answer::of(misnamed).await.refused(400, "bad_request");
    assert!(sentence.contains("`imge`") && sentence.contains("`image`"), "{sentence}");
    let two = Form::new().part("image", image()).part("image", image());
    Answer::of(server.request(Method::POST, "/featuremaps/conv1").multipart(two)).await.refused(400, "bad_request");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_usable_image_says_why() {
    let server = Server::start().await;
    server.post("/classify", "").await.refused(400, "no_image");
    let empty = Form::new().part("image", Part::bytes(Vec::new()));
    Answer::of(server.request(Method::POST, "/classify").multipart(empty)).await.refused(400, "no_image");
    let cut = horse()[..500].to_vec();
    server.post("/classify", cut.clone()).await.refused(400, "bad_image");
    server.post("/featuremaps/conv1", cut.clone()).await.refused(400, "bad_image");
    let third = Form::new().part("image", image()).part("image", image()).part("image", Part::bytes(cut));
    let sentence = Answer::of(server.request(Method::POST, "/classify").multipart(third)).await.refused(400, "bad_image");
    assert!(sentence.starts_with("image 3: "), "{sentence}");
    server.post("/classify", "hello").await.refused(415, "unsupported_image");
    let avif = b"\0\0\0\x20ftypavif\0\0\0\0avifmif1miafMA1B".to_vec();
    let sentence = server.post("/classify", avif).await.refused(415, "unsupported_image");
    assert!(sentence.contains("AVIF"), "{sentence}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn admin_is_for_those_with_the_token() {
    let server = Server::start().await;
    for (method, path) in [
        (Method::POST, "/admin/train"),
        (Method::GET, "/admin/jobs"),
        (Method::GET, "/admin/datasets"),
        (Method::PUT, "/admin/datasets/x"),
        (Method::DELETE, "/admin/datasets/x"),
        (Method::GET, "/admin/jobs/x"),
        (Method::DELETE, "/admin/jobs/x"),
        (Method::POST, "/admin/jobs/x/cancel"),
        (Method::POST, "/admin/jobs/x/resume"),
        (Method::GET, "/admin/jobs/x/events"),
    ] {
        let request = || server.request(method.clone(), path);
        let answer = Answer::of(request()).await;
        answer.refused(401, "unauthorized");
        assert!(answer.header("www-authenticate").unwrap().starts_with("Bearer"));
        Answer::of(request().basic_auth("admin", Some("x"))).await.refused(401, "unauthorized");
        Answer::of(request().bearer_auth("wrong")).await.refused(401, "unauthorized");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_404_and_names_what_is() {
    let server = Server::start().await;
    server.get("/nothing").await.refused(404, "not_found");
    let sentence = server.post("/classify?model=vgg", horse()).await.refused(404, "unknown_model");
    assert!(sentence.contains("`tutorial`"), "{sentence}");
    server.post("/classify?version=9", horse()).await.refused(404, "unknown_model");
    server.post("/classify?model=..%2Fetc", horse()).await.refused(404, "unknown_model");
    let sentence = server.post("/featuremaps/conv3", horse()).await.refused(404, "unknown_layer");
    assert!(sentence.contains("conv1, act1"), "{sentence}");
    server.post("/featuremaps?layers=conv1,conv3", horse()).await.refused(404, "unknown_layer");
    server.post("/classify?mask=conv3:0", horse()).await.refused(404, "unknown_layer");
    server.get("/samples/unicorn").await.refused(404, "unknown_sample");
    let elsewhere = json!({"arch": "tutorial", "data": "imagenet"});
    let sentence = server.admin(Method::POST, "/admin/train", Some(elsewhere)).await.refused(404, "unknown_dataset");
    assert!(sentence.contains("there are none yet") && sentence.contains("fetch-data"), "{sentence}");
    for (method, path) in [
        (Method::GET, "/admin/jobs/nine"),
        (Method::DELETE, "/admin/jobs/nine"),
        (Method::POST, "/admin/jobs/nine/cancel"),
        (Method::POST, "/admin/jobs/nine/resume"),
        (Method::GET, "/admin/jobs/nine/events"),
    ] {
        server.admin(method, path, None).await.refused(404, "unknown_job");
    }
    let answer = server.get("/classify").await;
    answer.refused(405, "method_not_allowed");
    assert_eq!(answer.header("allow"), Some("POST"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_or_image_beyond_the_limits_is_413() {
    let server = Server::with(|config| {
        config.limits.body_bytes = 10_000;
        config.limits.pixels = 1_000;
        config.limits.queue_images = 2;
    })
    .await;
    let large = vec![7; 20_000];
    server.post("/classify", large.clone()).await.refused(413, "body_too_large");
    let parts = large.chunks(1_000).map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec())).collect::<Vec<_>>();
    let unannounced = server.request(Method::POST, "/classify").body(Body::wrap_stream(tokio_stream::iter(parts)));
    Answer::of(unannounced).await.refused(413, "body_too_large");
    let form = Form::new().part("image", Part::bytes(large));
    Answer::of(server.request(Method::POST, "/classify").multipart(form)).await.refused(413, "body_too_large");
    // A client that reads nothing before it has sent everything, more than the system keeps for it.
    let unread = HalfSent::unasked(&server, "/classify", &vec![7; 8 << 20]).await.answer().await;
    assert!(unread.starts_with("HTTP/1.1 413") && unread.contains(r#""code":"body_too_large""#), "{unread}");
    let sentence = server.post("/classify", horse()).await.refused(413, "image_too_large");
    assert!(sentence.contains("32×32") && sentence.contains("1000"), "{sentence}");
    let three = Form::new().part("image", image()).part("image", image()).part("image", image());
    Answer::of(server.request(Method::POST, "/classify").multipart(three)).await.refused(413, "too_many_images");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_images_are_all_admitted_or_none() {
    let server = Server::with(|config| config.limits.queue_images = 3).await;
    let held = HalfSent::begin(&server, "/classify", "", &horse()).await;
    let post = async |count: usize| {
        let form = (0..count).fold(Form::new(), |form, _| form.part("image", image()));
        Answer::of(server.request(Method::POST, "/classify").multipart(form)).await
    };
    let refusal = post(3).await;
    refusal.refused(429, "queue_full");
    refusal.says_when();
    assert_eq!(post(2).await.ok()["results"].as_array().unwrap().len(), 2);
    assert!(held.finish().await.starts_with("HTTP/1.1 200"));
    assert_eq!(post(3).await.ok()["results"].as_array().unwrap().len(), 3);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_contradicts_itself_is_422() {
    let server = Server::start().await;
    let sentence = server.post("/classify?mask=conv1:99", horse()).await.refused(422, "unprocessable");
    assert!(sentence.contains("0 to 31"), "{sentence}");
    for form in ["png", "json", "f32", "npy"] {
        for (layer, channel) in [("conv1", 32), ("fc4", 10), ("input", 3)] {
            let path = format!("/featuremaps/{layer}?channel={channel}&format={form}");
            let sentence = server.post(&path, horse()).await.refused(422, "unprocessable");
            assert!(sentence.contains(&format!("0 to {}", channel - 1)), "{sentence}");
        }
    }
    let sentence = server.get("/layers/conv1/weights?channel=32").await.refused(422, "unprocessable");
    assert!(sentence.contains("0 to 31"), "{sentence}");
    std::fs::create_dir_all(server.data_dir().join("datasets/cifar-10")).unwrap();
    let train = async |body| server.admin(Method::POST, "/admin/train", Some(body)).await;
    let sentence = train(json!({"arch": "vgg", "data": "cifar-10"})).await.refused(422, "unprocessable");
    assert!(sentence.contains("tutorial"), "{sentence}");
    let network = json!({"name": "n", "input": {"channels": 3, "height": 32, "width": 32}, "layers": [
        {"name": "fc", "kind": "linear", "out_features": 10},
    ]});
    let sentence = train(json!({"arch": network, "data": "cifar-10"})).await.refused(422, "unprocessable");
    assert!(sentence.contains("`fc`") && sentence.contains("flatten"), "{sentence}");
    let sentence = train(json!({"arch": "tutorial", "data": "cifar-10", "learning_rat": 1})).await.refused(422, "unprocessable");
    assert!(sentence.contains("`learning_rate`"), "{sentence}");
    train(json!({"data": "cifar-10"})).await.refused(400, "bad_request");
    let nonsense = server.request(Method::POST, "/admin/train").bearer_auth(crate::support::TOKEN).body("{");
    Answer::of(nonsense).await.refused(400, "bad_request");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_named_only_where_that_is_allowed() {
    let server = Server::with(|config| config.train.allow_paths = false).await;
    for data in ["/etc", "../cifar", "a/b", ""] {
        let body = json!({"arch": "tutorial", "data": data});
        server.admin(Method::POST, "/admin/train", Some(body)).await.refused(403, "forbidden");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_stops_is_408_and_frees_its_place() {
    let server = Server::with(|config| {
        config.server.header_timeout = Duration::from_secs(1);
        config.limits.queue_images = 1;
    })
    .await;
    let answer = HalfSent::begin(&server, "/classify", "", &horse()).await.answer().await;
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains(r#""code":"request_timeout""#), "{answer}");
    server.post("/classify", horse()).await.ok();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_is_kept() {
    let server = Server::start().await;
    let answer = HalfSent::begin(&server, "/classify", "x-timeout-ms: 50\r\n", &horse()).await.answer().await;
    assert!(answer.starts_with("HTTP/1.1 504") && answer.contains(r#""code":"timed_out""#), "{answer}");
    let enough = server.request(Method::POST, "/classify").header("x-timeout-ms", "60000").body(horse());
    Answer::of(enough).await.ok();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_of_ours_is_500_without_its_cause_and_a_broken_version_is_passed_over() {
    let server = Server::start().await;
    let versions = server.data_dir().join("models/odd");
    checkpoint::save(&versions.join("1.safetensors"), &untrained("tutorial", 3)).unwrap();
    // Its header is right in itself; that its weights are not the network's shows only when it is loaded.
    let metadata = serde_json::to_string(untrained("tutorial", 3).metadata()).unwrap();
    let weight = Tensor { name: "conv7.weight", shape: &[1], values: &[0.5] };
    let bytes = checkpoint::safetensors_bytes(&[(METADATA_KEY.to_owned(), metadata)].into(), &[weight], Dtype::F32);
    std::fs::write(versions.join("2.safetensors"), bytes).unwrap();
    let sentence = server.post("/classify?model=odd&version=2", horse()).await.refused(500, "internal");
    assert!(!sentence.contains("conv7") && sentence.contains("x-request-id"), "{sentence}");
    let answer = server.post("/classify?model=odd", horse()).await.ok();
    assert_eq!(answer["model"]["version"], 1);
    server.stop().await;
}
