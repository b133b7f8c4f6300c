//! PGP keys, used through gpg: it knows agents, smartcards and passphrases.

use std::fmt;
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use super::{
    KeyTextError, ProviderError, ProviderId, Session, WrapKey, WrappedKey, malformed, without_blanks,
};
use crate::env::Env;
use crate::secret::{KeyPart, SecretText};

/// A PGP key by its fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Fingerprint {
    /// The fingerprint, without blanks; a `!` at its end forces a subkey.
    pub text: String,
}

impl Fingerprint {
    /// Reads a fingerprint. Blanks are dropped, the rest is kept as it is.
    pub fn parse(text: &str) -> Result<Self, KeyTextError> {
        match without_blanks(text) {
            empty if empty.is_empty() => Err(malformed(ProviderId::Pgp, text, "it is empty")),
            text => Ok(Self { text }),
        }
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl WrapKey for Fingerprint {
    fn wrap(&self, part: &KeyPart, session: &Session) -> Result<WrappedKey, ProviderError> {
        let failed = |reason| ProviderError::WrapFailed { provider: "PGP", key: self.text.clone(), reason };
        // SOPS 3.13: the key is trusted because the config file names it, not because gpg knows who signed it.
        let words = ["--no-default-recipient", "--yes", "--encrypt", "-a", "-r", &self.text, "--trusted-key"];
        let words = words.into_iter().chain([self.long_id(), "--no-encrypt-to"]);
        let answer = gpg(session.env(), words, part.expose()).map_err(failed)?;
        match std::str::from_utf8(answer.output.expose()) {
            Ok(message) if answer.succeeded && !message.trim().is_empty() => {
                Ok(WrappedKey::new(message.trim()))
            }
            _ => Err(failed(answer.reason())),
        }
    }

    fn unwrap(&self, wrapped: &WrappedKey, session: &Session) -> Result<Option<KeyPart>, ProviderError> {
        let failed = |reason| ProviderError::UnwrapFailed { provider: "PGP", key: self.text.clone(), reason };
        let answer = gpg(session.env(), ["-d"], wrapped.as_str().as_bytes()).map_err(failed)?;
        // sops: gpg that ends well and says nothing has not decrypted.
        if answer.succeeded && !answer.output.is_empty() {
            return Ok(Some(KeyPart::from_bytes(answer.output.expose().to_vec())));
        }
        match answer.has_status("NO_SECKEY") && !answer.has_status("BEGIN_DECRYPTION") {
            true => Ok(None),
            false => Err(failed(answer.reason())),
        }
    }
}

impl Fingerprint {
    /// The last sixteen digits, and the `!` of a forced subkey.
    fn long_id(&self) -> &str {
        let digits = if self.text.ends_with('!') { 17 } else { 16 };
        let start = self.text.len().saturating_sub(digits);
        self.text.get(start..).unwrap_or(&self.text)
    }
}

/// The program, instead of `gpg`: a path or a name, not a command line.
const PROGRAM: &str = "SOPS_GPG_EXEC";

/// What gpg said.
struct Answer {
    succeeded: bool,
    output: SecretText,
    /// stderr, lines for programs among those for people.
    messages: String,
}

impl Answer {
    fn has_status(&self, name: &str) -> bool {
        let statuses = self.messages.lines().filter_map(|line| line.strip_prefix(STATUS));
        statuses.filter_map(|status| status.split(' ').next()).any(|status| status == name)
    }

    /// What it said to people, on one line.
    fn reason(&self) -> String {
        let for_people = |line: &&str| !line.starts_with(STATUS) && !line.trim().is_empty();
        let lines: Vec<&str> = self.messages.lines().filter(for_people).map(str::trim).collect();
        if lines.is_empty() { "gpg gave no reason".to_owned() } else { lines.join("; ") }
    }
}

/// How gpg marks the lines of its status.
const STATUS: &str = "[GNUPG:] ";

/// Runs gpg with `input` on its stdin. It finds keys, agent and terminal by itself.
fn gpg<'w>(env: &Env, words: impl IntoIterator<Item = &'w str>, input: &[u8]) -> Result<Answer, String> {
    let program = env.non_empty(PROGRAM).unwrap_or("gpg".as_ref());
    let mut child = Command::new(program)
        .args(["--status-fd", "2"])
        .args(words)
        .env_clear()
        .envs(env.iter())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => format!("{} is not installed", program.display()),
            _ => format!("cannot run {}: {error}", program.display()),
        })?;
    let mut stdin = child.stdin.take().expect("stdin was piped");
    let mut stdout = child.stdout.take().expect("stdout was piped");
    let mut stderr = child.stderr.take().expect("stderr was piped").take(MAX_MESSAGES);
    let (output, messages) = std::thread::scope(|scope| {
        let messages = scope.spawn(move || {
            let mut messages = Vec::new();
            // What cannot be read is not shown.
            let _ = stderr.read_to_end(&mut messages);
            String::from_utf8_lossy(&messages).into_owned()
        });
        // gpg that fails at once does not read; what it says tells why. Both texts fit into a pipe.
        let _ = stdin.write_all(input);
        drop(stdin);
        let output = SecretText::read_from(&mut stdout, MAX_PART_LEN);
        (output, messages.join().unwrap_or_default())
    });
    let status = child.wait().map_err(|error| format!("cannot wait for gpg: {error}"))?;
    let output = output.map_err(|error| format!("cannot read what gpg prints: {error}"))?;
    Ok(Answer { succeeded: status.success(), output, messages })
}

/// gpg's messages are cut here.
const MAX_MESSAGES: u64 = 64 << 10;
/// About as long as the output is.
const MAX_PART_LEN: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_long_id_is_the_end_of_the_fingerprint() {
        let id = |text: &str| Fingerprint::parse(text).unwrap().long_id().to_owned();
        assert_eq!(id("FBC7 B9E2 A4F9 289A C0C1 D484 3D16 CEE4 A273 81B4"), "3D16CEE4A27381B4");
        assert_eq!(id("FBC7B9E2A4F9289AC0C1D4843D16CEE4A27381B4!"), "3D16CEE4A27381B4!");
        assert_eq!(id("short"), "short");
        assert_eq!(id("ü".repeat(9).as_str()), "ü".repeat(8));
    }

    #[test]
    fn statuses_are_told_from_messages() {
        let messages = "gpg: encrypted with RSA key, ID X\n[GNUPG:] NO_SECKEY X\ngpg: decryption failed: No secret key\n";
        let answer =
            Answer { succeeded: false, output: SecretText::default(), messages: messages.to_owned() };
        assert!(answer.has_status("NO_SECKEY") && !answer.has_status("NO"));
        assert_eq!(
            answer.reason(),
            "gpg: encrypted with RSA key, ID X; gpg: decryption failed: No secret key"
        );
    }
}
