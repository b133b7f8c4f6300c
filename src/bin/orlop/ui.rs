//! Everything that is printed or asked: the only place that writes to the terminal.

use std::fmt::Display;
use std::io::{self, BufRead as _, Write as _};
use std::path::Path;

use crate::context::Name;
use crate::error::CommandError;

/// Writes `bytes` to stdout, past any buffer that would keep a copy of them.
#[cfg(unix)]
pub(crate) fn print_bytes(bytes: &[u8]) -> io::Result<()> {
    let stdout = rustix::stdio::stdout().try_clone_to_owned()?;
    std::fs::File::from(stdout).write_all(bytes)
}

/// Writes `bytes` to stdout.
#[cfg(not(unix))]
pub(crate) fn print_bytes(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()
}

/// Prints a line that holds no secret.
pub(crate) fn print_line(line: impl Display) {
    // A reader who has gone away does not want to hear about it.
    let _ = writeln!(io::stdout(), "{line}");
}

/// Tells the user something on stderr.
pub(crate) fn note(text: impl Display) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Warns of something that does not stop the command.
pub(crate) fn warn(text: impl Display) {
    let _ = writeln!(io::stderr(), "orlop: warning: {text}");
}

/// Warns of a file that looks like a config file but is none.
pub(crate) fn warn_sops_yml(ignored: &Path, used: Option<&Path>) {
    let instead = used.map(|path| format!("; using {path:?} instead")).unwrap_or_default();
    warn(format_args!(
        "ignoring {ignored:?} when searching for config file; the config file must be called \".sops.yaml\"{instead}"
    ));
}

/// Shows why a command failed.
pub(crate) fn show_error(name: Name, error: &CommandError) {
    let mut stderr = io::stderr().lock();
    if error.is_literal {
        let _ = writeln!(stderr, "{}", error.message);
        return;
    }
    let name = name.as_str();
    let _ = writeln!(stderr, "{name}: error: {}", error.message);
    for line in &error.details {
        let _ = writeln!(stderr, "  {line}");
    }
    for hint in &error.hints {
        let _ = writeln!(stderr, "{name}: hint: {hint}");
    }
}

/// Asks until the answer is yes or no; an empty answer is an error, as nobody is there to give one.
pub(crate) fn ask(question: &str) -> io::Result<bool> {
    let mut stdin = io::stdin().lock();
    loop {
        write!(io::stdout(), "{question} (y/n):")?;
        io::stdout().flush()?;
        let mut answer = String::new();
        stdin.read_line(&mut answer)?;
        match answer.trim() {
            "y" | "Y" => return Ok(true),
            "n" | "N" => return Ok(false),
            "" => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "no answer")),
            _ => {}
        }
    }
}

/// Whether stdout shows colours.
pub(crate) fn is_colourful(env: &orlop::Env) -> bool {
    use std::io::IsTerminal as _;
    io::stdout().is_terminal() && env.text("TERM") != Some("dumb") && env.non_empty("NO_COLOR").is_none()
}

/// Warns of comments that should have been decrypted and could not be.
pub(crate) fn warn_odd_comments(file: &Path, comments: &[orlop::span::Position]) {
    for place in comments {
        warn(format_args!(
            "{}:{place}: a comment that should be encrypted does not decrypt; it stays as it is",
            file.display()
        ));
    }
}

/// Shows what would change in the keys of a file.
pub(crate) fn show_key_update(update: &orlop::simple::KeyUpdate, is_colourful: bool) {
    let painted = |code: &str, text: String| match is_colourful {
        true => format!("\x1b[{code}m{text}\x1b[0m"),
        false => text,
    };
    print_line("The following changes will be made to the file's groups:");
    // sops: 0 is no threshold, and not shown.
    match (update.old_threshold, update.new_threshold) {
        (0, 0) => {}
        (old, new) if old == new => print_line(format_args!("shamir_threshold: {new}")),
        (old, new) => {
            if new > 0 {
                print_line(painted("32", format!("+++ shamir_threshold: {new}")));
            }
            if old > 0 {
                print_line(painted("31", format!("--- shamir_threshold: {old}")));
            }
        }
    }
    show_group_changes(&update.group_changes, is_colourful);
}

/// Shows what would change in each key group.
pub(crate) fn show_group_changes(changes: &[orlop::simple::GroupChange], is_colourful: bool) {
    let painted = |code: &str, text: String| match is_colourful {
        true => format!("\x1b[{code}m{text}\x1b[0m"),
        false => text,
    };
    for (number, group) in changes.iter().enumerate() {
        print_line(painted("4", format!("Group {}", number + 1)));
        group.kept.iter().for_each(|key| print_line(format_args!("    {key}")));
        group.added.iter().for_each(|key| print_line(painted("32", format!("+++ {key}"))));
        group.removed.iter().for_each(|key| print_line(painted("31", format!("--- {key}"))));
    }
}

/// Says `what` Enter does and waits until it is pressed; `false` when nobody is there to do it.
pub(crate) fn wait_for_enter(what: &str) -> bool {
    use std::io::IsTerminal as _;
    note(what);
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line);
    // A terminal's user who presses Ctrl+D is there, and does not want to lose the text.
    read.is_ok_and(|read| read > 0 || io::stdin().is_terminal())
}
