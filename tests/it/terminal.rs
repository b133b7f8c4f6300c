//! A person at a terminal, for programs that ask on /dev/tty.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// Runs the shell line `line` on a terminal of its own, with the environment and folder of `command`, and types each
/// answer when its question shows. Gives what the terminal showed.
///
/// The line decides what its programs have as stdin and stdout; the terminal is /dev/tty to all of them.
pub(crate) fn on_terminal(command: &Command, line: &str, answers: &[(&str, &str)]) -> String {
    let mut script = Command::new("script");
    script.args(["-qfec", line, "/dev/null"]).env_clear();
    for (name, value) in command.get_envs() {
        script.env(name, value.unwrap_or_default());
    }
    script.env("TERM", "dumb").env("SHELL", "/bin/sh");
    let folder = command.get_current_dir().expect("the command has its folder");
    let mut child = script.current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (sender, shown) = mpsc::channel();
    let mut stdout = child.stdout.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut bytes = [0; 1024];
        while let Ok(read @ 1..) = stdout.read(&mut bytes) {
            sender.send(bytes[..read].to_vec()).unwrap();
        }
    });
    let mut keyboard = child.stdin.take().unwrap();
    let (mut screen, mut seen) = (String::new(), 0);
    let more = |screen: &mut String| match shown.recv_timeout(Duration::from_secs(60)) {
        Ok(bytes) => {
            screen.push_str(&String::from_utf8_lossy(&bytes));
            true
        }
        Err(mpsc::RecvTimeoutError::Disconnected) => false,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("nothing happens after: {screen}"),
    };
    for (question, answer) in answers {
        let found = loop {
            if let Some(at) = screen[seen..].find(question) {
                break seen + at + question.len();
            }
            assert!(more(&mut screen), "{question:?} was not asked: {screen}");
        };
        seen = found;
        keyboard.write_all(answer.as_bytes()).unwrap();
        keyboard.flush().unwrap();
    }
    while more(&mut screen) {}
    drop(keyboard);
    child.wait().unwrap();
    reader.join().unwrap();
    screen
}
