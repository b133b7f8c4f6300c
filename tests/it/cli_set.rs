//! `set` and `unset`.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::process::Stdio;

use crate::cli::{Desk, SAMPLE};

/// The lines that differ, without the numbers of lines that only one side has.
fn changed_lines(before: &str, after: &str) -> Vec<String> {
    let before: Vec<&str> = before.lines().collect();
    after
        .lines()
        .filter(|line| !before.contains(line))
        .map(|line| line.trim().split(':').next().unwrap().to_owned())
        .collect()
}

#[test]
fn setting_a_value_changes_its_line_the_time_and_the_mac_only() {
    let desk = Desk::new();
    let before = desk.sealed("a.yaml", SAMPLE).replace("lastmodified: \"2", "lastmodified: \"1");
    desk.run(["set", "a.yaml", r#"["nested"]["deep"]"#, r#""canary new""#]).ok();
    assert_eq!(changed_lines(&before, &desk.text("a.yaml")), ["deep", "lastmodified", "mac"]);
    assert_eq!(desk.plain("a.yaml"), SAMPLE.replace("canary-deep", "canary new"));
}

#[test]
fn values_of_every_kind_can_be_set() {
    let desk = Desk::new();
    desk.sealed("a.yaml", "a: 1\nlist:\n- x\n");
    for (path, value, expected) in [
        (r#"["a"]"#, "2", "2\n"),
        (r#"["a"]"#, "2.5", "2.5\n"),
        (r#"["a"]"#, "true", "true\n"),
        (r#"["a"]"#, "null", "null\n"),
        (r#"["a"]"#, r#""text""#, "text"),
        (r#"["a"]"#, r#""""#, ""),
        (r#"["a"]"#, r#" {"b": {"c": [1, "x"]}} "#, "b:\n    c:\n        - 1\n        - x\n"),
        (r#"["list"][0]"#, r#""y""#, "y"),
        (r#"["list"][9]"#, r#""z""#, "z"),
        (r#"["new"]["below"]"#, "3", "3\n"),
    ] {
        desk.run(["set", "a.yaml", path, value]).ok();
        let path = if path.ends_with("[9]") { r#"["list"][1]"# } else { path };
        assert_eq!(desk.run(["decrypt", "--extract", path, "a.yaml"]).ok(), expected, "{path} {value}");
    }
}

#[test]
fn values_come_from_files_and_from_stdin() {
    let desk = Desk::new();
    desk.sealed("a.yaml", SAMPLE);
    desk.file("value.json", "\"canary from file\"\n");
    desk.run(["set", "--value-file", "a.yaml", r#"["name"]"#, "value.json"]).ok();
    assert!(desk.plain("a.yaml").contains("name: canary from file\n"));
    desk.run_with_stdin(["set", "--value-stdin", "a.yaml", r#"["name"]"#], "\"canary from stdin\"").ok();
    assert!(desk.plain("a.yaml").contains("name: canary from stdin\n"));
    desk.run(["set", "--value-file", "--value-stdin", "a.yaml", "x", "y"]).fails(1);
    desk.run(["set", "--value-stdin", "a.yaml", "x", "y"]).fails(100);
    desk.run(["set", "--value-file", "a.yaml", r#"["name"]"#, "missing.json"]).fails(1);
}

#[test]
fn wrong_values_and_wrong_places_leave_the_file_alone() {
    let desk = Desk::new();
    let sealed = desk.sealed("a.yaml", SAMPLE);
    for (path, value, code) in [
        (r#"["name"]"#, "canary", 7),
        (r#"["name"]"#, r#""canary"#, 7),
        (r#"["name"]"#, r#"{"a": canary}"#, 7),
        (r#"["name"]"#, r#"["canary"]"#, 7),
        (r#"["name"#, "1", 7),
        ("[x]", "1", 7),
        ("", "1", 7),
        (r#"["sops"]"#, "1", 203),
        (r#"["sops"]["mac"]"#, "1", 203),
    ] {
        desk.run(["set", "a.yaml", path, value]).fails(code);
        assert_eq!(desk.text("a.yaml"), sealed, "{path} {value}");
    }
    desk.run(["set", "a.yaml"]).fails(100);
    desk.run(["set", "a.yaml", r#"["name"]"#]).fails(100);
    desk.run(["set", "a.yaml", r#"["name"]"#, "1", "2"]).fails(100);
    desk.run(["set", "missing.yaml", r#"["name"]"#, "1"]).fails(2);
}

#[test]
fn nothing_is_written_when_nothing_changes() {
    let desk = Desk::new();
    desk.sealed("a.yaml", SAMPLE);
    let before = fs::metadata(desk.path("a.yaml")).unwrap();
    for words in [
        &["set", "a.yaml", r#"["name"]"#, r#""canary-name""#][..],
        &["set", "--idempotent", "a.yaml", r#"["name"]"#, r#""canary-name""#],
        &["set", "a.yaml", "--idempotent", r#"["name"]"#, r#""canary-name""#],
        &["set", "a.yaml", r#"["port"]"#, "8080"],
        &["unset", "--idempotent", "a.yaml", r#"["nobody"]"#],
        &["unset", "--idempotent", "a.yaml", r#"["nobody"]["below"]"#],
        &["unset", "--idempotent", "a.yaml", r#"["list"][5]"#],
    ] {
        desk.run(words.iter().copied()).ok();
        let after = fs::metadata(desk.path("a.yaml")).unwrap();
        assert_eq!((after.ino(), after.mtime_nsec()), (before.ino(), before.mtime_nsec()), "{words:?}");
    }
}

#[test]
fn unset_removes_what_is_there_and_says_when_nothing_is() {
    let desk = Desk::new();
    desk.sealed("a.yaml", SAMPLE);
    desk.run(["unset", "a.yaml", r#"["name"]"#]).ok();
    desk.run(["unset", "a.yaml", r#"["list"][0]"#]).ok();
    let expected = SAMPLE.replace("name: canary-name\n", "").replace("  - canary-one\n", "");
    assert_eq!(desk.plain("a.yaml"), expected);
    let sealed = desk.text("a.yaml");
    assert!(desk.run(["unset", "a.yaml", r#"["name"]"#]).fails(1).contains("Key not found: name"));
    assert!(desk.run(["unset", "a.yaml", r#"["list"][5]"#]).fails(1).contains("Index 5 out of bounds"));
    desk.run(["unset", "--idempotent", "a.yaml", r#"["port"]["x"]"#]).fails(1);
    desk.run(["unset", "a.yaml", r#"["sops"]"#]).fails(1);
    desk.run(["unset", "a.yaml", "[x]"]).fails(7);
    desk.run(["unset", "a.yaml"]).fails(100);
    desk.run(["unset", "missing.yaml", "[0]"]).fails(2);
    assert_eq!(desk.text("a.yaml"), sealed);
}

#[test]
fn of_two_values_set_at_the_same_time_none_is_lost() {
    let desk = Desk::new();
    for round in 0..20 {
        desk.sealed("a.yaml", "a: 0\nb: 0\n");
        let start = |key: &str| {
            let (path, value) = (format!("[\"{key}\"]"), (round + 1).to_string());
            let mut command = desk.orlop(["set", "a.yaml", &path, &value]);
            command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
        };
        let children = [start("a"), start("b")];
        let done = children.map(|child| {
            let output = child.wait_with_output().unwrap();
            let message = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success() || message.contains("the file changed"), "{message}");
            output.status.success()
        });
        let value = |done: bool| if done { round + 1 } else { 0 };
        assert!(done[0] || done[1]);
        assert_eq!(desk.plain("a.yaml"), format!("a: {}\nb: {}\n", value(done[0]), value(done[1])));
    }
}

#[test]
fn a_program_that_knows_no_lock_is_noticed() {
    let desk = Desk::new();
    desk.sealed("a.yaml", SAMPLE);
    // The key comes from a command, which changes the file while orlop works on it.
    let script = format!("cat {}; echo '# theirs' >> a.yaml", desk.path("home/key.txt").display());
    desk.file("key.sh", &script);
    let mut command = desk.orlop(["set", "a.yaml", r#"["port"]"#, "1"]);
    command.env_remove("SOPS_AGE_KEY_FILE").env("SOPS_AGE_KEY_CMD", "sh key.sh");
    let message = desk.run_command(&mut command).fails(3);
    assert!(message.contains("the file changed while orlop worked on it"), "{message}");
    assert!(desk.text("a.yaml").ends_with("# theirs\n"));
}

#[test]
fn a_read_only_file_is_not_replaced() {
    use std::os::unix::fs::PermissionsExt as _;
    let desk = Desk::new();
    let sealed = desk.sealed("a.yaml", SAMPLE);
    fs::set_permissions(desk.path("a.yaml"), fs::Permissions::from_mode(0o444)).unwrap();
    // Nothing is read-only for root.
    if fs::OpenOptions::new().write(true).open(desk.path("a.yaml")).is_err() {
        desk.run(["set", "a.yaml", r#"["port"]"#, "1"]).fails(3);
        assert_eq!(desk.text("a.yaml"), sealed);
    }
}
