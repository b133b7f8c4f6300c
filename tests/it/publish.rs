//! `publish`, by orlop and by sops, to the servers of others: Amazon S3, Google Cloud Storage, Vault.
//!
//! For S3 and Google the servers are moto and gcp-storage-emulator. For Vault it is a recorder that keeps what it is given
//! as a key-value engine does: what counts is that orlop sends what the real sops sends.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cli::{CANARY, Desk, SAMPLE};
use crate::support::peers;

/// A server of a peer that runs until it is dropped.
struct Server {
    child: Child,
    url: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Server {
    fn start(program: &str, words: impl Fn(&str) -> Vec<String>) -> Self {
        let port = free_port();
        let path = peers().join(program);
        assert!(path.exists(), "{} is missing: run tests/peers/install", path.display());
        let child = Command::new(path)
            .args(words(&port.to_string()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { child, url: format!("http://127.0.0.1:{port}") };
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(began.elapsed() < Duration::from_secs(120), "{program} does not listen");
            std::thread::sleep(Duration::from_millis(100));
        }
        server
    }

    fn curl(&self, words: &[&str], path: &str) -> String {
        // Signed, though moto looks at the name only: who signs nothing may not read.
        let output = Command::new("curl")
            .args(["--silent", "--show-error", "--fail-with-body"])
            .args(["--aws-sigv4", "aws:amz:us-east-1:s3", "--user", "test:canary-key"])
            .args(words)
            .arg(format!("{}{path}", self.url))
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{path}: {text}{}", String::from_utf8_lossy(&output.stderr));
        text
    }
}

fn moto() -> Server {
    let server =
        Server::start("moto_server", |port| ["-H", "127.0.0.1", "-p", port].map(str::to_owned).to_vec());
    for bucket in ["theirs", "ours"] {
        server.curl(&["-X", "PUT"], &format!("/{bucket}"));
    }
    server
}

fn google() -> Server {
    let server = Server::start("gcp-storage-emulator", |port| {
        ["start", "--host=127.0.0.1", &format!("--port={port}"), "--in-memory"].map(str::to_owned).to_vec()
    });
    for bucket in ["theirs", "ours"] {
        let name = json!({ "name": bucket }).to_string();
        let words = ["-X", "POST", "-H", "Content-Type: application/json", "-d", &name];
        server.curl(&words, "/storage/v1/b?project=test");
    }
    server
}

const PROGRAMS: [&str; 2] = ["theirs", "ours"];

/// Runs `publish` by sops or orlop in the folder that is called so.
fn publish(desk: &Desk, whose: &str, words: &[&str], env: &[(&str, &str)], input: &str) -> Output {
    let model = desk.orlop([]);
    let program = if whose == "theirs" { peers().join("sops") } else { model.get_program().into() };
    let mut command = Command::new(program);
    command
        .arg("publish")
        .args(words)
        .current_dir(desk.path(whose))
        .env_clear()
        .envs(model.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))))
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "canary-key")
        .env("AWS_REGION", "us-east-1")
        .envs(env.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(whose == "theirs" || !message.contains(CANARY), "{message}");
    assert!(!message.contains("panicked"), "{message}");
    output
}

#[track_caller]
fn succeeded(output: Output) -> (String, String) {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (text(output.stdout), text(output.stderr))
}

/// A folder for each program, with a config file whose rule is `rule`; WHOSE stands for the program's own place.
fn desk_with(rule: &str) -> Desk {
    let desk = Desk::new();
    for whose in PROGRAMS {
        std::fs::create_dir_all(desk.path(whose).join("tree/sub")).unwrap();
        let rule = rule.replace("WHOSE", whose);
        let config = format!("creation_rules:\n  - age: {}\ndestination_rules:\n{rule}", desk.recipient);
        desk.file(&format!("{whose}/.sops.yaml"), &config);
    }
    desk
}

fn sealed_for_both(desk: &Desk, name: &str, plain: &str) -> String {
    let sealed = desk.sealed("f.yaml", plain);
    for whose in PROGRAMS {
        desk.file(&format!("{whose}/{name}"), &sealed);
    }
    sealed
}

#[test]
fn a_file_goes_to_s3_as_it_is_and_only_when_it_changed() {
    let server = moto();
    let desk = desk_with("  - s3_bucket: WHOSE\n    s3_prefix: some/prefix-\n");
    let sealed = sealed_for_both(&desk, "f.yaml", SAMPLE);
    let env = [("AWS_ENDPOINT_URL", server.url.as_str())];
    for whose in PROGRAMS {
        succeeded(publish(&desk, whose, &["--yes", "f.yaml"], &env, ""));
        assert_eq!(server.curl(&[], &format!("/{whose}/some/prefix-f.yaml")), sealed, "{whose}");
    }
    let (_, message) = succeeded(publish(&desk, "ours", &["--yes", "f.yaml"], &env, ""));
    assert_eq!(message, "s3://ours/some/prefix-f.yaml is already up to date\n");
    desk.file("ours/f.yaml", &sealed.replace("sops:", "# more\nsops:"));
    let (_, message) = succeeded(publish(&desk, "ours", &["--yes", "f.yaml"], &env, ""));
    assert_eq!(message, "");
    assert!(server.curl(&[], "/ours/some/prefix-f.yaml").contains("# more"));
}

#[test]
fn a_folder_goes_with_the_names_that_sops_gives() {
    let server = moto();
    let desk = desk_with("  - s3_bucket: WHOSE\n    s3_prefix: p/\n    path_regex: tree/\n");
    for name in ["tree/a.enc.yaml", "tree/sub/b.yaml"] {
        sealed_for_both(&desk, name, SAMPLE);
    }
    let env = [("AWS_ENDPOINT_URL", server.url.as_str())];
    for words in
        [&["--yes", "--recursive", "tree"][..], &["--yes", "--recursive", "--omit-extensions", "tree"]]
    {
        for whose in PROGRAMS {
            succeeded(publish(&desk, whose, words, &env, ""));
        }
    }
    let keys = |whose: &str| -> Vec<String> {
        let listing = server.curl(&[], &format!("/{whose}?list-type=2"));
        let keys = listing.split("<Key>").skip(1);
        keys.map(|rest| rest.split("</Key>").next().unwrap().to_owned()).collect()
    };
    assert_eq!(keys("ours"), ["p/a.enc", "p/a.enc.yaml", "p/sub/b", "p/sub/b.yaml"]);
    assert_eq!(keys("ours"), keys("theirs"));
    for whose in PROGRAMS {
        assert_eq!(publish(&desk, whose, &["--yes", "tree"], &env, "").status.code(), Some(1), "{whose}");
        assert_eq!(publish(&desk, whose, &["--yes", "none"], &env, "").status.code(), Some(1), "{whose}");
        assert_eq!(publish(&desk, whose, &["--yes"], &env, "").status.code(), Some(100), "{whose}");
    }
}

#[test]
fn a_recreated_file_is_for_other_keys_and_keeps_what_is_sealed() {
    let server = moto();
    let desk = desk_with("");
    let other = desk.other_key("home/other.txt");
    let rule = format!(
        "creation_rules:\n  - age: {}\n    encrypted_regex: ^(name|deep)$\n    mac_only_encrypted: true\n\
         destination_rules:\n  - s3_bucket: WHOSE\n    recreation_rule:\n      age: {other}\n",
        desk.recipient
    );
    desk.file(".sops.yaml", &rule);
    desk.file("f.yaml", SAMPLE);
    desk.run(["encrypt", "-i", "f.yaml"]).ok();
    let sealed = desk.text("f.yaml");
    assert!(sealed.contains("port: 8080") && !sealed.contains("canary-name"));
    for whose in PROGRAMS {
        desk.file(&format!("{whose}/f.yaml"), &sealed);
    }
    let env = [("AWS_ENDPOINT_URL", server.url.as_str())];
    for whose in PROGRAMS {
        desk.file(&format!("{whose}/.sops.yaml"), &rule.replace("WHOSE", whose));
        let (shown, _) = succeeded(publish(&desk, whose, &["--yes", "f.yaml"], &env, ""));
        assert!(shown.contains("will be made to the file's key groups"), "{whose}: {shown}");
        assert!(shown.contains(&format!("+++ {other}")), "{whose}: {shown}");
        assert!(shown.contains(&format!("--- {}", desk.recipient)), "{whose}: {shown}");
        let object = server.curl(&[], &format!("/{whose}/f.yaml"));
        assert!(!object.contains(&desk.recipient) && !object.contains("canary-name"), "{whose}: {object}");
        desk.file("object.yaml", &object);
        let mut command = desk.orlop(["decrypt", "object.yaml"]);
        command.env("SOPS_AGE_KEY_FILE", desk.path("home/other.txt"));
        assert!(desk.run_command(&mut command).ok().contains("name: canary-name"), "{whose}");
    }
    let object = server.curl(&[], "/ours/f.yaml");
    assert!(object.contains("port: 8080") && object.contains("encrypted_regex: ^(name|deep)$"), "{object}");
    assert!(object.contains("mac_only_encrypted: true"), "{object}");
    desk.file("object.yaml", &object);
    let mut real = Command::new(peers().join("sops"));
    real.args(["decrypt", "object.yaml"]).current_dir(desk.path("."));
    real.env("SOPS_AGE_KEY_FILE", desk.path("home/other.txt"));
    assert!(succeeded(real.output().unwrap()).0.contains("deep: canary-deep"));
}

#[test]
fn nothing_is_uploaded_without_a_yes() {
    let server = moto();
    let desk = desk_with("  - s3_bucket: WHOSE\n");
    sealed_for_both(&desk, "f.yaml", SAMPLE);
    let env = [("AWS_ENDPOINT_URL", server.url.as_str())];
    for whose in PROGRAMS {
        let output = publish(&desk, whose, &["f.yaml"], &env, "n\n");
        assert_eq!(output.status.code(), Some(1), "{whose}");
        let shown = String::from_utf8(output.stdout).unwrap();
        let path = std::fs::canonicalize(desk.path(whose)).unwrap().join("f.yaml");
        let question = format!("uploading {} to s3://{whose}/f.yaml ? (y/n):", path.display());
        assert!(shown.starts_with(&question), "{whose}: {shown}");
        assert!(!server.curl(&[], &format!("/{whose}?list-type=2")).contains("<Key>"), "{whose}");
        succeeded(publish(&desk, whose, &["f.yaml"], &env, "y\n"));
        assert!(server.curl(&[], &format!("/{whose}?list-type=2")).contains("<Key>f.yaml</Key>"), "{whose}");
        desk.file(&format!("{whose}/plain.yaml"), SAMPLE);
        let plain = publish(&desk, whose, &["--yes", "plain.yaml"], &env, "");
        assert_eq!(plain.status.code(), Some(1), "{whose}: {}", String::from_utf8_lossy(&plain.stderr));
    }
    assert!(!server.curl(&[], "/ours?list-type=2").contains("plain"));
    desk.file("ours/.sops.yaml", "destination_rules:\n  - s3_bucket: missing\n");
    let output = publish(&desk, "ours", &["--yes", "f.yaml"], &env, "");
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(message.contains("s3://missing/f.yaml"), "{message}");
}

#[test]
fn a_file_goes_to_google() {
    let server = google();
    let desk = desk_with("  - gcs_bucket: WHOSE\n    gcs_prefix: some/\n");
    let sealed = sealed_for_both(&desk, "f.yaml", SAMPLE);
    let host = server.url.trim_start_matches("http://").to_owned();
    for whose in PROGRAMS {
        succeeded(publish(&desk, whose, &["--yes", "f.yaml"], &[("STORAGE_EMULATOR_HOST", &host)], ""));
        let object = server.curl(&[], &format!("/storage/v1/b/{whose}/o/some%2Ff.yaml?alt=media"));
        assert_eq!(object, sealed, "{whose}");
    }
    let env = [("STORAGE_EMULATOR_HOST", host.as_str())];
    let (_, message) = succeeded(publish(&desk, "ours", &["--yes", "f.yaml"], &env, ""));
    assert_eq!(message, "gcs://ours/some/f.yaml is already up to date\n");
}

/// What a client of Vault asked for: method, path, token, namespace and body.
type Asked = (String, String, String, String, Value);

/// Keeps what it is given, as a key-value engine does, and what it was asked.
struct Recorder {
    url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Recorder {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let record = asked.clone();
        std::thread::spawn(move || {
            let mut secrets = BTreeMap::new();
            for stream in listener.incoming() {
                let asked = answer(stream.unwrap(), &mut secrets);
                record.lock().unwrap().extend(asked);
            }
        });
        Self { url, asked }
    }

    fn take(&self) -> Vec<Asked> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

fn answer(mut stream: TcpStream, secrets: &mut BTreeMap<String, Value>) -> Option<Asked> {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let header = |name: &str| headers.get(name).cloned().unwrap_or_default();
    let (status, answer) = match (header("x-vault-token").as_str(), method.as_str()) {
        ("t", "GET") => match secrets.get(&path) {
            Some(kept) if path.contains("/data/") => ("200 OK", json!({ "data": kept })),
            Some(kept) => ("200 OK", json!({ "data": kept })),
            None => ("404 Not Found", json!({ "errors": [] })),
        },
        ("t", _) => {
            secrets.insert(path.clone(), body.clone());
            ("200 OK", json!({ "data": { "version": 1 } }))
        }
        _ => ("403 Forbidden", json!({ "errors": ["permission denied"] })),
    };
    let answer = answer.to_string();
    let length = answer.len();
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n");
    write!(stream, "{head}Connection: close\r\n\r\n{answer}").ok()?;
    Some((method, path, header("x-vault-token"), header("x-vault-namespace"), body))
}

#[test]
fn the_values_go_to_vault_as_sops_sends_them() {
    for (settings, path) in [
        ("vault_path: apps/one\n", "/v1/secret/data/apps/one/f.yaml"),
        ("vault_path: apps/\n    vault_kv_mount_name: kv\n    vault_kv_version: 1\n", "/v1/kv/apps/f.yaml"),
        ("vault_path: a\n    omit_extensions: true\n", "/v1/secret/data/a/f"),
    ] {
        let desk = desk_with(&format!("  - {settings}"));
        sealed_for_both(&desk, "f.yaml", &format!("{SAMPLE}---\nsecond: canary-second\nport: 9\n"));
        let asked = PROGRAMS.map(|whose| {
            let server = Recorder::start();
            let env =
                [("VAULT_ADDR", server.url.as_str()), ("VAULT_TOKEN", "t"), ("VAULT_NAMESPACE", "team")];
            succeeded(publish(&desk, whose, &["--yes", "f.yaml"], &env, ""));
            let first = server.take();
            succeeded(publish(&desk, whose, &["--yes", "f.yaml"], &env, ""));
            (first, server.take())
        });
        assert_eq!(asked[1].0, asked[0].0, "{settings}");
        assert_eq!(asked[1].0[1].1, path);
        // sops' comparison fails with numbers, and with version 1 altogether.
        let methods: Vec<&str> = asked[1].1.iter().map(|asked| asked.0.as_str()).collect();
        assert_eq!(methods, ["GET"], "{settings}");
    }
}

#[test]
fn vault_is_asked_with_the_token_of_its_file_and_may_refuse() {
    let desk = desk_with("  - vault_path: a\n");
    sealed_for_both(&desk, "f.yaml", SAMPLE);
    for whose in PROGRAMS {
        let server = Recorder::start();
        let env = [("VAULT_ADDR", server.url.as_str()), ("VAULT_MAX_RETRIES", "0")];
        let output = publish(&desk, whose, &["--yes", "f.yaml"], &env, "");
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{whose}: {message}");
        assert!(message.contains("permission denied"), "{whose}: {message}");
    }
    // sops does not look there when it publishes, though it does for transit keys.
    desk.file("home/.vault-token", "t\n");
    let server = Recorder::start();
    let env = [("VAULT_ADDR", server.url.as_str())];
    succeeded(publish(&desk, "ours", &["--yes", "f.yaml"], &env, ""));
    assert_eq!(server.take().len(), 2);
}
