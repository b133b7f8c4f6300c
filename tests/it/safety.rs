//! A command that is killed, or runs out of disk, leaves the old file or the new one, whole.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::cli::{CANARY, Desk, SAMPLE};

/// How often each command is killed, and how often it meets a full disk.
const ROUNDS: usize = 200;

/// A change of a file in place: its name, whether the file is sealed before, and its words.
struct Change {
    name: &'static str,
    sealed_before: bool,
    words: &'static [&'static str],
}

const CHANGES: [Change; 4] = [
    Change { name: "encrypt", sealed_before: false, words: &["encrypt", "-i", "f.yaml"] },
    Change { name: "set", sealed_before: true, words: &["set", "f.yaml", r#"["name"]"#, r#""canary new""#] },
    Change { name: "rotate", sealed_before: true, words: &["rotate", "-i", "f.yaml"] },
    Change { name: "updatekeys", sealed_before: true, words: &["updatekeys", "-y", "f.yaml"] },
];

/// A file that takes a while to write.
fn long_sample() -> String {
    let mut text = SAMPLE.to_owned();
    for number in 0..1_000 {
        text.push_str(&format!("key_{number}: canary value {number}\n"));
    }
    text
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// A number below `bound` that looks random and is the same in every run.
fn shuffled(round: usize, bound: u128) -> u64 {
    let mixed = (round as u64 + 1)
        .wrapping_mul(0x9E37_79B9_7F4A_7C15)
        .rotate_left(31)
        .wrapping_mul(0xBF58_476D_1CE4_E5B9);
    (u128::from(mixed) % bound.max(1)) as u64
}

/// A desk with the file, its text before, and what the text may decrypt to afterwards.
fn prepared(change: &Change) -> (Desk, String) {
    let desk = Desk::new();
    let plain = long_sample();
    let before = if change.sealed_before { desk.sealed("f.yaml", &plain) } else { plain };
    if !change.sealed_before {
        desk.file("f.yaml", &before);
    }
    if change.name == "updatekeys" {
        let other = desk.other_key("home/other.txt");
        let both = format!("creation_rules:\n  - age: {},{other}\n", desk.recipient);
        desk.file(".sops.yaml", &both);
    }
    (desk, before)
}

/// The file is what it was, or the whole of what it should be.
fn assert_whole(desk: &Desk, change: &Change, before: &str, round: usize) -> bool {
    let after = desk.text("f.yaml");
    if after == before {
        return false;
    }
    assert!(!after.contains(CANARY), "{} round {round}: plaintext in the new file", change.name);
    let plain = desk.plain("f.yaml");
    let expected = match change.name {
        "set" => long_sample().replace("name: canary-name", "name: canary new"),
        _ => long_sample(),
    };
    assert!(plain == expected, "{} round {round}: the file opens to something else", change.name);
    true
}

fn kill_at_random_moments(change: &Change) {
    let (desk, before) = prepared(change);
    let files = names(&desk.path("."));
    let began = Instant::now();
    assert!(desk.orlop(change.words.iter().copied()).stdout(Stdio::null()).status().unwrap().success());
    let whole_run = began.elapsed();
    let mut changed = 0;
    for round in 0..ROUNDS {
        desk.file("f.yaml", &before);
        let mut child = desk
            .orlop(change.words.iter().copied())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_micros(shuffled(round, whole_run.as_micros() * 11 / 10)));
        child.kill().unwrap();
        child.wait().unwrap();
        if assert_whole(&desk, change, &before, round) {
            changed += 1;
        }
        // Between naming the new file and putting it in place a kill leaves a name: of ciphertext, and for the next
        // change of the file to remove.
        for name in names(&desk.path(".")).iter().filter(|name| !files.contains(name)) {
            let is_orphan = name.starts_with(".f.yaml.orlop-");
            assert!(is_orphan, "{} round {round}: {name} was left behind", change.name);
            assert!(!desk.text(name).contains(CANARY), "{} round {round}: plaintext in {name}", change.name);
        }
    }
    desk.file("f.yaml", &before);
    assert!(desk.orlop(change.words.iter().copied()).stdout(Stdio::null()).status().unwrap().success());
    assert_eq!(names(&desk.path(".")), files, "{}: something stays left behind", change.name);
    assert!(
        (1..ROUNDS).contains(&changed),
        "{}: {changed} of {ROUNDS} runs finished: the kills miss it",
        change.name
    );
}

#[test]
fn encrypt_that_is_killed_leaves_the_old_or_the_new_file() {
    kill_at_random_moments(&CHANGES[0]);
}

#[test]
fn set_that_is_killed_leaves_the_old_or_the_new_file() {
    kill_at_random_moments(&CHANGES[1]);
}

#[test]
fn rotate_that_is_killed_leaves_the_old_or_the_new_file() {
    kill_at_random_moments(&CHANGES[2]);
}

#[test]
fn updatekeys_that_is_killed_leaves_the_old_or_the_new_file() {
    kill_at_random_moments(&CHANGES[3]);
}

#[test]
fn a_disk_that_fills_up_leaves_the_old_or_the_new_file() {
    for change in &CHANGES {
        let (desk, before) = prepared(change);
        fs::create_dir(desk.path("disk")).unwrap();
        // In a mount namespace of its own: a small disk, the file on it, and all but so many KiB of it taken.
        let script = r#"
            set -e
            mount -t tmpfs -o size="$SIZE"k tmpfs disk
            cp f.yaml .sops.yaml disk/
            cd disk
            round=0
            while [ $round -lt "$ROUNDS" ]; do
                cp ../f.yaml f.yaml
                free=$(df -k --output=avail . | tail -n 1)
                left=$(( (round * 7919) % (free + free / 4 + 1) ))
                if [ "$free" -gt "$left" ]; then
                    dd if=/dev/zero of=filler bs=1k count=$((free - left)) 2>/dev/null || true
                fi
                "$@" >/dev/null 2>../message && code=0 || code=$?
                rm -f filler
                cp f.yaml ../after."$code"."$round"
                ls -A > ../listing."$round"
                round=$((round + 1))
            done
        "#;
        let size = before.len() / 1024 * 3 + 64 + if change.sealed_before { 0 } else { 1_024 };
        let mut orlop = desk.orlop(change.words.iter().copied());
        let mut command = Command::new("unshare");
        command
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"])
            .arg(orlop.get_program())
            .args(orlop.get_args().map(ToOwned::to_owned).collect::<Vec<_>>())
            .current_dir(desk.path("."))
            .env_clear()
            .envs(orlop.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))))
            .env("SIZE", size.to_string())
            .env("ROUNDS", ROUNDS.to_string())
            .stdin(Stdio::null());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}: {}", change.name, String::from_utf8_lossy(&output.stderr));
        orlop.stdin(Stdio::null());

        let (mut old, mut new) = (0, 0);
        for name in names(&desk.path(".")) {
            let Some((code, round)) = name.strip_prefix("after.").and_then(|rest| rest.split_once('.'))
            else {
                continue;
            };
            let after = desk.text(&name);
            let failed = code != "0";
            assert_eq!(failed, after == before, "{} round {round}: exit {code}", change.name);
            if failed {
                old += 1;
                assert_eq!(code, "3", "{} round {round}", change.name);
            } else {
                new += 1;
                desk.file("f.yaml", &after);
                assert!(assert_whole(&desk, change, &before, round.parse().unwrap()));
            }
            let listing = desk.text(&format!("listing.{round}"));
            assert_eq!(
                listing, ".sops.yaml\nf.yaml\n",
                "{} round {round}: something was left behind",
                change.name
            );
        }
        assert_eq!(old + new, ROUNDS);
        assert!(old > 0 && new > 0, "{}: {old} runs met a full disk, {new} did not", change.name);
    }
}
