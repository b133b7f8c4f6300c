//! age keys of every kind, with real sops, age, age-keygen, ssh-keygen and plugins.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixListener;
use std::process::{Command, Output};

use crate::cli::{Desk, SAMPLE};
use crate::support::{peers, testdata};
use crate::terminal::on_terminal;

/// A desk without a key of its own.
struct AgeDesk(Desk);

impl AgeDesk {
    fn new() -> Self {
        let desk = Desk::new();
        fs::remove_file(desk.path(".sops.yaml")).unwrap();
        fs::remove_file(desk.path("home/key.txt")).unwrap();
        Self(desk)
    }

    /// The program in an environment without any key, but with `variables`.
    fn command(&self, program: &str, variables: &[(&str, &str)]) -> Command {
        let mut command = match program {
            "orlop" => self.0.orlop([]),
            program => {
                let mut command = Command::new(peers().join(program));
                command.current_dir(self.0.path("")).env_clear();
                command.env("HOME", self.0.path("home")).env("TMPDIR", self.0.path("tmp"));
                command
            }
        };
        let path = format!("{}:{}:/usr/bin:/bin", testdata("plugins/age").display(), peers().display());
        // An agent that is not there: no test may meet that of whoever runs it.
        command.env_remove("SOPS_AGE_KEY_FILE").env("PATH", path).env("GPG_AGENT_INFO", "");
        command.envs(variables.iter().copied());
        command
    }

    #[track_caller]
    fn run(&self, program: &str, words: &[&str], variables: &[(&str, &str)]) -> String {
        ok(self.command(program, variables).args(words).output().unwrap())
    }

    fn refused(&self, words: &[&str], variables: &[(&str, &str)]) -> String {
        let output = self.command("orlop", variables).args(words).output().unwrap();
        assert!(!output.status.success() && output.stdout.is_empty());
        String::from_utf8(output.stderr).unwrap()
    }

    /// Makes a key with ssh-keygen and gives its public half.
    fn ssh_key(&self, name: &str, words: &[&str]) -> String {
        let path = self.0.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut command = Command::new("ssh-keygen");
        command.args(["-q", "-C", "me@host", "-f"]).arg(&path).args(words);
        ok(command.output().unwrap());
        self.0.text(&format!("{name}.pub")).trim().to_owned()
    }

    /// Seals by both programs for `recipient`, and opens what each made by both, with `variables`.
    #[track_caller]
    fn both_ways(&self, recipient: &str, variables: &[(&str, &str)]) {
        for sealer in ["orlop", "sops"] {
            let file = format!("by-{sealer}.yaml");
            self.0.file(&file, SAMPLE);
            self.run(sealer, &["encrypt", "--age", recipient, "-i", &file], variables);
            assert!(self.0.text(&file).contains("ENC["));
            self.opens_in_both(&file, variables);
        }
    }

    #[track_caller]
    fn opens_in_both(&self, file: &str, variables: &[(&str, &str)]) {
        for opener in ["orlop", "sops"] {
            let plain = self.run(opener, &["decrypt", file], variables);
            assert!(plain.contains("deep: canary-deep"), "{file} by {opener}");
        }
    }
}

#[track_caller]
fn ok(output: Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn ssh_keys_go_both_ways_from_the_variables_and_from_the_ssh_folder() {
    let desk = AgeDesk::new();
    for (name, words) in [
        ("id_ed25519", &["-t", "ed25519", "-N", ""][..]),
        ("id_rsa", &["-t", "rsa", "-b", "2048", "-N", ""]),
        ("pem", &["-t", "rsa", "-b", "3072", "-m", "PEM", "-N", ""]),
    ] {
        let public = desk.ssh_key(name, words);
        let path = desk.0.path(name).display().to_string();
        desk.both_ways(&public, &[("SOPS_AGE_SSH_PRIVATE_KEY_FILE", &path)]);
        let command = format!("cat '{path}'");
        desk.both_ways(&public, &[("SOPS_AGE_SSH_PRIVATE_KEY_CMD", &command)]);
        let refused = desk.refused(&["decrypt", "by-sops.yaml"], &[]);
        assert!(refused.contains("no credential for this key was found"), "{refused}");
    }
    for name in ["id_ed25519", "id_rsa"] {
        fs::create_dir_all(desk.0.path("home/.ssh")).unwrap();
        fs::rename(desk.0.path(name), desk.0.path(&format!("home/.ssh/{name}"))).unwrap();
        desk.both_ways(&desk.0.text(&format!("{name}.pub")), &[]);
    }
    // Any other name is only found by us.
    let public = desk.ssh_key("home/.ssh/work", &["-t", "ed25519", "-N", ""]);
    desk.0.file("a.yaml", SAMPLE);
    desk.run("sops", &["encrypt", "--age", &public, "-i", "a.yaml"], &[]);
    assert!(desk.run("orlop", &["decrypt", "a.yaml"], &[]).contains("canary-deep"));
    assert!(!desk.command("sops", &[]).args(["decrypt", "a.yaml"]).status().unwrap().success());
}

#[test]
fn post_quantum_keys_go_both_ways_also_beside_others() {
    let desk = AgeDesk::new();
    let (mut recipients, mut keys) = (Vec::new(), Vec::new());
    for (name, words) in [("pq.txt", &["-pq", "-o", "pq.txt"][..]), ("x.txt", &["-o", "x.txt"])] {
        desk.run("age-keygen", words, &[]);
        recipients.push(desk.run("age-keygen", &["-y", name], &[]).trim().to_owned());
        keys.push(desk.0.path(name).display().to_string());
    }
    assert!(recipients[0].starts_with("age1pq1"));
    for recipients in [&recipients[0], &recipients.join(",")] {
        desk.both_ways(recipients, &[("SOPS_AGE_KEY_FILE", &keys[0])]);
        let key = desk.0.text("pq.txt");
        desk.both_ways(recipients, &[("SOPS_AGE_KEY", &key)]);
    }
    desk.opens_in_both("by-orlop.yaml", &[("SOPS_AGE_KEY_FILE", &keys[1])]);
    desk.run("orlop", &["rotate", "-i", "by-sops.yaml"], &[("SOPS_AGE_KEY_FILE", &keys[0])]);
    desk.opens_in_both("by-sops.yaml", &[("SOPS_AGE_KEY_FILE", &keys[1])]);
}

#[test]
fn an_identity_file_with_a_passphrase_is_opened_on_the_terminal_as_by_sops() {
    let desk = AgeDesk::new();
    desk.run("age-keygen", &["-pq", "-o", "plain.txt"], &[]);
    let recipient = desk.run("age-keygen", &["-y", "plain.txt"], &[]).trim().to_owned();
    let age = peers().join("age").display().to_string();
    for (sealed, armor) in [("sealed.age", ""), ("sealed.asc", "-a")] {
        let line = format!("{age} -p {armor} -o {sealed} plain.txt");
        let twice = [("(leave empty", "open sesame\n"), ("Confirm passphrase", "open sesame\n")];
        on_terminal(&desk.command("age", &[]), &line, &twice);
        let key = desk.0.path(sealed).display().to_string();
        let variables = [("SOPS_AGE_KEY_FILE", key.as_str())];
        desk.0.file("a.yaml", SAMPLE);
        desk.run("orlop", &["encrypt", "--age", &recipient, "-i", "a.yaml"], &variables);
        let question = "Enter passphrase for identity 'SOPS_AGE_KEY_FILE':";
        for opener in ["sops", "orlop"] {
            let program = desk.command(opener, &variables);
            let program_path = program.get_program().display();
            let line = format!("{program_path} decrypt a.yaml >out 2>err </dev/null; stty -a");
            let screen = on_terminal(&program, &line, &[(question, "open sesame\n")]);
            assert!(desk.0.text("out").contains("canary-deep"), "{}", desk.0.text("err"));
            // sops asks before it silences the terminal, so its user's first letters may show.
            let is_hidden = opener == "sops" || !screen.contains("sesame");
            assert!(is_hidden && screen.contains(" echo "), "{opener}: {screen}");
        }
        let orlop = env!("CARGO_BIN_EXE_orlop");
        let program = desk.command("orlop", &variables);
        for (answer, reason) in [
            ("wrong\n", "the passphrase is wrong"),
            ("open sesam\u{fc}\u{7f}e\n", ""),
            ("junk\u{15}open sesame\r", ""),
            ("secret\u{3}", "the question was cancelled"),
            ("\u{4}", "the question was cancelled"),
        ] {
            let line = format!("{orlop} decrypt a.yaml >out 2>err </dev/null; echo code $?; stty -a");
            let screen = on_terminal(&program, &line, &[(question, answer)]);
            let code = if reason.is_empty() { "code 0" } else { "code 128" };
            let err = desk.0.text("err");
            assert!(screen.contains(" echo ") && !screen.contains("sesame"), "{screen}");
            assert!(screen.contains(code) && err.contains(reason), "{answer:?}: {screen}{err}");
        }
        // Without a terminal there is nobody to ask.
        let mut command = Command::new("setsid");
        command.args(["--wait", orlop, "decrypt", "a.yaml"]).env_clear().current_dir(desk.0.path(""));
        let output = command.envs(variables).env("PATH", "/usr/bin:/bin").output().unwrap();
        assert_eq!(output.status.code(), Some(128));
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(
            message
                .contains("SOPS_AGE_KEY_FILE: it is protected by a passphrase, and there is nobody to ask")
        );
    }
}

#[test]
fn an_ssh_key_with_a_passphrase_is_opened_on_the_terminal_as_by_sops() {
    let desk = AgeDesk::new();
    let public = desk.ssh_key("home/.ssh/id_ed25519", &["-t", "ed25519", "-N", "open sesame"]);
    desk.0.file("a.yaml", SAMPLE);
    desk.run("orlop", &["encrypt", "--age", &public, "-i", "a.yaml"], &[]);
    for opener in ["sops", "orlop"] {
        let program = desk.command(opener, &[]);
        let line = format!("{} decrypt a.yaml >out 2>err </dev/null", program.get_program().display());
        let screen = on_terminal(&program, &line, &[("home/.ssh/id_ed25519\":", "open sesame\n")]);
        assert!(desk.0.text("out").contains("canary-deep"), "{}", desk.0.text("err"));
        assert!(opener == "sops" || !screen.contains("sesame"), "{screen}");
    }
    // Nobody is asked about a file for somebody else.
    let other = desk.0.other_key("other.txt");
    desk.0.file("b.yaml", SAMPLE);
    desk.run("orlop", &["encrypt", "--age", &other, "-i", "b.yaml"], &[]);
    assert!(desk.refused(&["decrypt", "b.yaml"], &[]).contains("no credential for this key was found"));
}

/// A gpg-agent that knows one passphrase, and writes down what it is told.
fn agent(socket: &std::path::Path, answers: Vec<&'static str>) -> std::thread::JoinHandle<Vec<String>> {
    let listener = UnixListener::bind(socket).unwrap();
    std::thread::spawn(move || {
        let mut heard = Vec::new();
        let mut answers = answers.into_iter();
        let mut connections = 0;
        // Each passphrase is asked for in a connection of its own, and so is each order to forget one.
        while connections < 3 {
            let (stream, _) = listener.accept().unwrap();
            connections += 1;
            let mut lines = BufReader::new(stream.try_clone().unwrap());
            let mut stream = stream;
            stream.write_all(b"OK Pleased to meet you\n").unwrap();
            let mut line = String::new();
            while lines.read_line(&mut line).is_ok_and(|read| read > 0) {
                let answer = match line.starts_with("GET_PASSPHRASE") {
                    true => answers.next().unwrap(),
                    false => "OK",
                };
                stream.write_all(format!("{answer}\n").as_bytes()).unwrap();
                if !line.starts_with("OPTION") {
                    heard.push(line.trim_end().to_owned());
                }
                line.clear();
            }
        }
        heard
    })
}

#[test]
fn gpg_agent_is_asked_in_the_words_of_sops_and_told_of_wrong_passphrases() {
    let desk = AgeDesk::new();
    desk.run("age-keygen", &["-o", "plain.txt"], &[]);
    let recipient = desk.run("age-keygen", &["-y", "plain.txt"], &[]).trim().to_owned();
    let line = format!("{} -p -o sealed.age plain.txt", peers().join("age").display());
    let twice = [("(leave empty", "open sesame\n"), ("Confirm passphrase", "open sesame\n")];
    on_terminal(&desk.command("age", &[]), &line, &twice);
    desk.0.file("a.yaml", SAMPLE);
    desk.run("orlop", &["encrypt", "--age", &recipient, "-i", "a.yaml"], &[]);
    let key = desk.0.path("sealed.age").display().to_string();
    let mut heard = Vec::new();
    for opener in ["sops", "orlop"] {
        let socket = desk.0.path(&format!("agent-{opener}"));
        let info = format!("{}:1:1", socket.display());
        // "open sesame", then "wrong", which is to be forgotten.
        let agent = agent(&socket, vec!["OK 6F70656E20736573616D65", "OK 77726F6E67"]);
        let variables = [("SOPS_AGE_KEY_FILE", key.as_str()), ("GPG_AGENT_INFO", &info)];
        let plain = desk.run(opener, &["decrypt", "a.yaml"], &variables);
        assert!(plain.contains("canary-deep"));
        let output = desk.command(opener, &variables).args(["decrypt", "a.yaml"]).output().unwrap();
        assert_eq!(output.status.code(), Some(128));
        heard.push(agent.join().unwrap());
    }
    assert_eq!(heard[0].len(), 3);
    assert!(heard[0][2].starts_with("CLEAR_PASSPHRASE SopsAge"), "{heard:?}");
    assert_eq!(heard[0], heard[1]);
}

/// The test plugin's recipient and identity; what stands in them does not matter to it.
const PLUGIN_RECIPIENT: &str = "age1orlop-test1wdhk6etzdaj8j8evy9h";
const PLUGIN_IDENTITY: &str = "AGE-PLUGIN-ORLOP-TEST-1WDHK6ETZDAJ8JWQZXJ9";

#[test]
fn plugins_wrap_and_unwrap_and_ask_on_the_terminal() {
    let desk = AgeDesk::new();
    let silent = [("SOPS_AGE_KEY", PLUGIN_IDENTITY), ("SILENT", "1")];
    desk.both_ways(PLUGIN_RECIPIENT, &silent);

    let orlop = env!("CARGO_BIN_EXE_orlop");
    let program = desk.command("orlop", &[("SOPS_AGE_KEY", PLUGIN_IDENTITY)]);
    desk.0.file("a.yaml", SAMPLE);
    let encrypt = format!("{orlop} encrypt --age {PLUGIN_RECIPIENT} -i a.yaml >out 2>err </dev/null");
    on_terminal(&program, &encrypt, &[("really?", "2\n")]);
    assert!(desk.0.text("err").contains("not confirmed"), "{}", desk.0.text("err"));
    assert_eq!(desk.0.text("a.yaml"), SAMPLE);
    let screen = on_terminal(&program, &encrypt, &[("really?", "1\n")]);
    assert!(screen.contains("age-plugin-orlop-test: hello"), "{screen}");
    assert!(desk.0.text("a.yaml").contains("ENC["), "{}", desk.0.text("err"));
    desk.opens_in_both("a.yaml", &silent);

    let decrypt = format!("{orlop} decrypt a.yaml >out 2>err </dev/null");
    let screen = on_terminal(&program, &decrypt, &[("name?", "me\n"), ("PIN?", "1234\n")]);
    assert_eq!(desk.0.text("out"), SAMPLE, "{}", desk.0.text("err"));
    assert!(screen.contains("me") && !screen.contains("1234"), "{screen}");
    on_terminal(&program, &decrypt, &[("name?", "me\n"), ("PIN?", "0\n")]);
    assert!(desk.0.text("err").contains("wrong PIN"), "{}", desk.0.text("err"));

    let mut command = Command::new("setsid");
    command.args(["--wait", orlop, "decrypt", "a.yaml"]).env_clear().current_dir(desk.0.path(""));
    command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = command.output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(
        message.contains("age-plugin-orlop-test has a question, and there is nobody to ask"),
        "{message}"
    );

    let missing =
        desk.refused(&["decrypt", "a.yaml"], &[("SOPS_AGE_KEY", PLUGIN_IDENTITY), ("PATH", "/bin")]);
    assert!(missing.contains("age-plugin-orlop-test is not installed"), "{missing}");
    let debugged = [("SOPS_AGE_KEY", PLUGIN_IDENTITY), ("SILENT", "1"), ("AGEDEBUG", "plugin")];
    let refused = desk.refused(&["decrypt", "a.yaml"], &debugged);
    assert!(
        refused.contains("AGEDEBUG=plugin would print keys") && !refused.contains("file-key"),
        "{refused}"
    );
}

#[test]
fn tag_recipients_are_wrapped_for_without_a_plugin_and_open_with_one() {
    let desk = AgeDesk::new();
    // age's own test plugin says its recipients in its source; its identity holds nothing.
    let source = Command::new(peers().join("age-plugin-tagtest")).arg("--help").output();
    assert!(source.is_ok(), "run tests/peers/install");
    let variables = [("SOPS_AGE_KEY", TAG_IDENTITY)];
    for recipient in [TAG_RECIPIENT, include_str!("../../testdata/keys/age-tagpq.txt").trim()] {
        desk.0.file("a.yaml", SAMPLE);
        desk.run("orlop", &["encrypt", "--age", recipient, "-i", "a.yaml"], &[("PATH", "/bin")]);
        desk.opens_in_both("a.yaml", &variables);
    }
}

/// What `age-plugin-tagtest` of age opens.
const TAG_RECIPIENT: &str = "age1tag1qwe0kafsjrar4txm6heqnhpfuggzr0gvznz7fvygxrlq90u5mq2pysxtw6h";
const TAG_IDENTITY: &str = "AGE-PLUGIN-TAGTEST-1CXM4UC";
