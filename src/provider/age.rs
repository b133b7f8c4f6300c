//! age: X25519 recipients, and the places where sops looks for identities.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::{Read, Write};
use std::iter;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use ::age::armor::{ArmoredReader, ArmoredWriter, Format};
use ::age::{DecryptError, Decryptor, Encryptor, x25519};

use super::{
    KeyTextError, ProviderError, ProviderId, Session, SourceOutcome, SourceReport, WrapKey, WrappedKey,
    malformed,
};
use crate::env::Env;
use crate::secret::{KeyPart, SecretText, scratch};

/// A recipient of age, by its public text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Recipient {
    text: String,
}

/// What kind of recipient a text names, told from its beginning as sops does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecipientKind {
    /// `age1…`: the one kind that this build can wrap for.
    X25519,
    /// `age1pq1…`.
    PostQuantum,
    /// `age1name1…`.
    Plugin,
    /// `ssh-…`.
    Ssh,
    /// Anything else; a file may hold it, a flag may not.
    Unknown,
}

impl Recipient {
    /// Reads a recipient; blanks around it are dropped.
    ///
    /// An X25519 recipient must be whole; the other kinds are looked at when they are used.
    pub fn parse(text: &str) -> Result<Self, KeyTextError> {
        let recipient = Self::of_file(text.trim());
        if looks_like_a_secret(text) {
            return Err(KeyTextError::Secret { provider: "age" });
        }
        match recipient.kind() {
            RecipientKind::X25519 => recipient.public_key().map(|_| recipient),
            RecipientKind::Unknown => Err(malformed(ProviderId::Age, text, "it starts like no recipient")),
            RecipientKind::PostQuantum | RecipientKind::Plugin | RecipientKind::Ssh => Ok(recipient),
        }
    }

    /// Takes a recipient from the metadata of a file, where another's broken key must not stop the reader.
    pub fn of_file(text: &str) -> Self {
        Self { text: text.to_owned() }
    }

    /// The kind of this recipient.
    pub fn kind(&self) -> RecipientKind {
        let text = self.text.as_str();
        if text.starts_with("age1pq1") {
            RecipientKind::PostQuantum
        } else if text.starts_with("age1") && text.matches('1').count() > 1 {
            RecipientKind::Plugin
        } else if text.starts_with("age1") {
            RecipientKind::X25519
        } else if text.starts_with("ssh-") {
            RecipientKind::Ssh
        } else {
            RecipientKind::Unknown
        }
    }

    fn public_key(&self) -> Result<x25519::Recipient, KeyTextError> {
        self.text.parse().map_err(|reason: &str| malformed(ProviderId::Age, &self.text, reason))
    }
}

/// Whether `text` is a secret key that was put where a public one belongs; it must not reach a message.
fn looks_like_a_secret(text: &str) -> bool {
    let text = text.to_ascii_uppercase();
    ["AGE-SECRET-KEY-", "AGE-PLUGIN-", "PRIVATE KEY-----"].iter().any(|mark| text.contains(mark))
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl RecipientKind {
    fn plural(self) -> &'static str {
        match self {
            RecipientKind::X25519 => "X25519 recipients",
            RecipientKind::PostQuantum => "post-quantum age recipients",
            RecipientKind::Plugin => "age plugins",
            RecipientKind::Ssh => "ssh keys as age recipients",
            RecipientKind::Unknown => "recipients of an unknown kind",
        }
    }
}

impl WrapKey for Recipient {
    fn wrap(&self, part: &KeyPart, _session: &Session) -> Result<WrappedKey, ProviderError> {
        if self.kind() != RecipientKind::X25519 {
            return Err(self.kind_not_available());
        }
        let public_key = self.public_key()?;
        let failed =
            |reason: String| ProviderError::WrapFailed { provider: "age", key: self.text.clone(), reason };
        let armored = seal_armored(&public_key, part.expose()).map_err(|error| failed(error.to_string()))?;
        let text = String::from_utf8(armored).expect("armor is ASCII");
        // The age crate ends lines as the system does; the file format has line feeds.
        Ok(WrappedKey::new(text.replace('\r', "")))
    }

    fn unwrap(&self, wrapped: &WrappedKey, session: &Session) -> Result<Option<KeyPart>, ProviderError> {
        let damaged = |reason: String| ProviderError::Damaged { key: self.text.clone(), reason };
        let text = wrapped.as_str().trim().replace('\r', "");
        if !text.starts_with("-----BEGIN AGE ENCRYPTED FILE-----") {
            return Err(damaged("it is not an armored age file".to_owned()));
        }
        let read = |identities: &[x25519::Identity]| match open_armored(&text, identities) {
            Ok(part) => Ok(Some(part)),
            Err(DecryptError::NoMatchingKeys) => Ok(None),
            Err(error) => Err(damaged(error.to_string())),
        };
        for source in session.age.standing(session.env()) {
            if let Some(part) = read(source.identities())? {
                return Ok(Some(part));
            }
        }
        // A command is only run when what lies ready does not help: it may ask for a finger on a token.
        match session.age.commanded(session.env(), &self.text) {
            Some(source) => read(source.identities()),
            None if matches!(self.kind(), RecipientKind::X25519 | RecipientKind::Unknown) => Ok(None),
            None => Err(self.kind_not_available()),
        }
    }
}

impl Recipient {
    fn kind_not_available(&self) -> ProviderError {
        ProviderError::KindNotAvailable { kind: self.kind().plural(), key: self.text.clone() }
    }
}

fn seal_armored(recipient: &x25519::Recipient, part: &[u8]) -> std::io::Result<Vec<u8>> {
    let encryptor = Encryptor::with_recipients(iter::once(recipient as &dyn ::age::Recipient))
        .map_err(std::io::Error::other)?;
    let armor = ArmoredWriter::wrap_output(Vec::new(), Format::AsciiArmor)?;
    let mut writer = encryptor.wrap_output(armor)?;
    writer.write_all(part)?;
    writer.finish()?.finish()
}

fn open_armored(armored: &str, identities: &[x25519::Identity]) -> Result<KeyPart, DecryptError> {
    let decryptor = Decryptor::new_buffered(ArmoredReader::new(armored.as_bytes()))?;
    let mut reader = decryptor.decrypt(identities.iter().map(|identity| identity as &dyn ::age::Identity))?;
    // Read into a wiped buffer of fixed size: a growing one would leave copies of the key behind.
    let mut buffer = scratch(MAX_PART_LEN);
    let mut len = 0;
    while len < buffer.len() {
        match reader.read(&mut buffer[len..]).map_err(DecryptError::Io)? {
            0 => break,
            read => len += read,
        }
    }
    Ok(KeyPart::from_bytes(buffer[..len].to_vec()))
}

/// More than any key part holds; what is longer is cut here and then refused as a data key.
const MAX_PART_LEN: usize = 512;

/// Identities of one session, loaded when a wrapped key is first met.
#[derive(Default)]
pub(super) struct Identities {
    standing: OnceLock<Vec<Source>>,
    commanded: Mutex<HashMap<String, Arc<Source>>>,
}

/// One place and the identities it gave. It holds secrets, so nothing prints it.
pub(super) struct Source {
    place: String,
    found: Result<Vec<x25519::Identity>, SourceOutcome>,
}

impl Identities {
    /// The sources that are the same for every recipient.
    fn standing(&self, env: &Env) -> &[Source] {
        self.standing.get_or_init(|| standing_sources(env))
    }

    /// What `SOPS_AGE_KEY_CMD` gives for `recipient`; `None` when the variable is not set.
    fn commanded(&self, env: &Env, recipient: &str) -> Option<Arc<Source>> {
        env.var(KEY_CMD)?;
        // Held while the command runs, so that two threads do not ask twice for one recipient.
        let mut known = self.commanded.lock().unwrap_or_else(PoisonError::into_inner);
        let source = known.entry(recipient.to_owned()).or_insert_with(|| {
            let found = run_key_command(env, recipient).and_then(|text| identities_of(&text, PerLine::One));
            Arc::new(Source::new(KEY_CMD, found))
        });
        Some(Arc::clone(source))
    }

    pub(super) fn reports(&self) -> Vec<SourceReport> {
        let mut reports: Vec<SourceReport> =
            self.standing.get().into_iter().flatten().map(Source::report).collect();
        let commanded = self.commanded.lock().unwrap_or_else(PoisonError::into_inner);
        for source in commanded.values() {
            let report = source.report();
            if !reports.contains(&report) {
                reports.push(report);
            }
        }
        reports
    }
}

impl Source {
    fn new(place: impl Into<String>, found: Result<Vec<x25519::Identity>, String>) -> Self {
        Self { place: place.into(), found: found.map_err(|reason| SourceOutcome::Rejected { reason }) }
    }

    fn absent(place: impl Into<String>) -> Self {
        Self { place: place.into(), found: Err(SourceOutcome::Absent) }
    }

    fn identities(&self) -> &[x25519::Identity] {
        self.found.as_deref().unwrap_or_default()
    }

    fn report(&self) -> SourceReport {
        let outcome = match &self.found {
            Ok(identities) => SourceOutcome::Loaded(identities.len()),
            Err(outcome) => outcome.clone(),
        };
        SourceReport { place: self.place.clone(), outcome }
    }
}

const KEY: &str = "SOPS_AGE_KEY";
const KEY_FILE: &str = "SOPS_AGE_KEY_FILE";
const KEY_CMD: &str = "SOPS_AGE_KEY_CMD";
const RECIPIENT: &str = "SOPS_AGE_RECIPIENT";
const SSH_KEYS: [&str; 2] = ["SOPS_AGE_SSH_PRIVATE_KEY_FILE", "SOPS_AGE_SSH_PRIVATE_KEY_CMD"];

fn standing_sources(env: &Env) -> Vec<Source> {
    let mut sources = Vec::new();
    for name in SSH_KEYS {
        if env.var(name).is_some() {
            sources.push(Source::new(name, Err("ssh keys are not available in this build".to_owned())));
        }
    }
    sources.push(match env.var(KEY) {
        Some(value) => {
            let text = value.to_str().ok_or_else(|| NOT_TEXT.to_owned());
            Source::new(KEY, text.and_then(|text| parse_identities(text, PerLine::Several)))
        }
        None => Source::absent(KEY),
    });
    sources.push(match env.var(KEY_FILE) {
        Some(path) => {
            let text = read_key_file(path.into()).map_err(|error| format!("cannot read {path:?}: {error}"));
            Source::new(KEY_FILE, text.and_then(|text| identities_of(&text, PerLine::One)))
        }
        None => Source::absent(KEY_FILE),
    });
    if env.var(KEY_CMD).is_none() {
        sources.push(Source::absent(KEY_CMD));
    }
    sources.push(match keys_file(env) {
        Ok(path) => {
            let place = path.display().to_string();
            match read_key_file(path) {
                Ok(text) => Source::new(place, identities_of(&text, PerLine::One)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Source::absent(place),
                Err(error) => Source::new(place, Err(format!("cannot be read: {error}"))),
            }
        }
        Err(reason) => Source::new("sops/age/keys.txt", Err(reason)),
    });
    sources
}

/// The place of `keys.txt` in the user's folder for settings.
fn keys_file(env: &Env) -> Result<PathBuf, String> {
    let folder = |name: &str| env.non_empty(name).map(PathBuf::from);
    let settings = if cfg!(windows) {
        folder("AppData").or_else(|| folder("APPDATA")).ok_or("%AppData% is not set")
    } else if cfg!(target_os = "macos") {
        // sops: XDG_CONFIG_HOME counts on macOS too, which Go's own rule would not say.
        folder("XDG_CONFIG_HOME")
            .or_else(|| folder("HOME").map(|home| home.join("Library/Application Support")))
            .ok_or("neither XDG_CONFIG_HOME nor HOME is set")
    } else {
        folder("XDG_CONFIG_HOME")
            .or_else(|| folder("HOME").map(|home| home.join(".config")))
            .ok_or("neither XDG_CONFIG_HOME nor HOME is set")
    };
    Ok(settings?.join("sops").join("age").join("keys.txt"))
}

fn read_key_file(path: PathBuf) -> std::io::Result<SecretText> {
    let mut file = File::open(path)?.take(MAX_KEY_FILE_LEN);
    SecretText::read_from(&mut file, 4096)
}

/// The limit that age sets for files of identities.
const MAX_KEY_FILE_LEN: u64 = 16 << 20;

fn run_key_command(env: &Env, recipient: &str) -> Result<SecretText, String> {
    let line = env.text(KEY_CMD).ok_or(NOT_TEXT)?;
    let words = shlex::split(line).ok_or("a quote is not closed")?;
    let (program, arguments) = words.split_first().ok_or("it is empty")?;
    // No shell sees the line, and only the snapshot's variables are passed on.
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(env.iter())
        .env(RECIPIENT, recipient)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot run {program:?}: {error}"))?;
    let mut stdout = child.stdout.take().expect("stdout was piped").take(MAX_KEY_FILE_LEN);
    let text = SecretText::read_from(&mut stdout, 4096);
    // Closed before waiting, so that a command with too much to say ends rather than hangs.
    drop(stdout);
    let status = child.wait().map_err(|error| format!("cannot wait for {program:?}: {error}"))?;
    if !status.success() {
        return Err(format!("{program:?} failed: {status}"));
    }
    text.map_err(|error| format!("cannot read the output of {program:?}: {error}"))
}

const NOT_TEXT: &str = "it is not UTF-8";

/// How many identities a line may hold.
#[derive(Clone, Copy, PartialEq)]
enum PerLine {
    One,
    Several,
}

fn identities_of(text: &SecretText, per_line: PerLine) -> Result<Vec<x25519::Identity>, String> {
    parse_identities(std::str::from_utf8(text.expose()).map_err(|_| NOT_TEXT)?, per_line)
}

/// Reads identities; one bad line rejects the whole text, as in sops, and the reason never repeats a line.
fn parse_identities(text: &str, per_line: PerLine) -> Result<Vec<x25519::Identity>, String> {
    if text.starts_with("age-encryption") || text.starts_with("-----BEGIN AGE") {
        return Err("identity files with a passphrase are not available in this build".to_owned());
    }
    let mut identities = Vec::new();
    let mut unavailable = None;
    for (number, line) in (1..).zip(text.lines()) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let words: Vec<&str> = match per_line {
            PerLine::One => vec![line],
            PerLine::Several => line.split_whitespace().collect(),
        };
        for word in words {
            if word.starts_with("AGE-PLUGIN-") {
                unavailable = Some("age plugins");
            } else if word.starts_with("AGE-SECRET-KEY-PQ-1") {
                unavailable = Some("post-quantum identities");
            } else if word.starts_with("AGE-SECRET-KEY-1") {
                let identity = word.parse().map_err(|reason: &str| format!("line {number}: {reason}"))?;
                identities.push(identity);
            } else {
                return Err(format!("line {number} is not an age identity"));
            }
        }
    }
    match unavailable {
        Some(kind) if identities.is_empty() => Err(format!("{kind} are not available in this build")),
        _ => Ok(identities),
    }
}
