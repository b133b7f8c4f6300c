//! One command line after the other given to real sops and to orlop under the name of sops: the same exit codes.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::cli::Desk;
use crate::support::peers;

/// Command lines in the order in which both programs get them; AGE is a recipient. Each has its own copy of the files.
const LINES: &str = r#"
encrypt p.yaml
encrypt z.yaml
encrypt --age AGE z.yaml
encrypt --encrypted-regex a --encrypted-suffix b p.yaml
encrypt
encrypt -i
-e -i p.yaml
-e -i p.yaml
decrypt p.yaml
decrypt p.yaml --extract ["l"][0]
decrypt p.yaml --extract ["l"][0
decrypt p.yaml --extract ["l"][5]
decrypt p.yaml --extract=["a"]
decrypt -extract ["a"] p.yaml
decrypt --extract ["nope"] p.yaml
decrypt p.yaml -x
decrypt -x p.yaml
decrypt -i --output o p.yaml
decrypt -i
decrypt --decryption-order age,age p.yaml
decrypt --decryption-order x,y p.yaml
decrypt --ignore-mac=maybe p.yaml
decrypt -i --in-place p.yaml
decrypt -- p.yaml
decrypt --enable-local-keyservice=false p.yaml
decrypt --input-type nonsense p.yaml
--indent x decrypt p.yaml
--indent 2 decrypt p.yaml
--config no decrypt p.yaml
--input-type json decrypt p.yaml
-d p.yaml
-d -extract=["b"] p.yaml
-d p.yaml more
-di p.yaml
-d -i=false p.yaml
-d
-d no.yaml
p.yaml
edit p.yaml
edit
rotate p.yaml
rotate no.yaml
rotate --add-age AGE no.yaml
rotate --ignore-mac p.yaml
-r --rm-age AGE no.yaml
-r -i --output x p.yaml
set no.yaml ["a"] 1
set p.yaml ["a"] 1
set p.yaml ["a"
set p.yaml ["a" 1
set p.yaml ["a"] x
set p.yaml ["a"] [1]
set p.yaml ["sops"] 1
set p.yaml --idempotent ["a"] 1
set --idempotent p.yaml ["a"] 1
set --value-file p.yaml ["b"] value
set --value-file p.yaml ["b"] missing
set p.yaml
--set ["a"]1 p.yaml
--set ["a"] p.yaml
--set ["a"] 2 p.yaml
--set x no.yaml
unset p.yaml ["zz"]
unset --idempotent p.yaml ["zz"]
unset p.yaml ["l"][7]
unset p.yaml ["a"]["b"]
unset p.yaml
filestatus p.yaml
filestatus z.yaml
filestatus no.yaml
filestatus
updatekeys
updatekeys p.yaml
updatekeys z.yaml
updatekeys no.yaml
updatekeys -y p.yaml z.yaml
rotate -i --rm-age AGE p.yaml
--version
--help
help
help decrypt
decrypt --help
decrypt -h
"#;

fn exit_code(program: &Path, folder: &Path, desk: &Desk, words: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(program)
        .args(words)
        .current_dir(folder)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", desk.path("home"))
        .env("TMPDIR", desk.path("tmp"))
        .env("EDITOR", "true")
        .env("SOPS_AGE_KEY_FILE", desk.path("home/key.txt"))
        .env("SOPS_DISABLE_VERSION_CHECK", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Command lines for JSON and binary files.
const JSON_LINES: &str = r#"
encrypt p.json
encrypt --output-type yaml p.json
encrypt --output-type binary p.json
encrypt --input-type yaml p.json
encrypt --input-type binary p.json
encrypt -i p.json
encrypt -i p.json
decrypt p.json
decrypt --extract ["a"] p.json
decrypt --extract ["l"] p.json
decrypt --extract ["l"][1] p.json
decrypt --extract ["l"][2] p.json
decrypt --extract ["m"] p.json
decrypt --extract ["nope"] p.json
decrypt --output-type yaml p.json
decrypt --output-type binary p.json
decrypt --input-type yaml p.json
decrypt --input-type binary p.json
--indent 2 decrypt p.json
--indent -1 decrypt p.json
--indent -2 decrypt p.json
set p.json ["a"] 1
set p.json ["new"]["deep"][0] {"k":"v"}
set p.json ["l"][9] "x"
set p.json ["sops"] 1
unset p.json ["nope"]
unset p.json ["l"][0]
unset p.json ["m"]
rotate -i p.json
edit p.json
filestatus p.json
updatekeys p.json
decrypt p.json
encrypt p-list.json
encrypt p-scalar.json
encrypt p-empty.json
encrypt p-broken.json
encrypt p-bom.json
encrypt p-number.json
encrypt p-sops.json
encrypt p-sops-text.json
decrypt p-list.json
decrypt p-broken.json
decrypt p-empty.json
decrypt p-plain.json
decrypt p-sops.json
decrypt p-sops-text.json
rotate p-plain.json
set p-plain.json ["a"] 1
edit p-plain.json
filestatus p-plain.json
encrypt p.bin
encrypt --encrypted-regex x p.bin
encrypt --output-type json p.bin
encrypt --output-type yaml p.bin
encrypt -i p.bin
decrypt p.bin
decrypt --extract ["data"] p.bin
decrypt --extract ["nope"] p.bin
decrypt --output-type json p.bin
decrypt --output-type yaml p.bin
decrypt --input-type json p.bin
rotate -i p.bin
edit p.bin
set p.bin ["data"] "other"
decrypt p.bin
set p.bin ["more"] 1
decrypt p.bin
decrypt --extract ["more"] p.bin
decrypt --output-type json p.bin
unset p.bin ["data"]
decrypt p.bin
filestatus p.bin
updatekeys p.bin
encrypt -i p-empty.bin
decrypt p-empty.bin
edit p-empty.bin
encrypt -i p-plain.bin
encrypt -i p-plain.bin
decrypt -i p-plain.bin
decrypt -i p-plain.bin
decrypt -i p-plain.bin
decrypt p-json.bin
"#;

/// Fails when a line ends with another exit code than with real sops.
fn same_exit_codes(lines: &str, files: &[(&str, &str)]) {
    let desk = Desk::new();
    let stand_in = desk.path("sops");
    symlink(env!("CARGO_BIN_EXE_orlop"), &stand_in).unwrap();
    let programs: [(PathBuf, PathBuf); 2] =
        [(peers().join("sops"), desk.path("theirs")), (stand_in, desk.path("ours"))];
    for (_, folder) in &programs {
        fs::create_dir(folder).unwrap();
        let rule = format!("creation_rules:\n  - path_regex: p\n    age: {}\n", desk.recipient);
        fs::write(folder.join(".sops.yaml"), rule).unwrap();
        for (name, text) in files {
            fs::write(folder.join(name), text).unwrap();
        }
    }
    let mut different = Vec::new();
    for line in lines.lines().filter(|line| !line.is_empty()) {
        let line = line.replace("AGE", &desk.recipient);
        let words: Vec<&str> = match line.split_once("--set ") {
            // The only argument with a blank in it.
            Some((_, rest)) => {
                let (value, file) = rest.rsplit_once(' ').unwrap();
                vec!["--set", value, file]
            }
            None => line.split(' ').collect(),
        };
        let [theirs, ours] =
            programs.each_ref().map(|(program, folder)| exit_code(program, folder, &desk, &words));
        if theirs.0 != ours.0 {
            different.push(format!("{line}: sops {theirs:?}, orlop {ours:?}"));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

#[test]
fn the_same_command_lines_end_with_the_same_exit_codes() {
    let files = [("p.yaml", "a: 1\nb: x\nl:\n  - p\n  - q\n"), ("z.yaml", "a: 1\n"), ("value", "\"v\"")];
    same_exit_codes(LINES, &files);
}

#[test]
fn command_lines_for_json_and_binary_files_end_with_the_same_exit_codes() {
    let files = [
        ("p.json", "{\"a\": \"x\", \"l\": [1, \"q\", {}], \"m\": {\"k\": true}}\n"),
        ("p-list.json", "[1]\n"),
        ("p-scalar.json", "42\n"),
        ("p-empty.json", ""),
        ("p-broken.json", "{\"a\": x}\n"),
        ("p-bom.json", "\u{feff}{\"a\": 1}\n"),
        ("p-number.json", "{\"a\": 1e400}\n"),
        ("p-sops.json", "{\"a\": 1, \"sops\": {\"mac\": \"x\"}}\n"),
        ("p-sops-text.json", "{\"a\": 1, \"sops\": \"x\"}\n"),
        ("p-plain.json", "{\"a\": 1}\n"),
        ("p.bin", "hello \u{1}\n"),
        ("p-empty.bin", ""),
        ("p-plain.bin", "plain\n"),
        ("p-json.bin", "{\"data\": 1}"),
    ];
    same_exit_codes(JSON_LINES, &files);
}
