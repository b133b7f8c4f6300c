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

#[test]
fn the_same_command_lines_end_with_the_same_exit_codes() {
    let desk = Desk::new();
    let stand_in = desk.path("sops");
    symlink(env!("CARGO_BIN_EXE_orlop"), &stand_in).unwrap();
    let programs: [(PathBuf, PathBuf); 2] =
        [(peers().join("sops"), desk.path("theirs")), (stand_in, desk.path("ours"))];
    for (_, folder) in &programs {
        fs::create_dir(folder).unwrap();
        let rule = format!("creation_rules:\n  - path_regex: p\n    age: {}\n", desk.recipient);
        fs::write(folder.join(".sops.yaml"), rule).unwrap();
        fs::write(folder.join("p.yaml"), "a: 1\nb: x\nl:\n  - p\n  - q\n").unwrap();
        fs::write(folder.join("z.yaml"), "a: 1\n").unwrap();
        fs::write(folder.join("value"), "\"v\"").unwrap();
    }
    let mut different = Vec::new();
    for line in LINES.lines().filter(|line| !line.is_empty()) {
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
