//! The program itself, as a process: how it starts, what it says, what it leaves, how it ends.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use convscope::checkpoint::{self, Dtype, METADATA_KEY, Tensor};
use convscope::network::Preprocessing;
use convscope::network::spec::Input;
use convscope::picture::decode::{Limits, decode};
use reqwest::Client;

use crate::support::{eventually, horse, models, untrained};

/// `convscope` in an empty folder of its own.
pub(crate) struct Program {
    pub(crate) child: Child,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) address: String,
    said: Arc<Mutex<Vec<String>>>,
}

/// `convscope` in `folder`, at `address`, with these variables, no token, and no grace unless they say so.
pub(crate) fn command(folder: &Path, address: &str, settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_convscope"));
    command.args(["--listen", address]).current_dir(folder).stdin(Stdio::null()).stderr(Stdio::piped());
    command.env("CONVSCOPE_MODELS__DIR", models()).env_remove("CONVSCOPE_ADMIN_TOKEN");
    command.env("CONVSCOPE_SERVER__GRACE_SECONDS", "0").envs(settings.iter().copied());
    command
}

impl Program {
    pub(crate) fn start(settings: &[(&str, &str)]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), settings)
    }

    /// The same, in a folder that was used before.
    pub(crate) fn start_in(folder: tempfile::TempDir, settings: &[(&str, &str)]) -> Self {
        let mut child = command(folder.path(), "127.0.0.1:0", settings).spawn().unwrap();
        let said = Arc::new(Mutex::new(Vec::new()));
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = loop {
            let line = lines.next().expect("the program ended before it listened").unwrap();
            said.lock().unwrap().push(line.clone());
            if let Some((_, found)) = line.split_once("listening on http://") {
                break found.split('"').next().unwrap().to_owned();
            }
        };
        let rest = Arc::clone(&said);
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| rest.lock().unwrap().push(line)));
        Self { child, folder, address, said }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Everything it wrote to standard error.
    pub(crate) fn said(&self) -> String {
        self.said.lock().unwrap().join("\n")
    }

    /// Ends it as a signal does, and gives its folder.
    pub(crate) async fn stop(mut self) -> tempfile::TempDir {
        self.signal("-TERM");
        assert!(self.end().await.success());
        std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap())
    }

    pub(crate) fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap().success());
    }

    pub(crate) async fn end(&mut self) -> ExitStatus {
        let child = &mut self.child;
        eventually("the program's end", async || child.try_wait().unwrap()).await
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_serves_from_an_empty_folder_and_ends_when_told() {
    let mut program = Program::start(&[]);
    let client = Client::new();
    let page = client.get(program.url("/")).send().await.unwrap();
    assert_eq!(page.status(), 200);
    let answer = client.post(program.url("/classify")).body(horse()).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(!answer.json::<serde_json::Value>().await.unwrap()["label"].is_null());

    // Nobody watches this terminal: the token is in a file, and in the log is only where.
    let file = program.folder.path().join("data/admin-token");
    let token = std::fs::read_to_string(&file).unwrap().trim().to_owned();
    let jobs = client.get(program.url("/admin/jobs")).bearer_auth(&token).send().await.unwrap();
    assert_eq!(jobs.status(), 200);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    program.signal("-TERM");
    assert!(program.end().await.success());
    let said = program.said();
    assert!(said.contains("admin-token") && !said.contains(&token), "{said}");
    assert!(said.contains("\"/classify\"") && said.contains("status"), "the access log: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_does_not_wait() {
    let mut program = Program::start(&[]);
    // A body that never comes would hold a graceful stop for the time of the drain.
    let mut held = tokio::net::TcpStream::connect(&program.address).await.unwrap();
    let head = "POST /classify HTTP/1.1\r\nhost: test\r\nexpect: 100-continue\r\ncontent-length: 10\r\n\r\n";
    tokio::io::AsyncWriteExt::write_all(&mut held, head.as_bytes()).await.unwrap();
    let mut asked = [0; 12];
    tokio::io::AsyncReadExt::read_exact(&mut held, &mut asked).await.unwrap();
    assert_eq!(&asked, b"HTTP/1.1 100");
    program.signal("-INT");
    eventually("the drain", async || program.said().contains("stopping").then_some(())).await;
    program.signal("-INT");
    assert_eq!(program.end().await.code(), Some(130));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cause_of_a_failure_is_logged_once_under_its_requests_id() {
    let mut program = Program::start(&[]);
    // Listed by its header, which is right in itself; that its weights are not the network's shows when it is loaded.
    let versions = program.folder.path().join("data/models/odd");
    checkpoint::save(&versions.join("1.safetensors"), &untrained("tutorial", 3)).unwrap();
    let metadata = serde_json::to_string(untrained("tutorial", 3).metadata()).unwrap();
    let weight = Tensor { name: "conv7.weight", shape: &[1], values: &[0.5] };
    let bytes = checkpoint::safetensors_bytes(&[(METADATA_KEY.to_owned(), metadata)].into(), &[weight], Dtype::F32);
    std::fs::write(versions.join("2.safetensors"), bytes).unwrap();
    let request =
        Client::new().post(program.url("/classify?model=odd&version=2")).header("x-request-id", "find-me-7").body(horse());
    let answer = request.send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["x-request-id"].to_str().unwrap()), (500, "find-me-7"));
    let said = answer.text().await.unwrap();
    assert!(!said.contains("odd") && !said.contains("conv7"), "{said}");
    program.signal("-TERM");
    assert!(program.end().await.success());
    let said = program.said.lock().unwrap().clone();
    let errors: Vec<_> = said.iter().filter(|line| line.contains("ERROR") && line.contains("find-me-7")).collect();
    assert!(errors.len() == 1 && errors[0].contains("`odd`"), "{said:?}");
}

/// A PNG of one colour: small on the wire, large in memory.
fn plain(width: u32, height: u32, color: png::ColorType) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(color);
    encoder.set_compression(png::Compression::Fast);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&vec![90; width as usize * height as usize * color.samples()]).unwrap();
    writer.finish().unwrap();
    bytes
}

/// The most memory the process ever held, in MiB.
pub(crate) fn peak(process: u32) -> u64 {
    let status = std::fs::read_to_string(Path::new("/proc").join(process.to_string()).join("status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().trim().parse::<u64>().unwrap() / 1024
}

#[tokio::test(flavor = "multi_thread")]
#[cfg(target_os = "linux")]
async fn bombs_and_crowds_of_large_images_leave_memory_flat() {
    let mut program = Program::start(&[("CONVSCOPE_LIMITS__DECODE_MIB", "250"), ("CONVSCOPE_LIMITS__MEGAPIXELS", "12")]);
    let client = Client::builder().timeout(Duration::from_secs(120)).build().unwrap();
    let classify = |body: Vec<u8>| {
        let request = client.post(program.url("/classify")).body(body);
        async move {
            let answer = request.send().await.unwrap();
            (answer.status().as_u16(), answer.text().await.unwrap())
        }
    };
    let large = plain(4000, 3000, png::ColorType::Rgb);
    assert_eq!(classify(large.clone()).await.0, 200);
    let before = peak(program.child.id());
    // Sound in every other way: with another limit it is read.
    let bomb = plain(5000, 5000, png::ColorType::Grayscale);
    let preprocessing = Preprocessing::unit(Input { channels: 3, height: 32, width: 32 });
    let picture = decode(&bomb, &preprocessing.target(), &Limits { pixels: 25_000_000, memory: 250 << 20 });
    assert_eq!(picture.map(|picture| picture.pixels.values().len()), Ok(32 * 32 * 3));
    let mut asking = tokio::task::JoinSet::new();
    for i in 0..48 {
        let (large, request) = if i % 2 == 0 { (true, classify(large.clone())) } else { (false, classify(bomb.clone())) };
        asking.spawn(async move { (large, request.await) });
    }
    for (large, (status, text)) in asking.join_all().await {
        let refused = status == 413 && text.contains("5000×5000 pixels, more than the 12000000 allowed");
        assert!(if large { status == 200 } else { refused }, "{status}: {text}");
    }
    // 24 images of 36 MB at once would be 864 MB; those in hand may take 250.
    let more = peak(program.child.id()) - before;
    assert!(more < 400, "{more} MiB more than for one image");
    program.signal("-TERM");
    assert!(program.end().await.success());
}

#[tokio::test(flavor = "multi_thread")]
#[cfg(target_os = "linux")]
async fn who_asks_for_a_large_matrix_and_reads_nothing_costs_no_copy_of_it() {
    let mut program = Program::start(&[]);
    let ask = async || {
        let mut stream = tokio::net::TcpStream::connect(&program.address).await.unwrap();
        let head = b"GET /layers/fc3/weights?model=tutorial&format=npy HTTP/1.1\r\nhost: test\r\n\r\n";
        tokio::io::AsyncWriteExt::write_all(&mut stream, head).await.unwrap();
        let mut begun = [0; 15];
        tokio::io::AsyncReadExt::read_exact(&mut stream, &mut begun).await.unwrap();
        assert_eq!(&begun, b"HTTP/1.1 200 OK");
        stream
    };
    let mut held = vec![ask().await];
    let before = peak(program.child.id());
    for _ in 0..32 {
        held.push(ask().await);
    }
    // 16 MiB each would be 512.
    let more = peak(program.child.id()) - before;
    assert!(more < 100, "{more} MiB more than for one reader");
    drop(held);
    program.signal("-TERM");
    assert!(program.end().await.success());
}
