//! `generate`, `rotate` and `updatekeys`.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use crate::cli::{Desk, SAMPLE};

/// The sealed values, the MAC and the time of a file: all but its keys.
fn without_keys(sealed: &str) -> Vec<&str> {
    let is_kept = |line: &&str| line.contains("ENC[") || line.contains("lastmodified");
    sealed.lines().filter(is_kept).collect()
}

#[test]
fn a_generated_key_is_new_private_and_never_written_over_another() {
    let desk = Desk::new();
    let run = desk.run(["generate", "age", "--output", "key.txt"]);
    let recipient = run.stderr.strip_prefix("Public key: ").unwrap().trim_end().to_owned();
    assert_eq!(run.ok(), "");
    let key = desk.text("key.txt");
    let lines: Vec<&str> = key.lines().collect();
    assert!(lines[0].starts_with("# created: 2"), "{}", lines[0]);
    assert_eq!(lines[1], format!("# public key: {recipient}"));
    assert!(lines[2].starts_with("AGE-SECRET-KEY-1") && lines.len() == 3);
    assert_eq!(fs::metadata(desk.path("key.txt")).unwrap().mode() & 0o777, 0o600);
    desk.run(["generate", "age", "--output", "key.txt"]).fails(3);
    assert_eq!(desk.text("key.txt"), key);

    desk.file("a.yaml", SAMPLE);
    desk.run(["encrypt", "--age", &recipient, "-i", "a.yaml"]).ok();
    desk.run(["decrypt", "a.yaml"]).fails(128);
    let mut command = desk.orlop(["decrypt", "a.yaml"]);
    assert_eq!(desk.run_command(command.env("SOPS_AGE_KEY_FILE", desk.path("key.txt"))).ok(), SAMPLE);

    let run = desk.run(["generate", "age"]);
    assert_eq!(run.stderr, "");
    assert!(run.ok().contains("\nAGE-SECRET-KEY-1"));
    desk.run(["generate"]).fails(1);
    desk.run(["generate", "pgp"]).fails(1);
}

#[test]
fn rotating_changes_every_sealed_value_and_no_plain_one() {
    let desk = Desk::new();
    let before = desk.sealed("a.yaml", SAMPLE);
    let printed = desk.run(["rotate", "a.yaml"]).ok();
    assert_eq!(desk.text("a.yaml"), before);
    assert!(printed.contains("ENC["));
    desk.run(["rotate", "-i", "a.yaml"]).ok();
    let after = desk.text("a.yaml");
    let sealed = |text: &'_ str| -> Vec<String> {
        text.lines().filter(|line| line.contains("ENC[")).map(str::to_owned).collect()
    };
    assert!(sealed(&before).iter().zip(sealed(&after)).all(|(before, after)| *before != after));
    assert_eq!(sealed(&before).len(), sealed(&after).len());
    assert_eq!(desk.plain("a.yaml"), SAMPLE);
    desk.run(["rotate", "--output", "b.yaml", "a.yaml"]).ok();
    assert_eq!(desk.plain("b.yaml"), SAMPLE);
}

#[test]
fn rotating_adds_and_removes_keys() {
    let desk = Desk::new();
    let other = desk.other_key("other.txt");
    desk.sealed("a.yaml", SAMPLE);
    let decrypt_as_other = || {
        let mut command = desk.orlop(["decrypt", "a.yaml"]);
        desk.run_command(command.env("SOPS_AGE_KEY_FILE", desk.path("other.txt")))
    };
    decrypt_as_other().fails(128);
    desk.run(["rotate", "-i", "--add-age", &other, "a.yaml"]).ok();
    assert_eq!(decrypt_as_other().ok(), SAMPLE);
    assert_eq!(desk.plain("a.yaml"), SAMPLE);
    desk.run(["rotate", "-i", "--rm-age", &desk.recipient, "a.yaml"]).ok();
    assert_eq!(decrypt_as_other().ok(), SAMPLE);
    desk.run(["decrypt", "a.yaml"]).fails(128);
    let mut command = desk.orlop(["rotate", "-i", "--rm-age", &other, "a.yaml"]);
    let message = desk.run_command(command.env("SOPS_AGE_KEY_FILE", desk.path("other.txt"))).fails(1);
    assert_eq!(message, "Could not generate data key: [empty key group provided]\n");
}

#[test]
fn rotating_has_its_exit_codes() {
    let desk = Desk::new();
    desk.sealed("a.yaml", SAMPLE);
    desk.run(["rotate", "-i", "--output", "x", "a.yaml"]).fails(8);
    desk.run(["rotate", "missing.yaml"]).fails(2);
    desk.run(["rotate", "--add-age", &desk.recipient, "missing.yaml"]).fails(49);
    desk.run(["rotate", "--rm-age", &desk.recipient, "missing.yaml"]).fails(49);
    desk.run(["rotate"]).fails(100);
    desk.run(["rotate", "--ignore-mac", "a.yaml"]).fails(1);
}

#[test]
fn updating_keys_shows_the_difference_asks_and_changes_only_the_keys() {
    let desk = Desk::new();
    let other = desk.other_key("other.txt");
    let before = desk.sealed("a.yaml", SAMPLE);
    let run = desk.run(["updatekeys", "a.yaml"]);
    assert_eq!(run.stderr, "File a.yaml already up to date\n");
    assert_eq!(run.ok(), "");

    desk.file(".sops.yaml", &format!("creation_rules:\n  - age: {other}\n"));
    let changes = format!(
        "The following changes will be made to the file's groups:\nGroup 1\n+++ {other}\n--- {}\n",
        desk.recipient
    );
    let run = desk.run_with_stdin(["updatekeys", "a.yaml"], "what\nn\n");
    assert_eq!(run.stderr, "File a.yaml left unchanged\n");
    assert_eq!(run.ok(), format!("{changes}Is this okay? (y/n):Is this okay? (y/n):"));
    let run = desk.run(["updatekeys", "a.yaml"]);
    assert_eq!(run.code, Some(1), "nobody answers");
    assert_eq!(desk.text("a.yaml"), before);

    let run = desk.run_with_stdin(["updatekeys", "a.yaml"], "y\n");
    assert_eq!(run.stderr, "File a.yaml synced with new keys\n");
    assert_eq!(run.code, Some(0));
    let after = desk.text("a.yaml");
    assert_eq!(without_keys(&after), without_keys(&before));
    assert!(after.contains(&other) && !after.contains(&desk.recipient));
    let mut command = desk.orlop(["decrypt", "a.yaml"]);
    assert_eq!(desk.run_command(command.env("SOPS_AGE_KEY_FILE", desk.path("other.txt"))).ok(), SAMPLE);
    desk.file(".sops.yaml", &format!("creation_rules:\n  - age: {}\n", desk.recipient));
    let message = desk.run(["updatekeys", "-y", "a.yaml"]);
    assert_eq!(message.code, Some(128), "only the old keys give the data key");
}

#[test]
fn several_files_are_updated_whatever_happens_to_one() {
    let desk = Desk::new();
    let other = desk.other_key("other.txt");
    desk.sealed("a.yaml", SAMPLE);
    desk.sealed("c.yaml", SAMPLE);
    desk.file("b.yaml", SAMPLE);
    desk.file(".sops.yaml", &format!("creation_rules:\n  - age: '{},{other}'\n", desk.recipient));
    let run = desk.run(["updatekeys", "--yes", "a.yaml", "b.yaml", "c.yaml"]);
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("b.yaml: sops metadata not found"), "{}", run.stderr);
    assert!(run.stderr.contains("failed updating 1 key(s)"), "{}", run.stderr);
    for name in ["a.yaml", "c.yaml"] {
        assert!(desk.text(name).contains(&other));
    }
}

#[test]
fn updating_keys_needs_a_rule_and_a_file() {
    let desk = Desk::new();
    desk.sealed("a.yaml", SAMPLE);
    desk.run(["updatekeys"]).fails(100);
    desk.run(["updatekeys", "home"]).fails(1);
    desk.run(["updatekeys", "missing.yaml"]).fails(1);
    desk.file(".sops.yaml", "creation_rules: []\n");
    desk.run(["updatekeys", "a.yaml"]).fails(1);
    fs::remove_file(desk.path(".sops.yaml")).unwrap();
    assert!(desk.run(["updatekeys", "a.yaml"]).fails(1).contains("config file not found"));
}
