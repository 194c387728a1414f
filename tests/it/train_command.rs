//! `convscope train` as it is typed, piped, interrupted and killed.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use convscope::checkpoint;
use convscope::kernels::Tier;
use convscope::training::Recipe;
use serde_json::Value;

use crate::training::{images, small};

/// `convscope train` of the small network into `folder`/m.safetensors, with `more` arguments.
fn train(folder: &Path, more: &[&str]) -> Command {
    train_on(&images(), folder, more)
}

/// The same, on the images at `data`.
fn train_on(data: &Path, folder: &Path, more: &[&str]) -> Command {
    std::fs::write(folder.join("small.toml"), toml::to_string(&small()).unwrap()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_convscope"));
    command.current_dir(folder).args(["train", "--arch", "small.toml", "--out", "m.safetensors", "--device", "cpu", "--data"]);
    command.arg(data).args(["--batch-size", "64", "--set", "schedule=constant"]).args(more);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Reads events until one is called `name`.
fn wait_for(child: &mut Child, name: &str) -> Value {
    // Unbuffered, so that nothing is taken that a later call is to see.
    let mut output = BufReader::with_capacity(1, child.stdout.as_mut().unwrap());
    let mut line = String::new();
    loop {
        line.clear();
        assert!(output.read_line(&mut line).unwrap() > 0, "no `{name}`");
        let event: Value = serde_json::from_str(&line).unwrap();
        if event["event"] == name {
            return event["data"].clone();
        }
    }
}

fn stderr(mut child: Child) -> (Option<i32>, String) {
    let mut text = String::new();
    child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    (child.wait().unwrap().code(), text)
}

#[test]
fn epochs_are_lines_and_every_key_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let set = ["--epochs", "2", "--seed", "5", "--set", "augmentation.flip=false", "--set", "learning_rate=0.05"];
    let output = train(folder.path(), &set).output().unwrap();
    let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{stderr}");
    assert_eq!(stdout.lines().filter(|line| line.starts_with("epoch ")).count(), 2, "{stdout}");
    assert!(stdout.lines().last().unwrap().starts_with("m: "), "{stdout}");
    let model = checkpoint::load(&folder.path().join("m.safetensors")).unwrap();
    let recipe: Recipe = serde_json::from_value(model.metadata().recipe.clone().unwrap()).unwrap();
    assert_eq!((recipe.epochs, recipe.seed, recipe.batch_size, recipe.learning_rate), (2, 5, 64, 0.05));
    assert!(!recipe.augmentation.flip && recipe.augmentation.crop_padding == 4);
}

#[test]
fn a_killed_run_resumes_to_the_bytes_of_one_that_was_not() {
    let [whole, killed] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let arguments = ["--epochs", "3", "--set", "ema_decay=0.9", "--events", "jsonl"];
    assert!(train(whole.path(), &arguments).output().unwrap().status.success());
    let mut child = train(killed.path(), &arguments).spawn().unwrap();
    assert_eq!(wait_for(&mut child, "epoch")["epoch"], 1);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!killed.path().join("m.safetensors").exists());
    let mut child = train(killed.path(), &[&arguments[..], &["--resume"]].concat()).spawn().unwrap();
    assert!(wait_for(&mut child, "epoch")["epoch"].as_u64() > Some(1));
    wait_for(&mut child, "done");
    assert_eq!(stderr(child), (Some(0), String::new()));
    let bytes = |folder: &Path| std::fs::read(folder.join("m.safetensors")).unwrap();
    assert!(bytes(whole.path()) == bytes(killed.path()));
}

#[test]
fn the_end_of_its_input_ends_it_only_where_that_is_a_pipe() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = train(folder.path(), &["--epochs", "10000", "--events", "jsonl"]).stdin(Stdio::piped()).spawn().unwrap();
    wait_for(&mut child, "epoch");
    drop(child.stdin.take());
    let (code, text) = stderr(child);
    assert_eq!(code, Some(1));
    assert!(text.starts_with("stopped after ") && !text.contains("error"), "{text}");
    assert!(text.contains(" of 10000 epochs, which are kept: the same command with --resume goes on"), "{text}");
    assert!(folder.path().join("m.safetensors.state").exists());
    // /dev/null ends at once, and means nothing: the other tests run with it.
}

#[test]
#[cfg(unix)]
fn ctrl_c_ends_it_as_cancelled_and_what_is_over_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["--epochs", "10000", "--events", "jsonl"];
    let mut child = train(folder.path(), &arguments).spawn().unwrap();
    let first = wait_for(&mut child, "epoch");
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let ended = wait_for(&mut child, "cancelled");
    assert!(ended["epoch"].as_u64() >= first["epoch"].as_u64());
    let (code, text) = stderr(child);
    assert!(code == Some(1) && text.starts_with("stopped after ") && text.contains("--resume goes on"), "{text}");
    let mut child = train(folder.path(), &[&arguments[..], &["--resume"]].concat()).spawn().unwrap();
    assert_eq!(wait_for(&mut child, "epoch")["epoch"].as_u64(), ended["epoch"].as_u64().map(|epoch| epoch + 1));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn faults_are_sentences_and_events() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = ["--set", "learning_rat=1", "--set", "momentum=2", "--events", "jsonl"];
    let output = train(folder.path(), &wrong).output().unwrap();
    let event: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(event["event"], "failed");
    let text = String::from_utf8(output.stderr).unwrap();
    for part in ["did you mean `learning_rate`?", "`momentum` is 2: it must be at least 0 and below 1"] {
        assert!(text.contains(part) && event["data"]["error"].as_str().unwrap().contains(part), "{text}");
    }
    assert_eq!(output.status.code(), Some(2), "as for any argument that cannot be used");
}

#[test]
fn a_recipe_file_says_what_differs_from_the_default() {
    let folder = tempfile::tempdir().unwrap();
    let mine = folder.path().join("mine.toml");
    std::fs::write(&mine, "epochs = 1\nlabel_smoothing = 0.2\naugmentation = { flip = false }\n").unwrap();
    let output = train(folder.path(), &["--recipe", "mine.toml"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let model = checkpoint::load(&folder.path().join("m.safetensors")).unwrap();
    let recipe: Recipe = serde_json::from_value(model.metadata().recipe.clone().unwrap()).unwrap();
    let default = Recipe::named("default").unwrap();
    assert_eq!((recipe.epochs, recipe.label_smoothing, recipe.augmentation.flip), (1, 0.2, false));
    assert_eq!((recipe.learning_rate, recipe.augmentation.crop_padding), (default.learning_rate, 4));

    std::fs::write(&mine, "epoch = 1\n").unwrap();
    let complaint = |recipe: &str| {
        let output = train(folder.path(), &["--recipe", recipe]).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap()
    };
    let text = complaint("mine.toml");
    assert!(text.contains("mine.toml: ") && text.contains("did you mean `epochs`?"), "{text}");
    let text = complaint("fast");
    assert!(text.contains("the recipes are default, published, tutorial"), "{text}");
}

#[test]
fn a_model_or_epochs_that_are_there_are_replaced_only_where_that_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let [model, state] = ["m.safetensors", "m.safetensors.state"].map(|name| folder.path().join(name));
    let once = ["--epochs", "1"];
    let refused = |more: &[&str]| {
        let before = [&model, &state].map(|path| std::fs::read(path).ok());
        let output = train(folder.path(), &[&once[..], more].concat()).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!([&model, &state].map(|path| std::fs::read(path).ok()) == before, "nothing is touched");
        String::from_utf8(output.stderr).unwrap()
    };
    let output = train(folder.path(), &once).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && said.contains(" after 1 epoch in "), "{said}");

    let text = refused(&[]);
    assert!(text.contains("m.safetensors is there already: --resume goes on with its run, --force replaces it"), "{text}");
    assert!(refused(&["--resume", "--force"]).contains("cannot be used with"));
    assert!(train(folder.path(), &["--epochs", "2", "--resume"]).status().unwrap().success());
    let two = std::fs::read(&model).unwrap();
    assert!(train(folder.path(), &["--epochs", "1", "--force"]).status().unwrap().success());
    assert!(std::fs::read(&model).unwrap() != two);

    std::fs::remove_file(&state).unwrap();
    let text = refused(&["--resume"]);
    assert!(text.contains("m.safetensors.state, from which --resume would go on, is not"), "{text}");
    std::fs::rename(&model, &state).unwrap();
    let text = refused(&[]);
    assert!(text.contains("m.safetensors.state has the epochs of an unfinished run: --resume goes on with it"), "{text}");
}

#[test]
fn what_a_killed_run_left_half_written_goes_with_the_next_and_nothing_else_does() {
    let folder = tempfile::tempdir().unwrap();
    let [left, others] = [".convscope-a1b2c3.tmp", ".a1b2c3.tmp"].map(|name| folder.path().join(name));
    for path in [&left, &others] {
        std::fs::write(path, "x").unwrap();
    }
    assert!(train(folder.path(), &["--epochs", "1"]).status().unwrap().success());
    assert!(!left.exists() && others.exists());
}

/// The notes of a run's `data` event.
fn notes(child: &mut Child) -> String {
    loop {
        let data = wait_for(child, "data");
        if data["stage"] == "ready" {
            return data["notes"].to_string();
        }
    }
}

#[test]
fn other_kernels_are_said_where_a_run_goes_on() {
    let tiers: Vec<String> = Tier::all().map(|tier| tier.to_string()).collect();
    let [fast, .., portable] = &tiers[..] else { return };
    let folder = tempfile::tempdir().unwrap();
    let go_on = |tier: &str, epochs: &str| {
        let mut command = train(folder.path(), &["--epochs", epochs, "--resume", "--events", "jsonl"]);
        let mut child = command.env("CONVSCOPE_KERNELS", tier).spawn().unwrap();
        let notes = notes(&mut child);
        wait_for(&mut child, "done");
        assert!(child.wait().unwrap().success());
        notes
    };
    assert!(!go_on(portable, "1").contains("computed by"));
    assert!(!go_on(portable, "2").contains("computed by"));
    let said = go_on(fast, "3");
    assert!(said.contains(&format!("2 epochs computed by portable so far, and the next by {fast}: ")), "{said}");
    assert!(go_on(fast, "4").contains(&format!("3 epochs computed by portable and {fast} so far")));
}

#[test]
fn exchanged_images_are_refused_by_what_has_changed() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("images");
    std::fs::create_dir(&data).unwrap();
    for entry in std::fs::read_dir(images()).unwrap().map(Result::unwrap) {
        std::fs::copy(entry.path(), data.join(entry.file_name())).unwrap();
    }
    let go_on = |epochs: &str| train_on(&data, folder.path(), &["--epochs", epochs, "--resume"]).output().unwrap();
    assert!(go_on("1").status.success());
    for (batch, what) in
        [("data_batch_1.bin", "it was begun on other training images"), ("test_batch.bin", "measured on other test images")]
    {
        let path = data.join(batch);
        let whole = std::fs::read(&path).unwrap();
        let mut changed = whole.clone();
        *changed.last_mut().unwrap() ^= 1;
        std::fs::write(&path, changed).unwrap();
        let output = go_on("2");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && text.contains(what) && text.contains("their number is the same"), "{text}");
        std::fs::write(&path, whole).unwrap();
    }
    assert!(go_on("2").status.success());
}

#[test]
fn channels_that_no_picture_has_are_refused_before_any_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = train(folder.path(), &["--epochs", "1"]);
    let strange = toml::to_string(&small()).unwrap().replace("channels = 3", "channels = 2");
    std::fs::write(folder.path().join("small.toml"), strange).unwrap();
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && output.stdout.is_empty(), "{text}");
    assert!(text.contains("images of 2 channels, and images have 1 (grey) or 3"), "{text}");
}

/// 320 images in batches of 319: the last one is alone, and its batch norm would have one value a channel.
#[test]
fn a_last_batch_that_no_batch_norm_can_measure_is_refused_before_the_first_step() {
    let folder = tempfile::tempdir().unwrap();
    let layers = "name = 'bare'\ninput = { channels = 3, height = 32, width = 32 }\n\
                  [[layers]]\nname = 'conv1'\nkind = 'conv2d'\nout_channels = 8\nkernel_size = 32\n\
                  [[layers]]\nname = 'norm1'\nkind = 'batch_norm2d'\n[[layers]]\nname = 'flat'\nkind = 'flatten'\n\
                  [[layers]]\nname = 'fc1'\nkind = 'linear'\nout_features = 10\n";
    std::fs::write(folder.path().join("bare.toml"), layers).unwrap();
    let train = |batch: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_convscope"));
        command.current_dir(folder.path()).args(["train", "--arch", "bare.toml", "--out", "m.safetensors", "--device", "cpu"]);
        command.args(["--events", "jsonl", "--epochs", "1", "--batch-size", batch, "--data"]).arg(images());
        let output = command.stdin(Stdio::null()).output().unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (done, events, said) = train("319");
    let sentence = "layer `norm1`: Expected more than 1 value per channel when training, got input size [1, 8, 1, 1]";
    assert!(!done && said.contains(sentence) && said.contains("batches of 1"), "{said}");
    assert!(!events.contains("\"step\"") && !folder.path().join("m.safetensors").exists(), "{events}");
    let (done, _, said) = train("318");
    assert!(done, "{said}");
}

/// The records of TensorBoard's file in `folder`, each with its checksums looked at.
fn records(folder: &Path) -> Vec<Vec<u8>> {
    // CRC-32C by division of polynomials, another way than the writer's.
    let checksum = |bytes: &[u8]| {
        let crc = !bytes.iter().fold(u32::MAX, |crc, byte| {
            let mut low = (crc ^ u32::from(*byte)) & 0xFF;
            (0..8).for_each(|_| low = (low >> 1) ^ (0x82F6_3B78 * (low & 1)));
            (crc >> 8) ^ low
        });
        crc.rotate_right(15).wrapping_add(0xA282_EAD8)
    };
    let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() == 1 && files[0].to_str().unwrap().contains("events.out.tfevents."), "{files:?}");
    let bytes = std::fs::read(&files[0]).unwrap();
    let (mut rest, mut records) = (bytes.as_slice(), Vec::new());
    while !rest.is_empty() {
        let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
        let word = |at: usize| u32::from_le_bytes(rest[at..at + 4].try_into().unwrap());
        let data = &rest[12..12 + length];
        assert_eq!((word(8), word(12 + length)), (checksum(&rest[..8]), checksum(data)));
        records.push(data.to_vec());
        rest = &rest[16 + length..];
    }
    records
}

#[test]
fn tensorboard_s_file_has_whole_records_of_every_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let output = train(folder.path(), &["--epochs", "3", "--tensorboard", "board/a", "--events", "jsonl"]).output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let events: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let epochs: Vec<&Value> = events.iter().filter(|event| event["event"] == "epoch").map(|event| &event["data"]).collect();
    let records = records(&folder.path().join("board/a"));
    let has = |record: &[u8], part: &[u8]| record.windows(part.len()).any(|window| window == part);
    assert!(has(&records[0], b"brain.Event:2"));
    let told: Vec<&Vec<u8>> = records.iter().filter(|record| has(record, b"epoch/test_loss")).collect();
    assert_eq!(told.len(), 3);
    let steps: Vec<&Value> = events.iter().filter(|event| event["event"] == "step").map(|event| &event["data"]).collect();
    let of_steps: Vec<&Vec<u8>> = records.iter().filter(|record| has(record, b"step/gradient_norm")).collect();
    assert!(!steps.is_empty() && of_steps.len() == steps.len());
    for (record, step) in of_steps.into_iter().zip(steps) {
        let norm = (step["gradient_norm"].as_f64().unwrap() as f32).to_le_bytes();
        assert!(has(record, &[b"step/gradient_norm\x15", norm.as_slice()].concat()), "{record:?}");
    }
    for (record, epoch) in told.into_iter().zip(epochs) {
        // Field 2 of the event is the step, field 2 of a value its number, after the tag.
        assert!(has(record, &[0x10, epoch["epoch"].as_u64().unwrap() as u8]), "{record:?}");
        let loss = (epoch["test_loss"].as_f64().unwrap() as f32).to_le_bytes();
        assert!(has(record, &[b"epoch/test_loss\x15", loss.as_slice()].concat()), "{record:?}");
    }
}
