//! `edit`.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::cli::{Desk, SAMPLE, list};

#[test]
fn an_edited_value_is_sealed_and_the_others_keep_their_sealed_text() {
    let desk = Desk::new();
    let before = desk.sealed("a.yaml", SAMPLE);
    desk.file("steps/1", "sed -i s/canary-deep/canary-deeper/ \"$file\"");
    desk.run(["edit", "a.yaml"]).ok();
    let after = desk.text("a.yaml");
    for (before, after) in before.lines().zip(after.lines()) {
        let is_kept =
            !["deep:", "lastmodified:", "mac:"].iter().any(|key| before.trim_start().starts_with(key));
        assert!(!is_kept || before == after, "{before}\n{after}");
    }
    assert_eq!(desk.plain("a.yaml"), SAMPLE.replace("canary-deep", "canary-deeper"));
}

#[test]
fn an_unchanged_text_is_not_written() {
    let desk = Desk::new();
    desk.sealed("a.yaml", SAMPLE);
    let before = fs::metadata(desk.path("a.yaml")).unwrap();
    assert_eq!(desk.run(["edit", "a.yaml"]).fails(200), "File has not changed, exiting.\n");
    let after = fs::metadata(desk.path("a.yaml")).unwrap();
    assert_eq!((after.ino(), after.mtime_nsec()), (before.ino(), before.mtime_nsec()));
}

#[test]
fn the_editor_gets_a_private_file_of_the_same_name() {
    let desk = Desk::new();
    desk.sealed("a.yaml", SAMPLE);
    desk.file("steps/1", "cp \"$file\" \"$EDITOR_STEPS/seen\"; touch \"$(dirname \"$file\")/.a.yaml.swp\"");
    desk.run(["edit", "a.yaml"]).fails(200);
    assert_eq!(desk.text("steps/seen"), SAMPLE);
    let log = desk.text("steps/log");
    let [file, mode, folder_mode] = log.split_whitespace().collect::<Vec<_>>()[..] else { panic!("{log}") };
    assert!(file.starts_with(desk.path("edit").to_str().unwrap()) && file.ends_with("/a.yaml"), "{file}");
    assert_eq!((mode, folder_mode), ("600", "700"));
}

#[test]
fn without_a_folder_of_its_own_the_session_is_in_memory() {
    let desk = Desk::new();
    desk.sealed("a.yaml", SAMPLE);
    let mut command = desk.orlop(["edit", "a.yaml"]);
    // A runtime folder on a disk is passed over.
    command.env_remove("ORLOP_EDIT_TMPDIR").env("XDG_RUNTIME_DIR", desk.path("tmp"));
    desk.run_command(&mut command).fails(200);
    let log = desk.text("steps/log");
    assert!(log.starts_with("/dev/shm/orlop-edit-"), "{log}");
    assert!(!fs::exists(log.split_once(' ').unwrap().0).unwrap());
}

#[test]
fn a_text_that_cannot_be_sealed_is_shown_again_as_the_user_left_it() {
    let desk = Desk::new();
    desk.sealed("a.yaml", SAMPLE);
    desk.file("steps/1", "echo '  canary: [' >> \"$file\"");
    desk.file(
        "steps/2",
        "cp \"$file\" \"$EDITOR_STEPS/seen\"; sed -i '$d' \"$file\"; echo 'sops: x' >> \"$file\"",
    );
    desk.file("steps/3", "sed -i '$d' \"$file\"; echo 'added: 1' >> \"$file\"");
    let run = desk.run_with_stdin(["edit", "a.yaml"], "\n\n");
    assert_eq!(run.stderr.matches("Press Enter to return to the editor").count(), 2, "{}", run.stderr);
    assert_eq!(run.code, Some(0));
    assert_eq!(desk.text("steps/seen"), format!("{SAMPLE}  canary: [\n"));
    assert_eq!(desk.plain("a.yaml"), format!("{SAMPLE}added: 1\n"));
}

#[test]
fn when_nobody_presses_enter_the_file_stays() {
    let desk = Desk::new();
    let sealed = desk.sealed("a.yaml", SAMPLE);
    desk.file("steps/1", "echo '[' >> \"$file\"");
    desk.run(["edit", "a.yaml"]).fails(1);
    assert_eq!(desk.text("a.yaml"), sealed);
}

#[test]
fn an_editor_that_fails_or_is_missing_is_told() {
    let desk = Desk::new();
    let sealed = desk.sealed("a.yaml", SAMPLE);
    desk.file("steps/1", "echo x >> \"$file\"; exit 3");
    assert!(desk.run(["edit", "a.yaml"]).fails(201).contains("Could not run editor"));
    for editor in ["/missing/editor", "'unclosed"] {
        let mut command = desk.orlop(["edit", "a.yaml"]);
        desk.run_command(command.env("SOPS_EDITOR", editor)).fails(201);
    }
    let mut command = desk.orlop(["edit", "a.yaml"]);
    desk.run_command(command.env_remove("SOPS_EDITOR").env("EDITOR", "false")).fails(201);
    let mut command = desk.orlop(["edit", "a.yaml"]);
    desk.run_command(command.env_remove("SOPS_EDITOR").env("PATH", "/missing")).fails(201);
    assert_eq!(desk.text("a.yaml"), sealed);
}

#[test]
fn a_new_file_starts_with_an_example() {
    let desk = Desk::new();
    desk.run(["edit", "new.yaml"]).fails(200);
    assert!(!desk.path("new.yaml").exists());
    desk.file("steps/2", "cp \"$file\" \"$EDITOR_STEPS/seen\"; echo 'name: canary' > \"$file\"");
    desk.run(["edit", "new.yaml"]).ok();
    assert!(desk.text("steps/seen").starts_with("hello: Welcome to SOPS!"));
    assert_eq!(desk.plain("new.yaml"), "name: canary\n");
    assert!(!desk.text("new.yaml").contains("canary"));
    desk.run(["edit", "--pgp", "85D77543B3D624B63CEA9E6DBC17301B491B3F21", "other.yaml"]).fails(128);
    fs::remove_file(desk.path(".sops.yaml")).unwrap();
    desk.run(["edit", "other.yaml"]).fails(1);
    desk.run(["edit"]).fails(100);
}

#[test]
fn somebody_elses_change_is_not_lost_and_the_users_neither() {
    let desk = Desk::new();
    desk.sealed("a.yaml", SAMPLE);
    let program = env!("CARGO_BIN_EXE_orlop");
    desk.file(
        "steps/1",
        &format!("sed -i s/canary-deep/mine/ \"$file\"; {program} set a.yaml '[\"port\"]' 9090"),
    );
    let message = desk.run(["edit", "a.yaml"]).fails(3);
    assert!(message.contains("a.edited-1.yaml"), "{message}");
    assert_eq!(desk.plain("a.yaml"), SAMPLE.replace("8080", "9090"));
    assert_eq!(desk.plain("a.edited-1.yaml"), SAMPLE.replace("canary-deep", "mine"));
}

#[test]
fn keys_can_be_changed_where_they_are_shown() {
    let desk = Desk::new();
    let other = desk.other_key("other.txt");
    let before = desk.sealed("a.yaml", SAMPLE);
    desk.file("steps/1", &format!("sed -i s/{}/{other}/ \"$file\"", desk.recipient));
    desk.run(["edit", "-s", "a.yaml"]).ok();
    let mut command = desk.orlop(["decrypt", "a.yaml"]);
    assert_eq!(desk.run_command(command.env("SOPS_AGE_KEY_FILE", desk.path("other.txt"))).ok(), SAMPLE);
    desk.run(["decrypt", "a.yaml"]).fails(128);

    desk.file("a.yaml", &before);
    desk.file("steps/2", "sed -i s/canary-deep/canary-deeper/ \"$file\"");
    desk.run(["edit", "-s", "a.yaml"]).ok();
    assert_eq!(desk.plain("a.yaml"), SAMPLE.replace("canary-deep", "canary-deeper"));
    desk.run(["edit", "-s", "a.yaml"]).fails(200);
}

#[test]
fn a_file_of_an_older_version_says_who_edited_it() {
    let desk = Desk::new();
    desk.sealed("a.yaml", SAMPLE);
    desk.file("a.yaml", &desk.text("a.yaml").replace("version: 3.13.3", "version: 3.8.1"));
    desk.run(["set", "a.yaml", r#"["port"]"#, "1"]).ok();
    assert!(desk.text("a.yaml").contains("version: 3.8.1"));
    desk.file("steps/1", "sed -i 's/port: 1/port: 2/' \"$file\"");
    desk.run(["edit", "a.yaml"]).ok();
    assert!(desk.text("a.yaml").contains("version: 3.13.3"));
    assert_eq!(desk.plain("a.yaml"), SAMPLE.replace("8080", "2"));
}

#[test]
fn nothing_is_left_when_the_session_is_killed() {
    let desk = Desk::new();
    let sealed = desk.sealed("a.yaml", SAMPLE);
    for (round, signal) in ["KILL", "TERM", "INT", "HUP"].into_iter().enumerate() {
        desk.file(&format!("steps/{}", round + 1), "echo $$ > \"$EDITOR_STEPS/editor\"; exec sleep 10");
        let mut child = desk.orlop(["edit", "a.yaml"]).stderr(Stdio::null()).spawn().unwrap();
        let editor = wait_for(|| {
            fs::read_to_string(desk.path("steps/editor")).ok().filter(|text| text.ends_with('\n'))
        });
        assert_eq!(list(&desk.path("edit")).len(), 1);
        kill(signal, &child.id().to_string());
        child.wait().unwrap();
        wait_for(|| list(&desk.path("edit")).is_empty().then_some(()));
        // Where interrupts are ignored, as behind a shell's `&`, the session ends with the editor.
        let _ = Command::new("kill").args(["-KILL", editor.trim()]).stderr(Stdio::null()).status();
        fs::remove_file(desk.path("steps/editor")).unwrap();
        assert_eq!(desk.text("a.yaml"), sealed);
    }
}

fn kill(signal: &str, process: &str) {
    assert!(Command::new("kill").args([&format!("-{signal}"), process]).status().unwrap().success());
}

fn wait_for<T>(found: impl Fn() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "it never came");
        sleep(Duration::from_millis(5));
    }
}
