//! The form without commands: `orlop -d file`.

use crate::cli::{Desk, SAMPLE};

#[test]
fn a_file_is_encrypted_changed_and_decrypted_by_flags_alone() {
    let desk = Desk::new();
    desk.file("a.yaml", SAMPLE);
    assert!(desk.run(["-e", "a.yaml"]).ok().contains("ENC["));
    assert_eq!(desk.text("a.yaml"), SAMPLE);
    desk.run(["--encrypt", "--in-place", "a.yaml"]).ok();
    assert_eq!(desk.run(["-d", "a.yaml"]).ok(), SAMPLE);
    assert_eq!(desk.run(["-d", "--extract", r#"["list"][0]"#, "a.yaml"]).ok(), "canary-one");
    desk.run(["--set", r#"["port"] 9090"#, "a.yaml"]).ok();
    let sealed = desk.text("a.yaml");
    desk.run(["-r", "-i", "a.yaml"]).ok();
    assert_ne!(desk.text("a.yaml"), sealed);
    assert_eq!(desk.run(["-d", "a.yaml"]).ok(), SAMPLE.replace("8080", "9090"));
    desk.run(["-d", "-i", "a.yaml"]).ok();
    assert_eq!(desk.text("a.yaml"), SAMPLE.replace("8080", "9090"));
}

#[test]
fn without_a_mode_the_file_is_edited() {
    let desk = Desk::new();
    desk.sealed("a.yaml", SAMPLE);
    assert_eq!(desk.run(["a.yaml"]).fails(200), "File has not changed, exiting.\n");
    // Flags count before the file only, so this edits as well.
    assert_eq!(desk.run(["a.yaml", "-d"]).code, Some(200));
    desk.file("steps/3", "sed -i s/8080/9090/ \"$file\"");
    desk.run(["a.yaml"]).ok();
    assert_eq!(desk.plain("a.yaml"), SAMPLE.replace("8080", "9090"));
}

#[test]
fn the_older_form_has_its_exit_codes() {
    let desk = Desk::new();
    let sealed = desk.sealed("a.yaml", SAMPLE);
    desk.run(["-d"]).fails(100);
    for mode in ["-e", "-d", "-r"] {
        desk.run([mode, "missing.yaml"]).fails(100);
    }
    desk.run(["-r", "--add-age", &desk.recipient, "missing.yaml"]).fails(49);
    desk.run(["--set", r#"["a"] 1"#, "missing.yaml"]).fails(2);
    desk.run(["-d", "-i", "--output", "x", "a.yaml"]).fails(8);
    desk.run(["-d", "-e", "a.yaml"]).fails(8);
    desk.run(["--set", r#"["a"]"#, "a.yaml"]).fails(7);
    desk.run(["--set", r#"["a"] x"#, "a.yaml"]).fails(7);
    desk.run(["-d", "--extract", "[x]", "a.yaml"]).fails(91);
    assert_eq!(desk.text("a.yaml"), sealed);
}

#[test]
fn without_a_matching_rule_only_decrypting_works() {
    let desk = Desk::new();
    desk.sealed("a.yaml", SAMPLE);
    desk.file(".sops.yaml", &format!("creation_rules:\n  - path_regex: ^x\n    age: {}\n", desk.recipient));
    assert_eq!(desk.run(["-d", "a.yaml"]).ok(), SAMPLE);
    for words in [&["-r", "a.yaml"][..], &["--set", r#"["a"] 1"#, "a.yaml"], &["a.yaml"], &["-e", "a.yaml"]] {
        assert!(desk.run(words.iter().copied()).fails(1).contains("no matching creation rules found"));
    }
}

#[test]
fn the_name_that_overrides_the_files_own_counts_for_type_and_rule_only() {
    let desk = Desk::new();
    desk.file("a.txt", SAMPLE);
    desk.run(["-e", "-i", "--filename-override", "a.yaml", "a.txt"]).ok();
    assert_eq!(desk.run(["-d", "--filename-override", "a.yaml", "a.txt"]).ok(), SAMPLE);
    desk.file("steps/1", "sed -i s/8080/9090/ \"$file\"");
    desk.run(["--filename-override", "a.yaml", "a.txt"]).ok();
    assert!(desk.text("steps/log").contains("/a.txt "));
    assert_eq!(
        desk.run(["-d", "--input-type", "yaml", "--output-type", "yaml", "a.txt"]).ok(),
        SAMPLE.replace("8080", "9090")
    );
}
