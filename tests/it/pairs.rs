//! Every format read, every format written: real sops and orlop do the same.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use crate::support::{identity_file, in_parallel, recipient, sops};

const FORMATS: [&str; 5] = ["yaml", "json", "dotenv", "ini", "binary"];

/// Texts of each format: the name, the format, the text.
const TEXTS: &[(&str, &str, &str)] = &[
    ("flat", "yaml", "a: 1\nb: two\nc_unencrypted: clear\n"),
    ("values", "yaml", "s: text\nn: -12\nt: true\nd: \"a\\nb\"\nempty: \"\"\n"),
    ("floats", "yaml", "f: 1.5\ng: 1.0\nh: 1e10\n"),
    ("times", "yaml", "t: 2001-12-14T21:59:43.1Z\nd: 2001-01-01\n"),
    ("null", "yaml", "a: 1\nn: null\n"),
    ("comments", "yaml", "# top\na: 1\n# b\nb: 2\n"),
    (
        "sections",
        "yaml",
        "DEFAULT: {}\nweb:\n  # about host\n  host: x\n  port: 80\n  # tail\ndb: {user: u, on: true}\n",
    ),
    ("section comments", "yaml", "web:\n  # about host\n  host: x\n"),
    ("nested", "yaml", "a:\n  b:\n    c: 1\nl: [1, two]\n"),
    ("documents", "yaml", "a: {b: c}\n---\nd: {e: f}\n"),
    ("data", "yaml", "data: text\n"),
    ("flat", "json", "{\"a\": 1, \"b\": \"two\", \"c\": true}\n"),
    ("sections", "json", "{\"web\": {\"host\": \"x;y\", \"port\": 80}, \"db\": {}}\n"),
    ("nested", "json", "{\"a\": {\"b\": {\"c\": null}}, \"l\": [1]}\n"),
    ("data", "json", "{\"data\": \"text\"}\n"),
    ("plain", "dotenv", "# c\nA=1\nB=x y\nC=a\\nb\nD=\n"),
    ("data", "dotenv", "data=text\n"),
    ("plain", "ini", "; c\n[web]\nhost = x\n; d\nport = 80\n\n[db]\nuser = `a;b`\n"),
    ("default", "ini", "a = 1\n\n[s]\nb = 2\n"),
    ("plain", "binary", "any text\n"),
    ("looks like JSON", "binary", "{\"data\": \"x\"}"),
];

/// Where orlop does otherwise: the text, its format, the format written, whether when encrypting, and why.
const DIFFERENCES: &[(&str, &str, &str, bool, &str)] = &[
    ("floats", "yaml", "dotenv", false, "the float 1.0 opens as YAML prints it, `1`, and that is printed"),
    (
        "documents",
        "yaml",
        "ini",
        true,
        "sops writes the metadata once for each document, and cannot read that",
    ),
];

fn orlop(args: &[&str], input: &[u8]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(".sops.yaml"), "stores: {}\n").unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_orlop"))
        .args(args)
        .current_dir(folder.path())
        .env_clear()
        .env("HOME", folder.path())
        .env("SOPS_AGE_KEY_FILE", identity_file())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).ok();
    child.wait_with_output().unwrap()
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or(-1)
}

fn encrypting<'a>(recipient: &'a str, from: &'a str, to: &'a str) -> [&'a str; 9] {
    ["encrypt", "--age", recipient, "--filename-override", "f", "--input-type", from, "--output-type", to]
}

fn decrypting<'a>(from: &'a str, to: &'a str) -> [&'a str; 5] {
    ["decrypt", "--input-type", from, "--output-type", to]
}

/// What is different, if anything.
fn difference(text: &str, from: &str, to: &str, encrypt: bool) -> Option<String> {
    let recipient = recipient();
    let (ours, theirs) = if encrypt {
        let args = encrypting(&recipient, from, to);
        let (ours, theirs) = (orlop(&args, text.as_bytes()), sops(args, text.as_bytes()));
        if code(&ours) != code(&theirs) {
            return Some(format!(
                "orlop {} {}, sops {} {}",
                code(&ours),
                lossy(&ours.stderr),
                code(&theirs),
                lossy(&theirs.stderr)
            ));
        }
        if !ours.status.success() {
            return None;
        }
        (sops(decrypting(to, to), &ours.stdout), sops(decrypting(to, to), &theirs.stdout))
    } else {
        let sealed = sops(encrypting(&recipient, from, from), text.as_bytes());
        assert!(sealed.status.success(), "{from}: {}", lossy(&sealed.stderr));
        (orlop(&decrypting(from, to), &sealed.stdout), sops(decrypting(from, to), &sealed.stdout))
    };
    if code(&ours) == code(&theirs) && ours.stdout == theirs.stdout {
        return None;
    }
    Some(format!(
        "ours {} {}\n{}\ntheirs {} {}\n{}",
        code(&ours),
        lossy(&ours.stderr),
        lossy(&ours.stdout),
        code(&theirs),
        lossy(&theirs.stderr),
        lossy(&theirs.stdout)
    ))
}

#[test]
fn every_pair_of_formats_gives_what_sops_gives() {
    let mut cases = Vec::new();
    for &(name, from, text) in TEXTS {
        for to in FORMATS {
            cases.extend([(name, from, text, to, true), (name, from, text, to, false)]);
        }
    }
    let found = in_parallel(&cases, |&(_, from, text, to, encrypt)| difference(text, from, to, encrypt));
    let mut problems = Vec::new();
    for ((name, from, _, to, encrypt), found) in cases.iter().zip(found) {
        let listed =
            DIFFERENCES.iter().find(|row| (row.0, row.1, row.2, row.3) == (*name, *from, *to, *encrypt));
        let what = format!("{name}: {} {from} to {to}", if *encrypt { "encrypt" } else { "decrypt" });
        match (found, listed) {
            (Some(found), None) => problems.push(format!("{what}: {found}")),
            (None, Some(row)) => problems.push(format!("{what} is no exception: {}", row.4)),
            _ => {}
        }
    }
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}
