//! `/models/{name}/file`: the file that answers, byte for byte.

use convscope::checkpoint::{self, Dtype};
use reqwest::Method;

use crate::support::{Answer, Server, models, untrained};

const PATH: &str = "/models/tutorial/file";

#[tokio::test(flavor = "multi_thread")]
async fn a_model_is_given_as_the_file_it_is_served_from() {
    let server = Server::start().await;
    let file = std::fs::read(models().join("tutorial.safetensors")).unwrap();
    let answer = server.get(PATH).await;
    assert_eq!(answer.status, 200);
    assert!(answer.body == file, "{} bytes of {}", answer.body.len(), file.len());
    assert_eq!(answer.header("content-length"), Some(file.len().to_string().as_str()));
    assert_eq!(answer.header("content-disposition"), Some("attachment; filename=\"tutorial.safetensors\""));
    assert_eq!(answer.header("content-type"), Some("application/octet-stream"));
    assert!(server.get("/models/tutorial/file?version=1").await.body == file);

    let head = Answer::of(server.request(Method::HEAD, PATH)).await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
    for name in ["content-length", "etag", "content-disposition"] {
        assert_eq!(head.header(name), answer.header(name), "{name}");
    }
    let tag = answer.header("etag").unwrap();
    for known in [tag.to_owned(), format!("\"other\", W/{tag}")] {
        let same = Answer::of(server.request(Method::GET, PATH).header("if-none-match", known)).await;
        assert_eq!((same.status.as_u16(), same.body.len(), same.header("etag")), (304, 0, Some(tag)));
    }
    assert_eq!(Answer::of(server.request(Method::GET, PATH).header("if-none-match", "\"other\"")).await.status, 200);

    let sentence = server.get("/models/nobody/file").await.refused(404, "unknown_model");
    assert!(sentence.contains("`tutorial`"), "{sentence}");
    server.get("/models/tutorial/file?version=9").await.refused(404, "unknown_model");
    server.get("/models/..%2f..%2fetc%2fpasswd/file").await.refused(404, "unknown_model");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_model_is_given_too_and_another_file_has_another_tag() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::with(|config| folder.path().clone_into(&mut config.models.dir)).await;
    let embedded = server.get(PATH).await;
    assert!(embedded.body == std::fs::read("models/tutorial.safetensors").unwrap());

    let mut tags = vec![embedded.header("etag").unwrap().to_owned()];
    let own = server.data_dir().join("models/mine");
    std::fs::create_dir_all(&own).unwrap();
    for seed in [1, 2, 3] {
        // The second version is written over by a third content.
        let path = own.join(format!("{}.safetensors", seed.min(2)));
        checkpoint::save_as(&path, &untrained("lenet5", seed), Dtype::F16).unwrap();
        let file = std::fs::read(&path).unwrap();
        let answer = server.get(&format!("/models/mine/file?version={}", seed.min(2))).await;
        assert!(answer.body == file, "seed {seed}");
        let name = if seed == 1 { "mine.safetensors" } else { "mine-2.safetensors" };
        assert!(answer.header("content-disposition").unwrap().ends_with(&format!("\"{name}\"")));
        tags.push(answer.header("etag").unwrap().to_owned());
    }
    tags.sort_unstable();
    tags.dedup();
    assert_eq!(tags.len(), 4);
    server.stop().await;
}
