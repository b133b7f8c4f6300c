//! The README's tour does what it shows.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use crate::support::peers;

/// The commands of the ```console blocks with the output shown for each.
fn commands(readme: &str) -> Vec<(String, Vec<String>)> {
    let mut commands: Vec<(String, Vec<String>)> = Vec::new();
    for block in readme.split("```console\n").skip(1) {
        for line in block.split("```").next().unwrap().lines() {
            match line.strip_prefix("$ ") {
                Some(command) => commands.push((command.to_owned(), Vec::new())),
                None => commands.last_mut().expect("a block starts with a command").1.push(line.to_owned()),
            }
        }
    }
    commands
}

/// Whether a line is the one shown, where `…` stands for anything.
fn is_like(line: &str, shown: &str) -> bool {
    let mut rest = line;
    let pieces: Vec<&str> = shown.split('…').collect();
    for (number, piece) in pieces.iter().enumerate() {
        match rest.find(piece) {
            Some(0) => rest = &rest[piece.len()..],
            Some(at) if number > 0 => rest = &rest[at + piece.len()..],
            _ => return false,
        }
    }
    rest.is_empty() || shown.ends_with('…')
}

/// Whether lines are those shown, where a line that is `…` alone stands for any number of them.
fn are_like(lines: &[&str], shown: &[String]) -> bool {
    match (lines, shown) {
        ([], []) => true,
        (_, [gap, rest @ ..]) if gap == "…" => {
            (0..=lines.len()).any(|skipped| are_like(&lines[skipped..], rest))
        }
        ([line, lines @ ..], [first, rest @ ..]) => is_like(line, first) && are_like(lines, rest),
        _ => false,
    }
}

#[test]
fn the_tour_of_the_readme_does_what_it_shows() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let commands = commands(&readme);
    assert!(commands.len() >= 8, "the tour has its commands");
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for name in ["bin", "home", "work"] {
        fs::create_dir(path(name)).unwrap();
    }
    symlink(env!("CARGO_BIN_EXE_orlop"), path("bin/orlop")).unwrap();
    symlink(peers().join("helm3"), path("bin/helm")).unwrap();
    for (command, shown) in commands {
        let output = Command::new("sh")
            .args(["-c", &format!("({command}) 2>&1")])
            .current_dir(path("work"))
            .env_clear()
            .env("HOME", path("home"))
            .env("PATH", format!("{}:/usr/bin:/bin", path("bin").display()))
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{command}: {text}");
        let lines: Vec<&str> = text.lines().collect();
        assert!(are_like(&lines, &shown), "{command} printed\n{text}\ninstead of\n{}", shown.join("\n"));
    }
}
