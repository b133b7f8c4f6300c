//! Every command and flag, right and wrong, given to real sops and to orlop under the name of sops, each in a fresh
//! folder of its own: the same exit code, the same output, the same files, and a message where sops has one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use age::secrecy::ExposeSecret as _;
use regex::Regex;

use crate::matrix_rows::{DIFFERENT, ROWS};
use crate::support::{in_parallel, peers};

/// What the rows work on.
struct Bench {
    folder: tempfile::TempDir,
    /// One public key for `{A}`, `{B}` and `{C}`; there is no secret key for the last one.
    recipients: [String; 3],
    masks: Vec<(Regex, &'static str)>,
}

/// What one program did with a row.
#[derive(PartialEq)]
struct Outcome {
    code: Option<i32>,
    stdout: String,
    is_silent: bool,
    /// Files that came, went or changed, with what is in them now.
    files: BTreeMap<String, String>,
}

const SAMPLE: &str = "# a comment\nname: secret\nport: 8080\nratio: 1.5\ndebug: true\nnothing: null\nlist:\n    - one\n    - two\nnested:\n    deep: x\n";
const FLAT: &str = "word: some text\nwhole: 12\nfraction: 1.5\nbig: 123456789.5\nyes_or_no: true\nnothing: null\nday: 2024-01-02T03:04:05Z\nlines: |\n    one\n    two\n";

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let identities = [(); 3].map(|()| age::x25519::Identity::generate());
        let keys = |at: &[usize]| {
            let lines = at.iter().map(|&at| identities[at].to_string().expose_secret().to_owned());
            lines.collect::<Vec<_>>().join("\n")
        };
        fs::create_dir(folder.path().join("home")).unwrap();
        fs::create_dir(folder.path().join("bin")).unwrap();
        fs::write(folder.path().join("home/keys.txt"), keys(&[0, 1])).unwrap();
        symlink(env!("CARGO_BIN_EXE_orlop"), folder.path().join("bin/sops")).unwrap();
        let mask = |pattern: &str| Regex::new(pattern).unwrap();
        let bench = Self {
            recipients: identities.each_ref().map(|identity| identity.to_public().to_string()),
            masks: vec![
                (mask("ENC\\[AES256_GCM,data:[^,]*,iv:[^,]*,tag:[^,]*,type:"), "ENC[type:"),
                (mask("(?s)-----BEGIN AGE ENCRYPTED FILE-----.*?-----END AGE ENCRYPTED FILE-----"), "AGE"),
                (mask("(lastmodified\"? *[:=] *\"?)[0-9TZ:-]+"), "${1}TIME"),
                (mask("(/dev/shm/orlop-edit-[0-9a-f]+|/[^ ]*/tmp/\\.?(sops)?[0-9]+)/"), "SESSION/"),
            ],
            folder,
        };
        let plain = bench.folder.path().join("plain");
        fs::create_dir_all(plain.join("tmp")).unwrap();
        bench.fill(&plain);
        bench
    }

    /// The files of every row.
    fn fill(&self, folder: &Path) {
        let [a, b, c] = &self.recipients;
        let file = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
        file(
            ".sops.yaml",
            &format!(
                "creation_rules:\n  - path_regex: ^shamir\n    shamir_threshold: 2\n    key_groups:\n      - age: [{a}]\n      - age: [{b}]\n\
                 \x20 - path_regex: ^other\n    age: {c}\n\
                 \x20 - path_regex: ^regex\n    age: {a}\n    encrypted_regex: ^(name|deep)$\n\
                 \x20 - path_regex: ^maconly\n    age: {a}\n    unencrypted_suffix: e\n    mac_only_encrypted: true\n\
                 \x20 - path_regex: ^two\n    age: {a},{b}\n\
                 \x20 - path_regex: ^twosel\n    age: {a}\n    encrypted_regex: x\n    encrypted_suffix: y\n\
                 \x20 - path_regex: ^nokeys\n\
                 \x20 - path_regex: ^[^z]\n    age: {a}\n"
            ),
        );
        file("alt.yaml", &format!("creation_rules:\n  - age: {b}\n"));
        file(
            "swap.yaml",
            &format!("creation_rules:\n  - key_groups:\n      - age: [{b}]\n      - age: [{a}, {b}]\n"),
        );
        file("broken-config.yaml", "creation_rules: [\n");
        file("no-rules.yaml", "stores:\n  yaml:\n    indent: 2\n");
        for name in ["plain.yaml", "z.yaml", "regex-plain.yaml"] {
            file(name, SAMPLE);
        }
        file("empty.yaml", "");
        file("broken.yaml", "a: [\n");
        file("list.yaml", "- a\n- b\n");
        file("sopskey.yaml", "a: 1\nsops: 2\n");
        file("keys.yaml", "1: a\n");
        file("documents-plain.yaml", "a: 1\n---\nb: 2\n");
        file("value.json", "{\"x\": 1, \"y\": \"z\"}\n");
        file("value.txt", "no json");
        file(
            "plain.json",
            "{\n\t\"name\": \"secret\",\n\t\"port\": 8080,\n\t\"list\": [\n\t\t\"one\",\n\t\ttrue\n\t]\n}\n",
        );
        file("plain.env", "# a comment\nname=secret\nport=8080\nlines=one\\ntwo\n");
        file("plain.ini", "[section]\nname = secret\nport = 8080\n\n[other]\nkey = value\n");
        file("plain.bin", "any\0thing\nat all");
        file("broken.json", "{\"a\": ");
        file("broken.env", "no equals sign\n");
        fs::create_dir(folder.join("sub")).unwrap();
        file("sub/plain.yaml", SAMPLE);
        for (name, script) in [
            ("append", "echo 'added: 1' >> \"$1\""),
            ("change", "sed -i 's/secret/other/' \"$1\""),
            ("look", "cat \"$1\" > seen; exit 3"),
            ("break", "printf 'a: [' > \"$1\""),
            ("fail", "exit 3"),
            ("see", "cat \"$1\" > seen; echo 'added: 1' >> \"$1\""),
            (
                "mend",
                "if [ -e again ]; then echo 'a: 1' > \"$1\"; else touch again; echo 'a: [' > \"$1\"; fi",
            ),
        ] {
            let path = folder.join(format!("ed-{name}"));
            fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let sealed: &[(&str, &str, &[&str])] = &[
            ("p.yaml", SAMPLE, &[]),
            ("flat.yaml", FLAT, &[]),
            ("deep.yaml", SAMPLE, &[]),
            ("shamir.yaml", SAMPLE, &[]),
            ("other.yaml", SAMPLE, &[]),
            ("two.yaml", SAMPLE, &[]),
            ("regex.yaml", SAMPLE, &[]),
            ("maconly.yaml", SAMPLE, &[]),
            ("documents.yaml", "a: 1\n---\nb: 2\n", &[]),
            ("odd.yaml", "a=b: 1\n", &[]),
            ("p.json", "{\"name\": \"secret\", \"port\": 8080, \"list\": [\"one\", true]}", &[]),
            ("p.env", "# a comment\nname=secret\nport=8080\n", &[]),
            ("p.ini", "[section]\nname = secret\n", &[]),
            ("p.bin", "any thing", &[]),
            ("noending", "a: 1\n", &["--input-type", "yaml", "--output-type", "yaml"]),
        ];
        for (name, text, flags) in sealed {
            file(name, text);
            let done = self
                .command(&peers().join("sops"), folder)
                .arg("encrypt")
                .arg("-i")
                .args(*flags)
                .arg(name)
                .output();
            let done = done.unwrap();
            assert!(done.status.success(), "{name}: {}", String::from_utf8_lossy(&done.stderr));
        }
        let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
        let without = |start: &str| {
            let lines = read("p.yaml");
            lines
                .lines()
                .filter(|line| !line.trim_start().starts_with(start))
                .fold(String::new(), |text, line| text + line + "\n")
        };
        file("tampered.yaml", &without("port:"));
        file("nomac.yaml", &without("mac:"));
        file("noversion.yaml", &without("version:"));
        file("nokeys.yaml", &read("p.yaml").replace("age:", "age: []\n    agee:"));
        file("old.yaml", &read("p.yaml").replace("version: 3.13.3", "version: 3.9.0"));
        let value = read("p.yaml").lines().find(|line| line.starts_with("name:")).unwrap().to_owned();
        file("damaged.yaml", &read("p.yaml").replace(&value, &value.replace("iv:", "iv:AAAA")));
    }

    /// A program in `folder`.
    fn command(&self, program: &Path, folder: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(folder)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.folder.path().join("home"))
            .env("TMPDIR", folder.join("tmp"))
            .env("EDITOR", "true")
            .env("SOPS_AGE_KEY_FILE", self.folder.path().join("home/keys.txt"))
            .env("SOPS_DISABLE_VERSION_CHECK", "1");
        command
    }

    /// `NAME=value… words… [< FILE]`, the words as a shell has them, with `{A}`, `{B}` and `{C}` for recipients.
    fn run(&self, program: &Path, other: &Path, folder: &Path, row: &str) -> Outcome {
        fs::create_dir(folder).unwrap();
        copy(&self.folder.path().join("plain"), folder);
        let mut row = row.to_owned();
        for (name, recipient) in ["{A}", "{B}", "{C}"].iter().zip(&self.recipients) {
            row = row.replace(name, recipient);
        }
        let mut words = shlex::split(&row).unwrap_or_else(|| panic!("{row}"));
        // sops starts an editor again and again when nobody is there to stop it.
        let mut command = self.command(Path::new("timeout"), folder);
        command.args(["--foreground", "30"]).arg(program);
        let mut input = Vec::new();
        if let Some(at) = words.iter().position(|word| word == "<") {
            input =
                fs::read(folder.join(&words[at + 1])).unwrap_or_else(|_| words[at + 1].clone().into_bytes());
            words.truncate(at);
        }
        let is_setting = |word: &String| {
            word.split_once('=')
                .is_some_and(|(name, _)| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
        };
        let settings = words.iter().take_while(|word| is_setting(word)).count();
        for setting in words.drain(..settings) {
            let (name, value) = setting.split_once('=').unwrap();
            match value {
                "UNSET" => command.env_remove(name),
                value => command.env(name, value),
            };
        }
        let mut child = command
            .args(&words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(&input).ok();
        let output = child.wait_with_output().unwrap();
        let before = files(&self.folder.path().join("plain"));
        let after = files(folder);
        let mut changed: BTreeMap<String, String> = BTreeMap::new();
        for (name, text) in &after {
            if before.get(name) != Some(text) {
                let masked = self.masked(text, folder);
                changed.insert(name.clone(), format!("{masked}\n{}", self.opened(text, other, folder)));
            }
        }
        changed.extend(
            before
                .keys()
                .filter(|name| !after.contains_key(*name))
                .map(|name| (name.clone(), "gone".to_owned())),
        );
        let mut stdout = format!(
            "{}\n{}",
            self.masked(&output.stdout, folder),
            self.opened(&output.stdout, other, folder)
        );
        stdout.truncate(stdout.trim_end().len());
        if row.ends_with("--generate-bash-completion") {
            // An order and repetitions that no shell looks at.
            let lines: BTreeSet<&str> = stdout.lines().collect();
            stdout = lines.into_iter().map(|line| format!("{line}\n")).collect();
        } else if output.status.success()
            && ["USAGE:\n", "Usage: ", "usage: "].iter().any(|word| stdout.contains(word))
        {
            stdout = "a help text".to_owned();
        } else if stdout.starts_with("Incorrect Usage") {
            // sops prints its help behind what is wrong with a command line; here that stands in the message.
            stdout.clear();
        }
        let is_silent = output.stderr.is_empty();
        Outcome { code: output.status.code(), stdout, is_silent, files: changed }
    }

    fn masked(&self, text: &[u8], folder: &Path) -> String {
        let mut text = String::from_utf8_lossy(text).replace(folder.to_str().unwrap(), "FOLDER");
        for (pattern, mask) in &self.masks {
            text = pattern.replace_all(&text, *mask).into_owned();
        }
        text
    }

    /// What the other program reads in a text, if it is a sealed one.
    fn opened(&self, text: &[u8], other: &Path, folder: &Path) -> String {
        if !text.windows(4).any(|window| window == b"ENC[") {
            return String::new();
        }
        let kind = match text {
            [b'{', ..] => "json",
            [b'[', ..] => "ini",
            _ if text.windows(9).any(|window| window == b"\nsops_mac") => "dotenv",
            _ => "yaml",
        };
        let path = folder.with_extension("opened");
        fs::write(&path, text).unwrap();
        let mut command = self.command(other, self.folder.path());
        let output = command
            .args(["decrypt", "--input-type", kind, "--output-type", kind])
            .arg(&path)
            .output()
            .unwrap();
        // A layout is kept by the one and not by the other.
        let lines = String::from_utf8_lossy(&output.stdout);
        let lines: Vec<&str> = lines.lines().map(str::trim_start).collect();
        format!("opens with {:?} as {}", output.status.code(), lines.join("\n"))
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let (path, target) = {
            let entry = entry.unwrap();
            (entry.path(), to.join(entry.file_name()))
        };
        if path.is_dir() {
            fs::create_dir(&target).unwrap();
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

/// Every file below a folder with what is in it; a folder has no text.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()) {
        let name = entry.file_name().into_string().unwrap();
        if entry.path().is_dir() {
            found.extend(
                files(&entry.path()).into_iter().map(|(below, text)| (format!("{name}/{below}"), text)),
            );
            found.insert(name, Vec::new());
        } else {
            found.insert(name, fs::read(entry.path()).unwrap());
        }
    }
    found
}

fn shown(outcome: &Outcome) -> String {
    let files: Vec<String> =
        outcome.files.iter().map(|(name, text)| format!("    --- {name}:\n{text}")).collect();
    let silent = if outcome.is_silent { "silent" } else { "with a message" };
    format!("  {:?} {silent}\n{}\n{}", outcome.code, outcome.stdout, files.join("\n"))
}

/// The rows, each with the place it has in the table.
fn rows() -> Vec<(usize, &'static str)> {
    let rows = ROWS.lines().map(str::trim).filter(|row| !row.is_empty() && !row.starts_with("# "));
    rows.enumerate().collect()
}

#[test]
fn real_sops_and_its_stand_in_do_the_same_with_every_command_line() {
    let bench = Bench::new();
    let all: Vec<&str> =
        ROWS.lines().map(str::trim).filter(|row| !row.is_empty() && !row.starts_with("# ")).collect();
    assert!(all.len() >= 250, "the table has {} rows", all.len());
    let allowed: BTreeMap<&str, &str> =
        DIFFERENT.iter().flat_map(|(reason, rows)| rows.iter().map(move |row| (*row, *reason))).collect();
    for row in allowed.keys() {
        assert!(all.contains(row), "the list of differences names a row that is not there: {row}");
    }
    let programs: [PathBuf; 2] = [peers().join("sops"), bench.folder.path().join("bin/sops")];
    let rows = rows();
    let outcomes = in_parallel(&rows, |(at, row)| {
        ["theirs", "ours"].map(|who| {
            let folder = bench.folder.path().join(format!("{who}-{at}"));
            let is_ours = usize::from(who == "ours");
            let outcome = bench.run(&programs[is_ours], &programs[1 - is_ours], &folder, row);
            fs::remove_dir_all(&folder).unwrap();
            outcome
        })
    });
    let mut wrong = Vec::new();
    for ((_, row), [theirs, ours]) in rows.iter().zip(&outcomes) {
        match (theirs == ours, allowed.get(row)) {
            (true, None) | (false, Some(_)) => {}
            (true, Some(reason)) => wrong.push(format!("{row}\n  no longer differs, though: {reason}")),
            (false, None) => {
                wrong.push(format!("{row}\n sops:\n{}\n orlop:\n{}", shown(theirs), shown(ours)))
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {} rows:\n{}", wrong.len(), rows.len(), wrong.join("\n\n"));
}
