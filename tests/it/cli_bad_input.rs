//! Files and keys that are wrong: one clear message, its exit code, and the file as it was.

use crate::cli::{CANARY, Desk, SAMPLE};

/// Runs every command that opens a file, and returns the message of `decrypt`.
fn refused(desk: &Desk, code: i32) -> String {
    let before = desk.text("a.yaml");
    let message = desk.run(["decrypt", "a.yaml"]).fails(code);
    for words in [
        &["decrypt", "-i", "a.yaml"][..],
        &["set", "a.yaml", r#"["port"]"#, "1"],
        &["unset", "a.yaml", r#"["port"]"#],
        &["rotate", "-i", "a.yaml"],
        &["edit", "a.yaml"],
    ] {
        desk.run(words.iter().copied()).fails(code);
        assert_eq!(desk.text("a.yaml"), before, "{words:?} changed the file");
    }
    assert!(message.contains("a.yaml"), "it names the file: {message}");
    message
}

/// The sample, sealed and then changed by hand.
fn tampered(change: impl Fn(&str) -> String) -> Desk {
    let desk = Desk::new();
    let sealed = desk.sealed("a.yaml", SAMPLE);
    let changed = change(&sealed);
    assert_ne!(changed, sealed, "the test changes nothing");
    desk.file("a.yaml", &changed);
    desk
}

/// The text of the line that begins with `key`, from its colon on.
fn value_of<'t>(text: &'t str, key: &str) -> &'t str {
    let line = text.lines().find(|line| line.trim_start().starts_with(&format!("{key}:"))).unwrap();
    line.split_once(": ").unwrap().1
}

#[test]
fn the_wrong_key() {
    let desk = Desk::new();
    let before = desk.sealed("a.yaml", SAMPLE);
    desk.other_key("home/key.txt");
    let message = refused(&desk, 128);
    assert!(message.contains(&format!("group 1: age {}", desk.recipient)), "{message}");
    assert!(message.contains("looked in SOPS_AGE_KEY_FILE: 1 key"), "{message}");
    assert!(message.contains("hint: none of your keys"), "{message}");
    assert_eq!(desk.text("a.yaml"), before);
}

#[test]
fn no_key() {
    let desk = Desk::new();
    desk.sealed("a.yaml", SAMPLE);
    let mut command = desk.orlop(["decrypt", "a.yaml"]);
    let message = desk.run_command(command.env_remove("SOPS_AGE_KEY_FILE")).fails(128);
    assert!(message.contains(".config/sops/age/keys.txt: nothing there"), "{message}");
    assert!(message.contains("hint: no age key was found"), "{message}");
    let mut command = desk.orlop(["decrypt", "a.yaml"]);
    let message = desk.run_command(command.env("SOPS_AGE_KEY_FILE", desk.path("a.yaml"))).fails(128);
    assert!(message.contains("looked in SOPS_AGE_KEY_FILE: not used"), "{message}");
}

#[test]
fn a_changed_value() {
    let desk = tampered(|sealed| {
        let value = value_of(sealed, "name");
        let start = value.find("data:").unwrap() + 5;
        let letter = if value.as_bytes()[start] == b'A' { "B" } else { "A" };
        sealed.replace(value, &format!("{}{letter}{}", &value[..start], &value[start + 1..]))
    });
    let message = refused(&desk, 25);
    assert!(message.contains(r#"["name"]"#) && message.contains("line 2:"), "{message}");
}

#[test]
fn a_value_in_clear_where_a_sealed_one_belongs() {
    let desk = tampered(|sealed| sealed.replace(value_of(sealed, "port"), "1"));
    assert!(refused(&desk, 25).contains(r#"["port"]"#));
    let desk = tampered(|sealed| sealed.replace(value_of(sealed, "name"), CANARY));
    assert!(refused(&desk, 25).contains(r#"["name"]"#));
}

#[test]
fn two_values_swapped() {
    let desk = tampered(|sealed| {
        let (name, deep) = (value_of(sealed, "name"), value_of(sealed, "deep"));
        sealed.replace(name, "HERE").replace(deep, name).replace("HERE", deep)
    });
    assert!(refused(&desk, 25).contains(r#"["name"]"#));
}

#[test]
fn two_elements_of_a_list_swapped() {
    let desk = tampered(|sealed| {
        let items: Vec<&str> = sealed.lines().filter(|line| line.starts_with("  - ENC")).collect();
        sealed.replace(items[0], "HERE").replace(items[1], items[0]).replace("HERE", items[1])
    });
    assert!(refused(&desk, 51).contains("MAC mismatch"));
    let run = desk.run(["decrypt", "--ignore-mac", "a.yaml"]);
    assert!(run.ok().contains("  - canary-two\n  - canary-one\n"));
}

#[test]
fn a_renamed_key() {
    let desk = tampered(|sealed| sealed.replacen("name:", "title:", 1));
    assert!(refused(&desk, 25).contains(r#"["title"]"#));
}

#[test]
fn a_value_removed() {
    let desk = tampered(|sealed| {
        sealed
            .lines()
            .filter(|line| !line.starts_with("port:"))
            .fold(String::new(), |text, line| text + line + "\n")
    });
    assert!(refused(&desk, 51).contains("MAC mismatch"));
    assert_eq!(desk.run(["decrypt", "--ignore-mac", "a.yaml"]).ok(), SAMPLE.replace("port: 8080\n", ""));
}

#[test]
fn another_time_or_no_mac() {
    let desk = tampered(|sealed| sealed.replace("lastmodified: \"20", "lastmodified: \"21"));
    assert!(refused(&desk, 51).contains("MAC mismatch"));
    let desk = tampered(|sealed| sealed.replace(value_of(sealed, "mac"), "\"\""));
    assert!(refused(&desk, 51).contains("the file has no MAC"));
}

#[test]
fn a_file_cut_off() {
    let desk = tampered(|sealed| sealed[..sealed.len() / 3].to_owned());
    refused(&desk, 1);
    let desk = tampered(|sealed| sealed[..sealed.find("    lastmodified").unwrap()].to_owned());
    refused(&desk, 1);
}

#[test]
fn metadata_missing_or_mangled() {
    let desk = tampered(|sealed| sealed[..sealed.find("sops:").unwrap()].to_owned());
    let message = refused(&desk, 1);
    assert!(message.contains("sops metadata not found") && message.contains("hint:"), "{message}");
    let desk = tampered(|sealed| format!("{}sops: 1\n", &sealed[..sealed.find("sops:").unwrap()]));
    assert!(refused(&desk, 1).contains("the sops entry is not a map"));
    let desk = tampered(|sealed| sealed.replace("    age:\n", "    agee:\n"));
    assert!(refused(&desk, 1).contains("no keys found in file"));
    let desk = tampered(|sealed| sealed.replace(value_of(sealed, "lastmodified"), "yesterday"));
    assert!(refused(&desk, 1).contains("lastmodified"));
}

#[test]
fn a_version_that_is_none() {
    let desk = tampered(|sealed| sealed.replace("version: 3.13.3", "version: banana"));
    assert!(refused(&desk, 1).contains("banana"));
    let desk = tampered(|sealed| sealed.replace("    version: 3.13.3\n", ""));
    assert!(refused(&desk, 1).contains("the version in the metadata is empty"));
    let desk = tampered(|sealed| sealed.replace("version: 3.13.3", "version: 99.0.0"));
    assert_eq!(desk.plain("a.yaml"), SAMPLE, "files of later versions are tried");
}

#[test]
fn a_damaged_data_key() {
    let desk = tampered(|sealed| {
        let start = sealed.find("AGE ENCRYPTED FILE-----").unwrap() + 60;
        format!("{}!!!!{}", &sealed[..start], &sealed[start + 4..])
    });
    assert!(refused(&desk, 128).contains("damaged"));
}

#[test]
fn files_that_are_no_maps() {
    let desk = Desk::new();
    for (text, code) in
        [("- canary\n", 2), ("canary\n", 2), ("", 92), ("canary: [\n", 2), ("a: canary\na: canary\n", 2)]
    {
        desk.file("a.yaml", text);
        let message = desk.run(["encrypt", "-i", "a.yaml"]).fails(code);
        assert!(message.contains("a.yaml"), "{message}");
        assert_eq!(desk.text("a.yaml"), text);
        desk.run(["decrypt", "a.yaml"]).fails(1);
    }
}

#[test]
fn junk_with_the_name_of_a_yaml_file() {
    let desk = Desk::new();
    let junk: Vec<u8> =
        (0..4096_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    std::fs::write(desk.path("junk.yaml"), &junk).unwrap();
    desk.run(["encrypt", "-i", "junk.yaml"]).fails(2);
    desk.run(["decrypt", "junk.yaml"]).fails(1);
    assert_eq!(std::fs::read(desk.path("junk.yaml")).unwrap(), junk);
}

#[test]
fn ten_thousand_levels() {
    let desk = Desk::new();
    for text in [
        format!("a: {}1{}\n", "[".repeat(10_000), "]".repeat(10_000)),
        format!("a: {}1{}\n", "{a: ".repeat(10_000), "}".repeat(10_000)),
        (0..10_000).fold(String::new(), |text, level| text + &" ".repeat(level) + "a:\n"),
    ] {
        desk.file("deep.yaml", &text);
        desk.run(["encrypt", "-i", "deep.yaml"]).fails(2);
        desk.run(["decrypt", "deep.yaml"]).fails(1);
        assert_eq!(desk.text("deep.yaml"), text);
    }
    let deep = (0..10_000).fold(r#"["a"]"#.to_owned(), |path, _| path + "[0]");
    desk.sealed("a.yaml", SAMPLE);
    desk.run(["decrypt", "--extract", &deep, "a.yaml"]).fails(1);
    let value = format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000));
    desk.run(["set", "a.yaml", r#"["port"]"#, &value]).fails(7);
}

/// Files this large are no values files, but they are handled and not refused.
#[test]
fn a_hundred_megabytes() {
    const SIZE: usize = 100_000_000;
    let desk = Desk::new();
    let junk = vec![0x80_u8; SIZE];
    std::fs::write(desk.path("junk.yaml"), &junk).unwrap();
    desk.run(["encrypt", "-i", "junk.yaml"]).fails(2);
    assert!(std::fs::read(desk.path("junk.yaml")).unwrap() == junk, "the junk was changed");
    std::fs::remove_file(desk.path("junk.yaml")).unwrap();

    let line = "  canary 0123456789 abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ 0123456789\n";
    let text = format!("first: canary\nlong: |\n{}last: 1\n", line.repeat(SIZE / line.len()));
    std::fs::write(desk.path("long.yaml"), &text).unwrap();
    desk.run(["encrypt", "-i", "long.yaml"]).ok();
    let sealed = desk.text("long.yaml");
    assert!(!sealed.contains(CANARY) && sealed.len() > SIZE, "it was not sealed");
    assert!(desk.plain("long.yaml") == text, "it does not come back as it was");
    let cut = sealed.len() / 2;
    std::fs::write(desk.path("long.yaml"), &sealed[..cut]).unwrap();
    desk.run(["decrypt", "long.yaml"]).fails(1);
}
