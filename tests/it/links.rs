//! `sops` as a link to the program, for tools that call sops.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use crate::cli::{CANARY, Desk, SAMPLE};

/// Runs git in the desk's folder, with a link named `sops` first in the path.
fn git(desk: &Desk, words: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"])
        .args(words)
        .current_dir(desk.path(""))
        .env_clear()
        .env("HOME", desk.path("home"))
        .env("PATH", format!("{}:/usr/bin:/bin", desk.path("bin").display()))
        .env("SOPS_AGE_KEY_FILE", desk.path("home/key.txt"))
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn git_shows_what_changed_in_a_sealed_file_with_sops_decrypt_as_its_textconv() {
    let desk = Desk::new();
    fs::create_dir(desk.path("bin")).unwrap();
    symlink(env!("CARGO_BIN_EXE_orlop"), desk.path("bin/sops")).unwrap();
    desk.file(".gitattributes", "*.yaml diff=sealed\n");
    git(&desk, &["init", "-q"]);
    git(&desk, &["config", "diff.sealed.textconv", "sops decrypt"]);
    desk.sealed("a.yaml", SAMPLE);
    git(&desk, &["add", "a.yaml", ".gitattributes"]);
    git(&desk, &["commit", "-q", "-m", "first"]);
    desk.run(["set", "a.yaml", r#"["port"]"#, "9090"]).ok();
    let shown = git(&desk, &["diff", "a.yaml"]);
    let changes: Vec<&str> =
        shown.lines().filter(|line| line.starts_with(['+', '-']) && !line.contains("/a.yaml")).collect();
    assert_eq!(changes, ["-port: 8080", "+port: 9090"], "{shown}");
    git(&desk, &["commit", "-q", "-a", "-m", "second"]);
    let log = git(&desk, &["log", "-p", "--no-textconv", "-1"]);
    assert!(log.contains("ENC[") && !log.contains(CANARY), "what git keeps is sealed");
}
