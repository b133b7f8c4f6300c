//! `exec-env`, `exec-file`, `groups`, `completion`, and which config file counts.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::cli::{Desk, SAMPLE};

const FLAT: &str = "name: canary-name\nport: 8080\nratio: 1.0\nnothing: null\n";

/// What stands below `/dev/shm` for a run of this test.
fn sessions() -> Vec<String> {
    let names =
        fs::read_dir("/dev/shm").unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("orlop-edit-")).collect()
}

#[test]
fn a_command_gets_the_values_of_a_file_as_variables() {
    let desk = Desk::new();
    desk.sealed("a.yaml", FLAT);
    let line = "printf '%s|' \"$name\" \"$port\" \"$ratio\" \"$nothing\"";
    assert_eq!(desk.run(["exec-env", "a.yaml", line]).ok(), "canary-name|8080|1.0|<nil>|");
    assert_eq!(desk.run(["exec-env", "--same-process", "a.yaml", line]).ok(), "canary-name|8080|1.0|<nil>|");
    let all = desk.run(["exec-env", "--pristine", "a.yaml", "/usr/bin/env | /usr/bin/sort"]).ok();
    assert!(all.contains("name=canary-name\n") && !all.contains("HOME="), "{all}");
    assert_eq!(desk.run(["exec-env", "a.yaml", "exit 7"]).code, Some(7));
    assert_eq!(desk.run(["exec-env", "a.yaml", "kill -KILL $$"]).code, Some(255));
    assert_eq!(desk.run_with_stdin(["exec-env", "a.yaml", "cat"], "input").ok(), "input");
}

#[test]
fn what_cannot_be_a_variable_is_told_by_its_key() {
    let desk = Desk::new();
    desk.sealed("a.yaml", SAMPLE);
    assert!(desk.run(["exec-env", "a.yaml", "env"]).fails(1).contains("offending key list"));
    desk.sealed("b.yaml", "a=b: canary\n");
    assert!(desk.run(["exec-env", "b.yaml", "env"]).fails(1).contains("a=b"));
    desk.sealed("c.yaml", "zero: \"canary\\0\"\n");
    assert!(desk.run(["exec-env", "c.yaml", "env"]).fails(1).contains("zero"));
    desk.run(["exec-env", "a.yaml"]).fails(1);
    desk.run(["exec-env", "--background", "--same-process", "a.yaml", "env"]).fails(8);
    assert!(desk.run(["exec-env", "--user", "no-such-user", "b.yaml", "env"]).fails(1).contains("a=b"));
    desk.sealed("d.yaml", FLAT);
    assert!(
        desk.run(["exec-env", "--user", "no-such-user", "d.yaml", "env"]).fails(1).contains("no-such-user")
    );
}

#[test]
fn a_command_reads_the_plain_text_from_a_path_and_nothing_of_it_is_on_a_disk() {
    let desk = Desk::new();
    desk.sealed("a.yaml", SAMPLE);
    for flags in [&["exec-file"][..], &["exec-file", "--no-fifo"]] {
        let run = |more: &[&str]| {
            let words: Vec<&str> = flags.iter().chain(more).copied().collect();
            let mut command = desk.orlop(words);
            command.env_remove("ORLOP_EDIT_TMPDIR");
            desk.run_command(&mut command)
        };
        let told =
            run(&["a.yaml", "cat {}; echo path {}; grep -l canary -r \"$TMPDIR\" \"$HOME\" || true"]).ok();
        let (text, path) = told.split_once("path ").unwrap();
        assert_eq!(text, SAMPLE);
        let path = Path::new(path.trim());
        assert!(
            path.starts_with("/dev/shm/") && !path.exists() && !path.parent().unwrap().exists(),
            "{path:?}"
        );
        assert!(run(&["--filename", "values.yaml", "a.yaml", "echo {}"]).ok().ends_with("/values.yaml\n"));
        assert_eq!(run(&["a.yaml", "exit 7"]).code, Some(7));
        for name in ["../x", "/tmp/x"] {
            run(&["--filename", name, "a.yaml", "cat {}"]).fails(1);
        }
        assert_eq!(run(&["--indent", "2", "a.yaml", "cat {}"]).code, Some(1), "a flag that is not its own");
    }
    let twice = desk.run(["exec-file", "--no-fifo", "a.yaml", "cat {} {}"]).ok();
    assert_eq!(twice, format!("{SAMPLE}{SAMPLE}"));
}

#[test]
fn a_text_longer_than_a_pipe_holds_passes_and_need_not_be_read() {
    let desk = Desk::new();
    let long = format!("text: {}\n", "canary ".repeat(50_000).trim_end());
    desk.sealed("a.yaml", &long);
    assert_eq!(desk.run(["exec-file", "a.yaml", "cat {}"]).ok(), long);
    assert_eq!(desk.run(["exec-file", "a.yaml", "head -c 6 {}"]).ok(), "text: ");
    assert_eq!(desk.run(["exec-file", "a.yaml", "true"]).ok(), "");
}

#[test]
fn a_command_in_the_background_has_its_file_until_it_ends() {
    let desk = Desk::new();
    desk.sealed("a.yaml", SAMPLE);
    let line = "while [ ! -e go ]; do sleep 0.01; done; cat {} > copy; mv copy seen";
    let mut command =
        desk.orlop(["exec-file", "--background", "--filename", "in-the-background", "a.yaml", line]);
    assert!(command.env_remove("ORLOP_EDIT_TMPDIR").status().unwrap().success());
    desk.file("go", "");
    wait_for(|| desk.path("seen").exists().then_some(()));
    assert_eq!(desk.text("seen"), SAMPLE);
    wait_for(|| {
        let left = sessions()
            .into_iter()
            .any(|name| fs::exists(format!("/dev/shm/{name}/in-the-background")).unwrap());
        (!left).then_some(())
    });
}

/// The same command, whatever signals whoever runs the tests ignores: `nohup` does, and shells in the background.
fn with_usual_signals(command: &Command) -> Command {
    let mut usual = Command::new("env");
    usual.arg("--default-signal=HUP,INT,TERM").arg(command.get_program()).args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        usual.current_dir(folder).env_clear();
    }
    usual.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?)))).stdin(Stdio::null());
    usual
}

#[test]
fn signals_reach_the_command_and_nothing_is_left() {
    let desk = Desk::new();
    desk.sealed("a.yaml", FLAT);
    for words in [&["exec-env"][..], &["exec-file"], &["exec-file", "--no-fifo"]] {
        for (signal, number) in [("TERM", 15), ("HUP", 1), ("KILL", 9)] {
            // The shell becomes the program: a shell would wait with its end for a child of its own.
            let line = "echo $$ > pid.new; mv pid.new pid; exec sleep 20";
            let words: Vec<&str> = words.iter().copied().chain(["a.yaml", line]).collect();
            let mut command = with_usual_signals(&desk.orlop(words));
            let mut child = command.stderr(Stdio::null()).spawn().unwrap();
            let pid = wait_for(|| fs::read_to_string(desk.path("pid")).ok());
            let pid = pid.trim();
            kill(signal, &child.id().to_string());
            let status = child.wait().unwrap();
            assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(number), "{signal}");
            if signal == "KILL" {
                kill(signal, pid);
            }
            wait_for(|| {
                (!Path::new(&format!("/proc/{pid}/cmdline")).exists() || is_zombie(pid)).then_some(())
            });
            wait_for(|| (fs::read_dir(desk.path("edit")).unwrap().count() == 0).then_some(()));
            desk.assert_no_traces();
            fs::remove_file(desk.path("pid")).unwrap();
        }
    }
    // A command that takes a signal and goes on is waited for, and its own exit code counts.
    let line = "trap 'echo got it' TERM; echo $$ > pid; while :; do sleep 0.01; [ -e stop ] && exit 5; done";
    let mut command = with_usual_signals(&desk.orlop(["exec-env", "a.yaml", line]));
    let child = command.stdout(Stdio::piped()).spawn().unwrap();
    wait_for(|| fs::read_to_string(desk.path("pid")).ok().filter(|pid| pid.ends_with('\n')));
    kill("TERM", &child.id().to_string());
    sleep(Duration::from_millis(100));
    desk.file("stop", "");
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(5), &b"got it\n"[..]));
}

/// Runs `line` in a shell with a terminal; `type_in` is typed once the file `ready` is there.
#[cfg(target_os = "linux")]
fn in_a_terminal(desk: &Desk, line: &str, type_in: &[u8]) {
    use std::io::Write as _;
    symlink(env!("CARGO_BIN_EXE_orlop"), desk.path("orlop")).ok();
    let mut command = desk.orlop([]);
    let mut terminal = with_usual_signals(&Command::new("script"));
    terminal.args(["-qec", line, "/dev/null"]).current_dir(desk.path("")).env_clear().env("SHELL", "/bin/sh");
    for (name, value) in command.env("PATH", format!("{}:/usr/bin:/bin", desk.path("").display())).get_envs()
    {
        terminal.env(name, value.unwrap());
    }
    let mut child = terminal.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    if !type_in.is_empty() {
        wait_for(|| desk.path("ready").exists().then_some(()));
        // The program behind the file that says it is ready needs a moment.
        sleep(Duration::from_millis(300));
        input.write_all(type_in).unwrap();
    }
    wait_for(|| child.try_wait().unwrap());
    desk.assert_no_traces();
}

#[cfg(target_os = "linux")]
#[test]
fn the_terminal_is_as_before_when_an_editor_is_ended_by_a_signal() {
    let desk = Desk::new();
    let sealed = desk.sealed("a.yaml", SAMPLE);
    for (step, signal) in ["TERM", "HUP"].into_iter().enumerate() {
        let script =
            format!("stty raw -echo; stty -g > \"$EDITOR_STEPS/raw\"; kill -{signal} $PPID; sleep 5");
        desk.file(&format!("steps/{}", step + 1), &script);
        in_a_terminal(&desk, "stty -g > before; orlop edit a.yaml; echo $? > code; stty -g > after", b"");
        assert_eq!(desk.text("code"), "1\n");
        assert_ne!(desk.text("before"), desk.text("steps/raw"));
        assert_eq!(desk.text("before"), desk.text("after"), "{signal}");
        assert_eq!(desk.text("a.yaml"), sealed);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn an_interrupt_from_the_terminal_ends_what_waits_and_leaves_nothing() {
    let desk = Desk::new();
    let sealed = desk.sealed("a.yaml", FLAT);
    let other = desk.other_key("other.txt");
    desk.file("other.yaml", &format!("creation_rules:\n  - age: {other}\n"));
    desk.file("steps/1", ": > ready; exec sleep 20");
    for (command, code) in [
        ("orlop exec-env a.yaml ': > ready; exec cat'", "130"),
        ("orlop exec-file a.yaml ': > ready; exec cat'", "130"),
        ("orlop exec-file --no-fifo a.yaml ': > ready; exec cat {} -'", "130"),
        ("orlop exec-file a.yaml \"trap 'exit 5' INT; : > ready; cat\"", "5"),
        ("orlop edit a.yaml", "1"),
        (": > ready; orlop --config other.yaml updatekeys a.yaml", "130"),
    ] {
        let line = format!("trap : INT; {command}; echo $? > code");
        in_a_terminal(&desk, &line, b"\x03");
        assert_eq!(desk.text("code").trim(), code, "{command}");
        assert_eq!(desk.text("a.yaml"), sealed);
        fs::remove_file(desk.path("ready")).unwrap();
    }
}

fn is_zombie(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "))
}

fn kill(signal: &str, process: &str) {
    assert!(Command::new("kill").args([&format!("-{signal}"), process]).status().unwrap().success());
}

fn wait_for<T>(mut found: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "it never came");
        sleep(Duration::from_millis(5));
    }
}

#[test]
fn groups_come_and_go_and_the_threshold_holds() {
    let desk = Desk::new();
    let other = desk.other_key("other.txt");
    let before = desk.sealed("a.yaml", SAMPLE);
    let own_only = |words: &[&str]| desk.run(words.iter().copied());
    own_only(&["groups", "add", "-f", "a.yaml", "-i", "--age", &other]).ok();
    let after = desk.text("a.yaml");
    assert!(
        after.contains("shamir_threshold: 2") && after.starts_with(before.split("sops:").next().unwrap())
    );
    own_only(&["decrypt", "a.yaml"]).fails(128);
    let with_both = format!("{}\n{}", desk.text("home/key.txt"), desk.text("other.txt"));
    desk.file("home/key.txt", &with_both);
    assert_eq!(desk.plain("a.yaml"), SAMPLE);
    for refused in [&["1"][..], &["9"], &["x"], &[], &["0", "1"]] {
        let words: Vec<&str> =
            ["groups", "delete", "-f", "a.yaml", "-i"].iter().chain(refused).copied().collect();
        desk.run(words).fails(1);
    }
    let third = desk.other_key("third.txt");
    desk.run(["groups", "add", "-f", "a.yaml", "--age", &third, "--shamir-secret-sharing-threshold", "9"])
        .fails(1);
    desk.run(["groups", "add", "-f", "a.yaml", "--age", "nonsense"]).fails(1);
    assert!(desk.run(["groups", "add", "-f", "a.yaml"]).fails(1).contains("empty key group"));
    assert_eq!(desk.text("a.yaml"), after);
    desk.run(["groups", "delete", "-f", "a.yaml", "-i", "1", "--shamir-secret-sharing-threshold", "1"]).ok();
    assert_eq!(desk.plain("a.yaml"), SAMPLE);
    assert!(!desk.text("a.yaml").contains("key_groups"));
}

#[test]
fn a_shell_completes_commands_and_flags() {
    let desk = Desk::new();
    symlink(env!("CARGO_BIN_EXE_orlop"), desk.path("orlop")).unwrap();
    let script = desk.run(["completion", "bash"]).ok();
    desk.file("script", &script);
    let complete = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let setting = words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
        let at = words.len() - 1;
        let run = format!(
            ". ./script; COMP_WORDS=({setting}); COMP_CWORD={at}; PATH=$PWD:$PATH; _orlop_complete; echo \"${{COMPREPLY[@]}}\""
        );
        let output = Command::new("bash").args(["-c", &run]).current_dir(desk.path("")).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(complete("orlop dec"), "decrypt");
    assert_eq!(complete("orlop --config x decrypt --ext"), "--extract");
    assert_eq!(complete("orlop decrypt --in"), "--in-place --input-type");
    assert_eq!(complete("orlop groups a"), "add");
    assert_eq!(complete("orlop groups add --ag"), "--age");
    assert_eq!(complete("orlop completion f"), "fish");
    assert_eq!(complete("orlop decrypt a"), "", "files are the shell's own");
    assert_eq!(complete("orlop exec-"), "exec-env exec-file");
    for shell in ["zsh", "fish", "powershell"] {
        assert!(desk.run(["completion", shell]).ok().contains("--generate-bash-completion"), "{shell}");
    }
    desk.run(["completion", "tcsh"]).fails(3);
}

#[test]
fn the_config_file_nearest_to_the_file_counts_and_behind_the_name_of_sops_that_of_the_folder() {
    let desk = Desk::new();
    let other = desk.other_key("other.txt");
    fs::create_dir_all(desk.path("team/deep")).unwrap();
    desk.file("team/.sops.yaml", &format!("creation_rules:\n  - path_regex: ^deep/\n    age: {other}\n"));
    desk.file("team/deep/a.yaml", SAMPLE);
    let run = desk.run(["encrypt", "team/deep/a.yaml"]);
    assert!(
        run.stderr.contains("note: the config file is") && run.stderr.contains("team/.sops.yaml"),
        "{}",
        run.stderr
    );
    let sealed = run.ok();
    assert!(sealed.contains(&other) && !sealed.contains(&desk.recipient));
    symlink(env!("CARGO_BIN_EXE_orlop"), desk.path("sops")).unwrap();
    let mut command = Command::new(desk.path("sops"));
    command.args(["encrypt", "team/deep/a.yaml"]).current_dir(desk.path("")).env_clear();
    let run = desk.run_command(&mut command);
    assert_eq!(run.stderr, "");
    assert!(run.ok().contains(&desk.recipient));
    let mut command = desk.orlop(["encrypt", "a.yaml"]);
    let run = desk.run_command(command.current_dir(desk.path("team/deep")));
    assert_eq!(run.stderr, "");
    assert!(run.ok().contains(&other));
}

#[test]
fn the_version_is_told_without_asking_the_network() {
    let desk = Desk::new();
    let version = desk.run(["--version"]).ok();
    assert!(version.starts_with("orlop ") && version.contains("(sops 3.13.3)"), "{version}");
    assert_eq!(desk.run(["version"]).ok(), version);
    assert_eq!(desk.run(["-v", "--disable-version-check"]).ok(), version);
    let run = desk.run(["--version", "--check-for-updates"]);
    assert!(run.stderr.contains("nothing was asked of the network"), "{}", run.stderr);
    assert_eq!(run.ok(), version);
}
