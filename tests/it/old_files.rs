//! Files that sops of other versions made: read, edited and rotated here, opened by the newest sops afterwards.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::cli::{Desk, list};
use crate::support::{in_parallel, peers, testdata};

/// Changes at least one word of each of the files in `testdata/sops/plain`.
const CHANGE: &str =
    "s/s3cret/0ther/; s/two/zwei/; s/berth/pier/; s/text/words/; s/bytes/octets/; s/T07:08/T09:10/";

fn files() -> Vec<PathBuf> {
    let root = testdata("sops");
    let versions = list(&root).into_iter().filter(|name| name.starts_with('3'));
    let files: Vec<PathBuf> = versions
        .flat_map(|version| {
            let folder = root.join(version);
            list(&folder).into_iter().map(move |name| folder.join(name))
        })
        .collect();
    assert!(files.len() >= 5 * 15, "{} files", files.len());
    files
}

/// A folder with a copy of `file`, the keys that open it, and no config file.
fn desk_with(file: &Path) -> (Desk, String) {
    let desk = Desk::new();
    fs::remove_file(desk.path(".sops.yaml")).unwrap();
    let keys = ["keys/age-test.txt", "keys/age-other.txt"];
    let keys: String = keys.iter().map(|key| fs::read_to_string(testdata(key)).unwrap()).collect();
    desk.file("home/key.txt", &keys);
    let name = file.file_name().unwrap().to_str().unwrap().to_owned();
    fs::copy(file, desk.path(&name)).unwrap();
    (desk, name)
}

/// What the newest sops decrypts the file to.
fn sops_opens(desk: &Desk, name: &str) -> Vec<u8> {
    let output = Command::new(peers().join("sops"))
        .args(["decrypt", name])
        .current_dir(desk.path(""))
        .env("SOPS_AGE_KEY_FILE", desk.path("home/key.txt"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// The program, whose output may be any bytes.
fn orlop_prints(desk: &Desk, words: &[&str]) -> Vec<u8> {
    let output = desk.orlop(words.iter().copied()).output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Before 3.10, sops wrote JSON without a last line break, and INI with an empty last line. Here files stay as they are.
fn ends_otherwise(file: &Path) -> bool {
    let is_old = ["3.7.3", "3.9.4"].iter().any(|version| file.parent().unwrap().ends_with(version));
    is_old && file.extension().is_some_and(|extension| extension == "json" || extension == "ini")
}

fn changed(plain: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut sed =
        Command::new("sed").arg(CHANGE).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    sed.stdin.take().unwrap().write_all(plain).unwrap();
    sed.wait_with_output().unwrap().stdout
}

#[test]
fn files_of_old_versions_open_as_in_the_newest_one() {
    in_parallel(&files(), |file| {
        let (desk, name) = desk_with(file);
        let (ours, theirs) = (orlop_prints(&desk, &["decrypt", &name]), sops_opens(&desk, &name));
        assert!(
            ours == theirs || (ends_otherwise(file) && ours.trim_ascii_end() == theirs.trim_ascii_end()),
            "{}",
            file.display()
        );
        assert_eq!(fs::read(file).unwrap(), fs::read(desk.path(&name)).unwrap());
    });
}

#[test]
fn files_of_old_versions_that_were_edited_open_in_the_newest_one() {
    in_parallel(&files(), |file| {
        let (desk, name) = desk_with(file);
        let before = sops_opens(&desk, &name);
        desk.file("steps/1", &format!("sed -i '{CHANGE}' \"$file\""));
        orlop_prints(&desk, &["edit", &name]);
        let after = sops_opens(&desk, &name);
        assert!(after != before && after == changed(&before), "{}", file.display());
    });
}

#[test]
fn files_of_old_versions_that_were_rotated_open_in_the_newest_one() {
    in_parallel(&files(), |file| {
        let (desk, name) = desk_with(file);
        let before = (sops_opens(&desk, &name), fs::read(desk.path(&name)).unwrap());
        orlop_prints(&desk, &["rotate", "-i", &name]);
        let after = (sops_opens(&desk, &name), fs::read(desk.path(&name)).unwrap());
        assert!(after.0 == before.0 && after.1 != before.1, "{}", file.display());
    });
}
