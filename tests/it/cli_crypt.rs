//! `encrypt`, `decrypt` and `filestatus`.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use crate::cli::{Desk, SAMPLE};

#[test]
fn a_file_comes_back_byte_for_byte() {
    let desk = Desk::new();
    desk.sealed("a.yaml", SAMPLE);
    assert_eq!(desk.plain("a.yaml"), SAMPLE);
    assert_eq!(desk.run(["decrypt", "-i", "a.yaml"]).ok(), "");
    assert_eq!(desk.text("a.yaml"), SAMPLE);
}

#[test]
fn without_in_place_the_result_is_printed_and_the_file_stays() {
    let desk = Desk::new();
    desk.file("a.yaml", SAMPLE);
    let sealed = desk.run(["encrypt", "a.yaml"]).ok();
    assert!(sealed.contains("ENC["));
    assert_eq!(desk.text("a.yaml"), SAMPLE);
    assert_eq!(
        desk.run_with_stdin(["decrypt", "--input-type", "yaml", "--output-type", "yaml"], sealed).ok(),
        SAMPLE
    );
}

#[test]
fn stdin_is_encrypted_under_the_name_that_is_given() {
    let desk = Desk::new();
    let sealed = desk.run_with_stdin(["encrypt", "--filename-override", "x.yaml"], SAMPLE).ok();
    assert_eq!(desk.run_with_stdin(["decrypt", "--filename-override", "x.yaml"], sealed).ok(), SAMPLE);
    desk.run_with_stdin(["encrypt"], SAMPLE).fails(8);
    desk.run_with_stdin(["encrypt", "-i", "--filename-override", "x.yaml"], SAMPLE).fails(8);
    desk.run_with_stdin(["decrypt", "-i"], SAMPLE).fails(8);
}

#[test]
fn output_goes_to_a_new_file_or_over_an_old_one() {
    let desk = Desk::new();
    desk.sealed("a.yaml", SAMPLE);
    desk.file("old.yaml", "before");
    fs::set_permissions(desk.path("old.yaml"), fs::Permissions::from_mode(0o600)).unwrap();
    for name in ["new.yaml", "old.yaml"] {
        assert_eq!(desk.run(["decrypt", "--output", name, "a.yaml"]).ok(), "");
        assert_eq!(desk.text(name), SAMPLE);
    }
    assert_eq!(fs::metadata(desk.path("old.yaml")).unwrap().mode() & 0o777, 0o600);
    let message = desk.run(["decrypt", "-i", "--output", "x", "a.yaml"]).fails(8);
    assert!(message.contains("--output and --in-place"), "{message}");
    desk.run(["decrypt", "--output", "missing/x.yaml", "a.yaml"]).fails(3);
    assert_eq!(desk.run(["decrypt", "--output", "/dev/stdout", "a.yaml"]).ok(), SAMPLE);
}

#[test]
fn a_full_disk_is_an_error() {
    let desk = Desk::new();
    desk.sealed("a.yaml", SAMPLE);
    let message = desk.run(["decrypt", "--output", "/dev/full", "a.yaml"]).fails(3);
    assert!(message.contains("no storage space") || message.contains("no space"), "{message}");
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let run = desk.orlop(["decrypt", "a.yaml"]).stdout(full).output().unwrap();
    assert_eq!(run.status.code(), Some(3));
}

#[test]
fn a_link_stays_a_link_and_the_mode_stays() {
    let desk = Desk::new();
    desk.file("real.yaml", SAMPLE);
    fs::set_permissions(desk.path("real.yaml"), fs::Permissions::from_mode(0o604)).unwrap();
    symlink("real.yaml", desk.path("link.yaml")).unwrap();
    desk.run(["encrypt", "-i", "link.yaml"]).ok();
    assert!(fs::symlink_metadata(desk.path("link.yaml")).unwrap().is_symlink());
    assert!(desk.text("real.yaml").contains("ENC["));
    assert_eq!(fs::metadata(desk.path("real.yaml")).unwrap().mode() & 0o777, 0o604);
}

#[test]
fn extract_prints_text_as_it_is_and_maps_as_files() {
    let desk = Desk::new();
    desk.sealed("a.yaml", SAMPLE);
    for (path, expected) in [
        (r#"["name"]"#, "canary-name"),
        (r#"["port"]"#, "8080\n"),
        (r#"["list"][1]"#, "canary-two"),
        ("['nested']", "deep: canary-deep\n"),
    ] {
        assert_eq!(desk.run(["decrypt", "--extract", path, "a.yaml"]).ok(), expected, "{path}");
    }
    assert_eq!(desk.run(["decrypt", "--extract", "", "a.yaml"]).ok(), SAMPLE);
}

#[test]
fn extract_has_its_exit_codes_for_bad_paths_and_for_missing_things() {
    let desk = Desk::new();
    desk.sealed("a.yaml", SAMPLE);
    for path in [r#"["name""#, "[x]", "name", "[-1]"] {
        let message = desk.run(["decrypt", "--extract", path, "a.yaml"]).fails(91);
        assert!(message.contains("error parsing --extract path"), "{message}");
    }
    for path in [r#"["nobody"]"#, r#"["list"][7]"#, r#"["name"]["x"]"#] {
        let message = desk.run(["decrypt", "--extract", path, "a.yaml"]).fails(1);
        assert!(message.contains("error truncating tree: component"), "{message}");
    }
}

#[test]
fn indent_asks_for_the_normal_form() {
    let desk = Desk::new();
    desk.sealed("a.yaml", SAMPLE);
    assert!(desk.run(["--indent", "2", "decrypt", "a.yaml"]).ok().contains("nested:\n  deep: canary-deep\n"));
    assert!(
        desk.run(["--indent", "6", "decrypt", "a.yaml"]).ok().contains("nested:\n      deep: canary-deep\n")
    );
    desk.run(["--indent", "-1", "decrypt", "a.yaml"]).fails(1);
    desk.file(
        ".sops.yaml",
        &format!("creation_rules:\n  - age: {}\nstores:\n  yaml:\n    indent: 6\n", desk.recipient),
    );
    assert_eq!(desk.plain("a.yaml"), SAMPLE);
}

#[test]
fn every_selection_option_says_what_stays_in_clear() {
    let desk = Desk::new();
    desk.file("a.yaml", "key_x: one\nother: two\n");
    for (option, value, clear) in [
        ("--unencrypted-suffix", "_x", "key_x: one"),
        ("--encrypted-suffix", "_x", "other: two"),
        ("--unencrypted-regex", "^key", "key_x: one"),
        ("--encrypted-regex", "^key", "other: two"),
    ] {
        let sealed = desk.run(["encrypt", option, value, "a.yaml"]).ok();
        assert!(sealed.contains(clear), "{option}: {sealed}");
        assert_eq!(sealed.matches(",type:str]").count(), 2, "one value and the MAC: {sealed}");
    }
    let both = ["encrypt", "--encrypted-suffix", "_x", "--unencrypted-regex", "^key", "a.yaml"];
    desk.run(both).fails(8);
    desk.file(
        ".sops.yaml",
        &format!("creation_rules:\n  - age: {}\n    unencrypted_suffix: _x\n", desk.recipient),
    );
    desk.run(["encrypt", "--encrypted-regex", "^key", "a.yaml"]).fails(8);
    assert!(desk.run(["encrypt", "--unencrypted-suffix", "her", "a.yaml"]).ok().contains("other: two"));
}

#[test]
fn an_invalid_selection_expression_is_an_error_and_not_a_file_in_clear() {
    let desk = Desk::new();
    desk.file("a.yaml", SAMPLE);
    let message = desk.run(["encrypt", "-i", "--encrypted-regex", "(", "a.yaml"]).fails(1);
    assert!(message.contains("encrypted_regex"), "{message}");
    assert_eq!(desk.text("a.yaml"), SAMPLE);
}

#[test]
fn flags_go_before_variables_and_these_before_the_config_file() {
    let desk = Desk::new();
    let (flag, variable) = (desk.other_key("flag.txt"), desk.other_key("variable.txt"));
    desk.file("a.yaml", SAMPLE);
    let recipients = |run: crate::cli::Run| {
        let sealed = run.ok();
        let found = [&desk.recipient, &variable, &flag].map(|recipient| sealed.contains(recipient.as_str()));
        found.to_vec()
    };
    assert_eq!(recipients(desk.run(["encrypt", "a.yaml"])), [true, false, false]);
    let mut command = desk.orlop(["encrypt", "a.yaml"]);
    assert_eq!(
        recipients(desk.run_command(command.env("SOPS_AGE_RECIPIENTS", &variable))),
        [false, true, false]
    );
    let mut command = desk.orlop(["encrypt", "--age", &flag, "a.yaml"]);
    assert_eq!(
        recipients(desk.run_command(command.env("SOPS_AGE_RECIPIENTS", &variable))),
        [false, false, true]
    );
    let two = format!("{flag},{variable}");
    assert_eq!(recipients(desk.run(["encrypt", "-a", &two, "a.yaml"])), [false, true, true]);
}

#[test]
fn the_config_file_is_found_upwards_or_named() {
    let desk = Desk::new();
    fs::create_dir_all(desk.path("a/b")).unwrap();
    desk.file("a/b/x.yaml", SAMPLE);
    let mut command = desk.orlop(["encrypt", "x.yaml"]);
    assert!(desk.run_command(command.current_dir(desk.path("a/b"))).ok().contains("ENC["));
    fs::rename(desk.path(".sops.yaml"), desk.path("named.yaml")).unwrap();
    let message = desk.run(["encrypt", "a/b/x.yaml"]).fails(1);
    assert!(message.contains("config file not found"), "{message}");
    assert!(desk.run(["--config", "named.yaml", "encrypt", "a/b/x.yaml"]).ok().contains("ENC["));
    let mut command = desk.orlop(["encrypt", "a/b/x.yaml"]);
    assert!(desk.run_command(command.env("SOPS_CONFIG", "named.yaml")).ok().contains("ENC["));
    desk.run(["--config", "missing.yaml", "encrypt", "a/b/x.yaml"]).fails(1);
    desk.file(".sops.yml", "x");
    let run = desk.run(["--config", "named.yaml", "encrypt", "a/b/x.yaml"]);
    assert_eq!(run.stderr, "");
    let message = desk.run(["encrypt", "a/b/x.yaml"]).fails(1);
    assert!(message.contains("the config file must be called \".sops.yaml\""), "{message}");
}

#[test]
fn a_config_file_that_cannot_be_used_stops_decrypting_too() {
    let desk = Desk::new();
    desk.sealed("a.yaml", SAMPLE);
    desk.file(".sops.yaml", "creation_rules: [");
    let message = desk.run(["decrypt", "a.yaml"]).fails(1);
    assert!(message.contains("error loading config"), "{message}");
}

#[test]
fn no_matching_rule_stops_encrypting_even_with_keys_given() {
    let desk = Desk::new();
    desk.sealed("b.yaml", SAMPLE);
    desk.file(
        ".sops.yaml",
        &format!("creation_rules:\n  - path_regex: ^other\n    age: {}\n", desk.recipient),
    );
    desk.file("a.yaml", SAMPLE);
    let message = desk.run(["encrypt", "--age", &desk.recipient, "a.yaml"]).fails(1);
    assert!(message.contains("error loading config: no matching creation rules found"), "{message}");
    assert!(desk.run(["encrypt", "--filename-override", "other.yaml", "a.yaml"]).ok().contains("ENC["));
    assert_eq!(desk.plain("b.yaml"), SAMPLE);
}

#[test]
fn an_empty_key_group_is_told_in_the_very_words_of_sops() {
    let desk = Desk::new();
    desk.file("a.yaml", SAMPLE);
    for rule in ["encrypted_regex: x", "key_groups: []", "key_groups: [{}]"] {
        desk.file(".sops.yaml", &format!("creation_rules:\n  - path_regex: ''\n    {rule}\n"));
        let message = desk.run(["encrypt", "a.yaml"]).fails(1);
        assert_eq!(message, "Could not generate data key: [empty key group provided]\n", "{rule}");
    }
}

#[test]
fn keys_of_providers_to_come_are_named_when_they_would_be_used() {
    let desk = Desk::new();
    desk.file("a.yaml", SAMPLE);
    let key = "projects/p/locations/l/keyRings/r/cryptoKeys/k";
    let message = desk.run(["encrypt", "--gcp-kms", key, "a.yaml"]).fails(1);
    assert!(message.contains("GCP KMS") && message.contains(key), "{message}");
    desk.run(["encrypt", "--kms", "arn:aws:kms:x", "--encryption-context", "a", "a.yaml"]).fails(6);
    desk.run(["encrypt", "--age", "age1nonsense", "a.yaml"]).fails(1);
    let nobody = ["encrypt", "--enable-local-keyservice=false", "a.yaml"];
    desk.run(nobody).fails(1);
    let somebody =
        ["encrypt", "--enable-local-keyservice=false", "--keyservice", "tcp://localhost:1", "a.yaml"];
    let message = desk.run(somebody).fails(1);
    assert!(message.contains("localhost:1"), "{message}");
}

#[test]
fn groups_and_thresholds_decide_who_decrypts() {
    let desk = Desk::new();
    let other = desk.other_key("other.txt");
    let groups = format!("key_groups:\n      - age: ['{}']\n      - age: ['{other}']\n", desk.recipient);
    desk.file(".sops.yaml", &format!("creation_rules:\n  - path_regex: ''\n    {groups}"));
    desk.sealed("a.yaml", SAMPLE);
    let message = desk.run(["decrypt", "a.yaml"]).fails(128);
    assert!(message.contains("1 of 2 needed key groups"), "{message}");
    assert!(
        message.contains("group 1: unlocked") && message.contains(&format!("group 2: age {other}")),
        "{message}"
    );
    let both = format!("{}\n{}", desk.text("home/key.txt"), desk.text("other.txt"));
    let mut command = desk.orlop(["decrypt", "a.yaml"]);
    assert_eq!(desk.run_command(command.env("SOPS_AGE_KEY", both)).ok(), SAMPLE);
}

#[test]
fn decryption_orders_are_checked() {
    let desk = Desk::new();
    desk.sealed("a.yaml", SAMPLE);
    assert_eq!(desk.run(["decrypt", "--decryption-order", "pgp,age", "a.yaml"]).ok(), SAMPLE);
    let message = desk.run(["decrypt", "--decryption-order", "age,age", "a.yaml"]).fails(112);
    assert!(message.contains("duplicate decryption key type"), "{message}");
    let mut command = desk.orlop(["decrypt", "a.yaml"]);
    desk.run_command(command.env("SOPS_DECRYPTION_ORDER", "pgp,pgp")).fails(112);
}

#[test]
fn a_file_that_is_sealed_already_is_not_sealed_again() {
    let desk = Desk::new();
    let sealed = desk.sealed("a.yaml", SAMPLE);
    let message = desk.run(["encrypt", "-i", "a.yaml"]).fails(203);
    assert!(message.contains("top-level entry called 'sops'"), "{message}");
    assert_eq!(desk.text("a.yaml"), sealed);
}

#[test]
fn missing_files_have_their_exit_code() {
    let desk = Desk::new();
    for command in ["encrypt", "decrypt"] {
        let message = desk.run([command, "nobody.yaml"]).fails(100);
        assert!(message.contains("cannot operate on non-existent file \"nobody.yaml\""), "{message}");
    }
    fs::create_dir(desk.path("folder.yaml")).unwrap();
    desk.run(["decrypt", "folder.yaml"]).fails(2);
}

#[test]
fn file_status_tells_without_a_key() {
    let desk = Desk::new();
    desk.sealed("a.yaml", SAMPLE);
    desk.file("b.yaml", SAMPLE);
    for (name, expected) in [("a.yaml", "{\"encrypted\":true}\n"), ("b.yaml", "{\"encrypted\":false}\n")] {
        let mut command = desk.orlop(["filestatus", name]);
        assert_eq!(desk.run_command(command.env_remove("SOPS_AGE_KEY_FILE")).ok(), expected);
    }
    desk.run(["filestatus", "nobody.yaml"]).fails(1);
    desk.run(["filestatus"]).fails(100);
}

#[test]
fn a_surplus_of_words_is_warned_of() {
    let desk = Desk::new();
    desk.sealed("a.yaml", SAMPLE);
    let run = desk.run(["decrypt", "a.yaml", "b.yaml"]);
    assert!(run.stderr.contains("only the first one will be used"), "{}", run.stderr);
    assert_eq!(run.ok(), SAMPLE);
    let run = desk.run(["--input-type", "json", "decrypt", "a.yaml"]);
    assert!(run.stderr.contains("--input-type before the command has no effect"), "{}", run.stderr);
    assert_eq!(run.ok(), SAMPLE);
}

#[test]
fn wrong_flags_are_usage_errors() {
    let desk = Desk::new();
    desk.sealed("a.yaml", SAMPLE);
    for words in
        [&["decrypt", "--nonsense", "a.yaml"][..], &["-di", "a.yaml"], &["decrypt", "a.yaml", "--output"]]
    {
        let message = desk.run(words.iter().copied()).fails(1);
        assert!(message.contains("Incorrect Usage"), "{message}");
    }
    assert_eq!(desk.run(["decrypt", "a.yaml", "-extract", r#"["port"]"#]).ok(), "8080\n");
    assert_eq!(desk.run(["decrypt", "a.yaml", "-extract=[\"port\"]"]).ok(), "8080\n");
    let mut command = desk.orlop(["decrypt", "a.yaml"]);
    desk.run_command(command.env("SOPS_ENABLE_LOCAL_KEYSERVICE", "perhaps")).fails(1);
}

#[test]
fn version_and_help_are_printed() {
    let desk = Desk::new();
    let version = concat!("orlop ", env!("CARGO_PKG_VERSION"), " (sops 3.13.3)\n");
    for flag in ["--version", "-v", "-version"] {
        assert_eq!(desk.run([flag]).ok(), version);
    }
    symlink(env!("CARGO_BIN_EXE_orlop"), desk.path("sops")).unwrap();
    let mut command = std::process::Command::new(desk.path("sops"));
    assert_eq!(desk.run_command(command.arg("--version").env_clear()).ok(), "sops 3.13.3\n");
    let mut command = std::process::Command::new(desk.path("sops"));
    desk.run_command(command.env_clear()).fails(100);
    for words in [&["help"][..], &["-h"], &["--help"], &["h"], &[]] {
        let help = desk.run(words.iter().copied()).ok();
        assert!(help.contains("decrypt") && help.contains("updatekeys"), "{help}");
    }
    for words in [["help", "decrypt"], ["decrypt", "--help"], ["decrypt", "-h"]] {
        assert!(desk.run(words).ok().contains("--ignore-mac"));
    }
    desk.run(["help", "nonsense"]).fails(3);
}

#[test]
fn aliases_are_written_out_and_the_user_is_told() {
    let desk = Desk::new();
    desk.file("f.yaml", "a: &a canary one\nb: *a\n");
    let run = desk.run(["encrypt", "-i", "f.yaml"]);
    assert_eq!(run.code, Some(0));
    assert!(run.stderr.contains("aliases of f.yaml were written out"), "{}", run.stderr);
    assert_eq!(desk.plain("f.yaml"), "a: &a canary one\nb: canary one\n");
}
