//! gpg-agent as the keeper of passphrases: asked as sops asks it, so that both share what it remembers.

use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use orlop::{Env, SecretText};

/// Why the agent gave no passphrase.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum AgentError {
    /// There is none.
    Absent,
    /// Its user does not want to answer.
    Cancelled,
    /// It cannot ask, or does not speak as expected.
    Failed(String),
}

impl From<io::Error> for AgentError {
    fn from(error: io::Error) -> Self {
        AgentError::Failed(format!("gpg-agent: {}", crate::context::io_reason(&error)))
    }
}

/// Asks for the passphrase that the agent keeps under `cache_id`, or has its user type.
pub(crate) fn get_passphrase(env: &Env, cache_id: &str, question: &str) -> Result<SecretText, AgentError> {
    let mut agent = Agent::connect(env)?;
    if let Some(display) = env.text("DISPLAY").filter(|display| !display.is_empty()) {
        agent.order(&format!("OPTION display={display}"))?;
    }
    if let Some(terminal) = terminal() {
        agent.order(&format!("OPTION ttyname={terminal}"))?;
    }
    if let Some(kind) = env.text("TERM").filter(|kind| !kind.is_empty()) {
        agent.order(&format!("OPTION ttytype={kind}"))?;
    }
    agent.say(&format!("GET_PASSPHRASE {} X Passphrase {}", escaped(cache_id), escaped(question)))?;
    let answer = agent.hear()?;
    match answer.expose().strip_prefix(b"OK ") {
        Some(digits) => {
            from_hex(digits).ok_or_else(|| AgentError::Failed("gpg-agent spoke unclearly".to_owned()))
        }
        // OK without anything is the empty passphrase.
        None if answer.expose() == b"OK" => Ok(SecretText::default()),
        None => Err(refusal(answer.expose())),
    }
}

/// Makes the agent forget what it keeps under `cache_id`, if there is an agent.
pub(crate) fn clear_passphrase(env: &Env, cache_id: &str) {
    if let Ok(mut agent) = Agent::connect(env) {
        let _ = agent.order(&format!("CLEAR_PASSPHRASE {}", escaped(cache_id)));
    }
}

struct Agent(UnixStream);

impl Agent {
    fn connect(env: &Env) -> Result<Self, AgentError> {
        let path = socket(env).ok_or(AgentError::Absent)?;
        let mut agent = Self(UnixStream::connect(path).map_err(|_| AgentError::Absent)?);
        match agent.hear()?.expose().starts_with(b"OK") {
            true => Ok(agent),
            false => Err(AgentError::Absent),
        }
    }

    fn say(&mut self, line: &str) -> io::Result<()> {
        self.0.write_all(format!("{line}\n").as_bytes())
    }

    /// The next line, without its end; status lines are skipped.
    fn hear(&mut self) -> io::Result<SecretText> {
        loop {
            let mut line = SecretText::with_capacity(MAX_LINE);
            let mut byte = [0];
            loop {
                if self.0.read(&mut byte)? == 0 || line.len() == MAX_LINE {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                if byte[0] == b'\n' {
                    break;
                }
                line.push(&byte);
            }
            let is_status = line.expose().starts_with(b"S ") || line.expose().starts_with(b"#");
            if !is_status {
                return Ok(line);
            }
        }
    }

    fn order(&mut self, line: &str) -> Result<(), AgentError> {
        self.say(line)?;
        let answer = self.hear()?;
        match answer.expose().starts_with(b"OK") {
            true => Ok(()),
            false => Err(refusal(answer.expose())),
        }
    }
}

/// The longest line of the protocol, twice over.
const MAX_LINE: usize = 2048;

fn refusal(answer: &[u8]) -> AgentError {
    let text = String::from_utf8_lossy(answer);
    match text.split(' ').nth(1) {
        Some("83886179") => AgentError::Cancelled,
        _ => AgentError::Failed(format!("gpg-agent: {}", text.trim_start_matches("ERR "))),
    }
}

/// SOPS 3.13: what `GPG_AGENT_INFO` says, else the socket below the home, else that below `XDG_RUNTIME_DIR`.
fn socket(env: &Env) -> Option<PathBuf> {
    if let Some(info) = env.text("GPG_AGENT_INFO") {
        let path = info.split(':').next().unwrap_or_default();
        return (!path.is_empty()).then(|| PathBuf::from(path));
    }
    let is_socket = |path: &PathBuf| path.metadata().is_ok_and(|data| data.file_type().is_socket());
    let below_home = env.non_empty("HOME").map(|home| Path::new(home).join(".gnupg/S.gpg-agent"));
    let below_run = env.non_empty("XDG_RUNTIME_DIR").map(|run| Path::new(run).join("gnupg/S.gpg-agent"));
    [below_home, below_run].into_iter().flatten().find(is_socket)
}

/// The terminal that the agent's pinentry may use.
fn terminal() -> Option<String> {
    use rustix::stdio::{stderr, stdin, stdout};
    let name = |stream| rustix::termios::ttyname(stream, Vec::new()).ok();
    [stdin(), stdout(), stderr()].into_iter().find_map(name)?.into_string().ok()
}

/// As gpg-agent takes arguments, and as sops writes them: `+` for blanks, `%XX` for what is no letter or digit.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for &byte in text.as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => escaped.push(byte.into()),
            b' ' => escaped.push('+'),
            byte => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

fn from_hex(digits: &[u8]) -> Option<SecretText> {
    let mut bytes = SecretText::with_capacity(digits.len() / 2);
    let value = |digit: &u8| (*digit as char).to_digit(16).map(|value| value as u8);
    for pair in digits.chunks(2) {
        let [high, low] = pair else { return None };
        bytes.push(&[value(high)? << 4 | value(low)?]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_escaped_as_sops_escapes_them() {
        let question = "Enter passphrase for identity '/keys.txt':";
        assert_eq!(escaped(question), "Enter+passphrase+for+identity+%27%2Fkeys.txt%27%3A");
        assert_eq!(escaped("ü~-_.+%"), "%C3%BC~-_.%2B%25");
    }

    #[test]
    fn hexadecimal_answers_are_read_and_broken_ones_are_not() {
        assert_eq!(from_hex(b"68C3bc21").unwrap().expose(), "hü!".as_bytes());
        assert!(from_hex(b"").unwrap().is_empty());
        assert!(from_hex(b"6").is_none() && from_hex(b"6g").is_none());
    }

    #[test]
    fn the_socket_is_that_of_the_variable_or_none() {
        let env = |info: &str| Env::from_iter([("GPG_AGENT_INFO", info), ("HOME", "/nowhere")]);
        assert_eq!(socket(&env("/run/agent:12:1")), Some(PathBuf::from("/run/agent")));
        assert_eq!(socket(&env("")), None);
        assert_eq!(socket(&Env::from_iter([("HOME", "/nowhere")])), None);
    }
}
