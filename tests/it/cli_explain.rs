//! `explain`.

use crate::cli::{CANARY, Desk, SAMPLE};

/// The lines that `explain` calls encrypted.
fn encrypted_lines(report: &str) -> Vec<usize> {
    let marked = report.lines().filter_map(|line| line.trim_start().strip_prefix("encrypted "));
    marked.map(|line| line.split_whitespace().nth(1).unwrap().parse().unwrap()).collect()
}

#[test]
fn what_it_says_would_be_encrypted_is_what_encrypt_encrypts() {
    for rule in [
        "",
        "    encrypted_regex: ^(list|deep)$\n",
        "    unencrypted_regex: ^nested$\n",
        "    encrypted_suffix: e\n",
        "    unencrypted_suffix: e\n",
        "    unencrypted_comment_regex: canary\n",
        "    mac_only_encrypted: true\n",
    ] {
        let desk = Desk::new();
        desk.file(".sops.yaml", &format!("creation_rules:\n  - age: {}\n{rule}", desk.recipient));
        desk.file("a.yaml", SAMPLE);
        let before = encrypted_lines(&desk.run(["explain", "a.yaml"]).ok());
        desk.run(["encrypt", "-i", "a.yaml"]).ok();
        let sealed = desk.text("a.yaml");
        let values = sealed.split("\nsops:").next().unwrap();
        let lines: Vec<usize> = values
            .lines()
            .enumerate()
            .filter(|(_, line)| line.contains("ENC["))
            .map(|(number, _)| number + 1)
            .collect();
        assert_eq!(before, lines, "{rule}");
        assert_eq!(encrypted_lines(&desk.run(["explain", "a.yaml"]).ok()), lines, "{rule}");
    }
}

#[test]
fn it_names_the_rule_that_holds_those_before_it_and_the_people_who_can_open_the_file() {
    let desk = Desk::new();
    let other = desk.other_key("other.txt");
    let config = format!(
        "creation_rules:\n  - path_regex: ^prod/\n    age: {other}\n  - path_regex: \\.yaml$\n    key_groups:\n      \
         - age:\n          - {} # Alice, laptop\n      - age:\n          # the cluster\n          - {other}\n    \
         shamir_threshold: 1\n",
        desk.recipient
    );
    desk.file(".sops.yaml", &config);
    let report = desk.run(["explain", "a.yaml"]).ok();
    for part in [
        "a.yaml (yaml, not there yet)",
        "creation_rules[0] is not it: path_regex ^prod/ does not match a.yaml",
        "creation_rules[1]: path_regex \\.yaml$ matches a.yaml",
        "any 1 of 2 groups",
        &format!("{}  (Alice, laptop)", desk.recipient),
        &format!("{other}  (the cluster)"),
    ] {
        assert!(report.contains(part), "{part:?} is not in\n{report}");
    }
}

#[test]
fn it_tells_when_the_file_has_other_keys_than_its_rule_and_needs_no_key_itself() {
    let desk = Desk::new();
    desk.sealed("a.yaml", SAMPLE);
    let report = desk.run(["explain", "a.yaml"]).ok();
    assert!(report.contains("its keys are those of the file"), "{report}");
    let other = desk.other_key("other.txt");
    desk.file(".sops.yaml", &format!("creation_rules:\n  - age: {other}\n"));
    std::fs::remove_file(desk.path("home/key.txt")).unwrap();
    let report = desk.run(["explain", "a.yaml"]).ok();
    assert!(report.contains("`orlop updatekeys` would change"), "{report}");
    assert!(report.contains(&other) && report.contains(&desk.recipient), "{report}");
    assert!(!report.contains(CANARY));
}

#[test]
fn it_says_so_where_no_rule_or_no_config_is() {
    let desk = Desk::new();
    desk.file("a.yaml", SAMPLE);
    desk.file(".sops.yaml", "creation_rules:\n  - path_regex: ^b$\n    age: x\n");
    let report = desk.run(["explain", "a.yaml"]).ok();
    assert!(report.contains("no creation rule of") && report.contains("until a rule matches"), "{report}");
    std::fs::remove_file(desk.path(".sops.yaml")).unwrap();
    let report = desk.run(["explain", "a.yaml"]).ok();
    assert!(report.contains("config      none found"), "{report}");
    desk.run(["explain"]).fails(100);
    desk.file("broken.yaml", "a: [canary\n");
    let message = desk.run(["explain", "broken.yaml"]).fails(1);
    assert!(message.contains("broken.yaml"), "{message}");
}

#[test]
fn a_file_of_bytes_is_one_value_whatever_the_rule_says() {
    let desk = Desk::new();
    let rule = "encrypted_regex: ^nothing$";
    desk.file(".sops.yaml", &format!("creation_rules:\n  - age: {}\n    {rule}\n", desk.recipient));
    for (name, text) in [("a.txt", "canary \u{1}\n"), ("b", "{\"looks\": \"like JSON\"}\n"), ("empty", "")] {
        desk.file(name, text);
        let count = if text.is_empty() { "0 of 1" } else { "1 of 1" };
        let report = desk.run(["explain", name]).ok();
        assert!(report.contains("(binary, not encrypted)") && report.contains("everything"), "{report}");
        assert!(report.contains(&format!("would be encrypted: {count}")), "{report}");
        desk.run(["encrypt", "-i", name]).ok();
        let report = desk.run(["explain", name]).ok();
        assert!(report.contains("(binary, encrypted)") && !report.contains("another one"), "{report}");
        assert!(report.contains(&format!("encrypted: {count}")), "{report}");
    }
}
