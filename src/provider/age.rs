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
    /// Whether its identity lies ready in `session`; a command is not asked.
    pub(crate) fn is_held_in(&self, session: &Session) -> bool {
        session.age.holds(session.env(), self)
    }

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
    public_keys: OnceLock<Vec<String>>,
}

impl Identities {
    /// The sources that are the same for every recipient.
    fn standing(&self, env: &Env) -> &[Source] {
        self.standing.get_or_init(|| standing_sources(env))
    }

    /// Whether an identity of `recipient` is among those that lie ready.
    fn holds(&self, env: &Env, recipient: &Recipient) -> bool {
        self.standing(env).iter().any(|source| source.public_keys().contains(&recipient.text))
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
        Self::found(place, found.map_err(|reason| SourceOutcome::Rejected { reason }))
    }

    fn absent(place: impl Into<String>) -> Self {
        Self::found(place, Err(SourceOutcome::Absent))
    }

    fn found(place: impl Into<String>, found: Result<Vec<x25519::Identity>, SourceOutcome>) -> Self {
        Self { place: place.into(), found, public_keys: OnceLock::new() }
    }

    fn identities(&self) -> &[x25519::Identity] {
        self.found.as_deref().unwrap_or_default()
    }

    /// The recipients that the identities are those of.
    fn public_keys(&self) -> &[String] {
        let public = |identity: &x25519::Identity| identity.to_public().to_string();
        self.public_keys.get_or_init(|| self.identities().iter().map(public).collect())
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const TEST_RECIPIENT: &str = "age1sv0g8xzeuccps92cmuppygcx6j2swfr52gcxttaz6c0nlnv2dgvs2saj67";
    const TEST_KEY: &str = include_str!("../../testdata/keys/age-test.txt");
    const OTHER_KEY: &str = include_str!("../../testdata/keys/age-other.txt");

    fn secret_of(file: &str) -> &str {
        file.lines().find(|line| line.starts_with("AGE-SECRET-KEY-1")).unwrap()
    }

    fn session<const N: usize>(variables: [(&str, &str); N]) -> Session {
        Session::new(Env::from_iter(variables))
    }

    fn wrapped() -> WrappedKey {
        let recipient = Recipient::parse(TEST_RECIPIENT).unwrap();
        recipient.wrap(&KeyPart::from_bytes(vec![7; 32]), &session([])).unwrap()
    }

    /// Whether `session` opens what was wrapped for the test key.
    fn opens(session: &Session) -> bool {
        let part = Recipient::of_file(TEST_RECIPIENT).unwrap(&wrapped(), session).unwrap();
        part.is_some_and(|part| part.expose() == [7; 32])
    }

    fn outcome(session: &Session, place: &str) -> SourceOutcome {
        session.sources().into_iter().find(|report| report.place == place).unwrap().outcome
    }

    fn rejected(reason: &str) -> SourceOutcome {
        SourceOutcome::Rejected { reason: reason.to_owned() }
    }

    #[test]
    fn recipients_are_told_apart_by_their_beginning() {
        for (text, kind) in [
            (TEST_RECIPIENT, RecipientKind::X25519),
            ("age1pq1xyz", RecipientKind::PostQuantum),
            ("age1yubikey1xyz", RecipientKind::Plugin),
            ("ssh-ed25519 AAAA me@host", RecipientKind::Ssh),
        ] {
            let recipient = Recipient::parse(&format!(" {text}\n")).unwrap();
            assert_eq!((recipient.kind(), recipient.to_string().as_str()), (kind, text));
        }
        assert_eq!(Recipient::of_file("x").kind(), RecipientKind::Unknown);
    }

    #[test]
    fn broken_recipients_are_refused() {
        for text in ["", "x", "age1", &TEST_RECIPIENT[..60], &TEST_RECIPIENT.replace("sv0g", "sv0h")] {
            assert!(matches!(Recipient::parse(text), Err(KeyTextError::Malformed { .. })), "{text}");
        }
    }

    #[test]
    fn a_secret_key_in_place_of_a_recipient_is_not_repeated() {
        let secret = secret_of(TEST_KEY);
        for text in [secret.to_owned(), secret.to_lowercase(), format!("age1x {secret}")] {
            let error = Recipient::parse(&text).unwrap_err();
            assert_eq!(error, KeyTextError::Secret { provider: "age" });
            assert!(!format!("{error} {error:?}").to_uppercase().contains(&secret[20..40]));
        }
    }

    #[test]
    fn a_wrapped_key_is_one_armored_file_with_a_final_newline() {
        let wrapped = wrapped();
        let lines: Vec<&str> = wrapped.as_str().split('\n').collect();
        let [first, body @ .., last, ""] = &lines[..] else { panic!("{}", wrapped.as_str()) };
        assert_eq!(*first, "-----BEGIN AGE ENCRYPTED FILE-----");
        assert_eq!(*last, "-----END AGE ENCRYPTED FILE-----");
        let (tail, full) = body.split_last().unwrap();
        assert!(full.iter().all(|line| line.len() == 64) && tail.len() <= 64);
    }

    #[test]
    fn blanks_around_the_armor_and_carriage_returns_do_not_matter() {
        let spelled = WrappedKey::new(format!(" \r\n{}\n", wrapped().as_str().replace('\n', "\r\n")));
        let session = session([(KEY, secret_of(TEST_KEY))]);
        let part = Recipient::of_file(TEST_RECIPIENT).unwrap(&spelled, &session).unwrap().unwrap();
        assert_eq!(part.expose(), [7; 32]);
    }

    #[test]
    fn damaged_armor_is_an_error_and_another_key_is_not() {
        let session = session([(KEY, secret_of(TEST_KEY))]);
        let unwrap = |text: &str| Recipient::of_file(TEST_RECIPIENT).unwrap(&WrappedKey::new(text), &session);
        let text = wrapped().as_str().to_owned();
        let middle = text.len() - 60;
        let flipped = if &text[middle..=middle] == "A" { "B" } else { "A" };
        let changed = format!("{}{flipped}{}", &text[..middle], &text[middle + 1..]);
        for damaged in ["", "x", &text[..text.len() / 2], &changed] {
            assert!(matches!(unwrap(damaged), Err(ProviderError::Damaged { .. })), "{damaged}");
        }
        assert!(!opens(&self::session([(KEY, secret_of(OTHER_KEY))])));
    }

    #[test]
    fn other_kinds_of_recipients_say_so_when_used() {
        let recipient = Recipient::parse("ssh-ed25519 AAAA").unwrap();
        let session = session([]);
        let wrap = recipient.wrap(&KeyPart::from_bytes(vec![7; 32]), &session).unwrap_err();
        let unwrap = recipient.unwrap(&wrapped(), &session).err().unwrap();
        for error in [wrap, unwrap] {
            let text = "ssh keys as age recipients are not available in this build, so key ssh-ed25519 AAAA cannot be used";
            assert_eq!(error.to_string(), text);
        }
    }

    #[test]
    fn the_key_variable_holds_several_lines_and_words() {
        let both = format!("# mine\n\n{} \t{}\r\n", secret_of(OTHER_KEY), secret_of(TEST_KEY));
        let session = session([(KEY, &both)]);
        assert!(opens(&session));
        assert_eq!(outcome(&session, KEY), SourceOutcome::Loaded(2));
        assert_eq!(outcome(&session, KEY_FILE), SourceOutcome::Absent);
    }

    #[test]
    fn one_bad_line_rejects_its_source_and_is_not_repeated() {
        let secret = secret_of(TEST_KEY);
        for (line, reason) in [
            ("nonsense", "line 2 is not an age identity"),
            (&format!(" {secret}")[..], "line 2 is not an age identity"),
            (&secret.replace("CDQF", "CDQG"), "line 2: invalid Bech32 encoding"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("keys");
            fs::write(&file, format!("{secret}\n{line}\n")).unwrap();
            let session = session([(KEY_FILE, file.to_str().unwrap())]);
            assert!(!opens(&session));
            assert_eq!(outcome(&session, KEY_FILE), rejected(reason));
        }
    }

    #[test]
    fn a_bad_source_does_not_spoil_a_good_one() {
        let session = session([(KEY, secret_of(TEST_KEY)), (KEY_FILE, "/nowhere/keys")]);
        assert!(opens(&session));
        let SourceOutcome::Rejected { reason } = outcome(&session, KEY_FILE) else {
            panic!("there is no such file")
        };
        assert!(reason.starts_with("cannot read \"/nowhere/keys\": "), "{reason}");
    }

    #[test]
    fn an_empty_variable_counts_as_present() {
        let session = session([(KEY, ""), (KEY_FILE, "")]);
        assert!(!opens(&session));
        assert_eq!(outcome(&session, KEY), SourceOutcome::Loaded(0));
        assert!(matches!(outcome(&session, KEY_FILE), SourceOutcome::Rejected { .. }));
    }

    #[test]
    fn identities_of_kinds_to_come_leave_the_others_usable() {
        let mixed = format!("AGE-PLUGIN-YUBIKEY-1XYZ {}", secret_of(TEST_KEY));
        assert!(opens(&session([(KEY, &mixed)])));
        let alone = session([(KEY, "AGE-SECRET-KEY-PQ-1XYZ")]);
        assert!(!opens(&alone));
        assert_eq!(outcome(&alone, KEY), rejected("post-quantum identities are not available in this build"));
        let sealed = session([(KEY, "age-encryption.org/v1\n")]);
        assert!(!opens(&sealed));
        let reason = "identity files with a passphrase are not available in this build";
        assert_eq!(outcome(&sealed, KEY), rejected(reason));
    }

    #[test]
    fn ssh_keys_are_mentioned_only_when_they_are_asked_for() {
        let asked = session([(SSH_KEYS[0], "/id")]);
        assert!(!opens(&asked));
        assert_eq!(outcome(&asked, SSH_KEYS[0]), rejected("ssh keys are not available in this build"));
        let not_asked = session([]);
        assert!(!opens(&not_asked));
        assert!(not_asked.sources().iter().all(|report| !report.place.contains("SSH")));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_users_settings_hold_a_file_of_keys() {
        let home = tempfile::tempdir().unwrap();
        for (variable, folder) in [("HOME", ".config/sops/age"), ("XDG_CONFIG_HOME", "sops/age")] {
            let folder = home.path().join(folder);
            let session = || session([(variable, home.path().to_str().unwrap())]);
            let file = folder.join("keys.txt");
            let absent = session();
            assert!(!opens(&absent));
            assert_eq!(outcome(&absent, file.to_str().unwrap()), SourceOutcome::Absent);
            fs::create_dir_all(&folder).unwrap();
            fs::write(&file, TEST_KEY).unwrap();
            assert!(opens(&session()));
        }
    }

    #[test]
    fn sources_are_read_once_a_session() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keys");
        fs::write(&file, TEST_KEY).unwrap();
        let session = session([(KEY_FILE, file.to_str().unwrap())]);
        assert!(session.sources().is_empty(), "nothing is read before it is needed");
        assert!(opens(&session));
        fs::remove_file(&file).unwrap();
        assert!(opens(&session));
    }

    #[cfg(unix)]
    #[test]
    fn a_command_gives_keys_and_learns_the_recipient() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let script = format!(
            "sh -c 'echo \"$SOPS_AGE_RECIPIENT $OWN\" >> \"$LOG\"; test -t 0 && exit 9; echo {}'",
            secret_of(TEST_KEY)
        );
        let path = std::env::var("PATH").unwrap();
        let variables = [(KEY_CMD, &*script), ("LOG", log.to_str().unwrap()), ("OWN", "x"), ("PATH", &path)];
        let session = session(variables);
        assert!(opens(&session) && opens(&session));
        assert_eq!(fs::read_to_string(&log).unwrap(), format!("{TEST_RECIPIENT} x\n"));
        assert_eq!(outcome(&session, KEY_CMD), SourceOutcome::Loaded(1));
    }

    #[cfg(unix)]
    #[test]
    fn a_command_is_not_a_shell_line_and_may_fail() {
        let path = std::env::var("PATH").unwrap();
        let reason = |command: &str| {
            let session = session([(KEY_CMD, command), ("PATH", &path)]);
            assert!(!opens(&session));
            match outcome(&session, KEY_CMD) {
                SourceOutcome::Rejected { reason } => reason,
                other => panic!("{command}: {other:?}"),
            }
        };
        assert_eq!(reason("echo $HOME; true"), "line 1 is not an age identity");
        assert_eq!(reason("false"), "\"false\" failed: exit status: 1");
        assert_eq!(reason("echo 'x"), "a quote is not closed");
        assert_eq!(reason(""), "it is empty");
        assert!(reason("/nowhere/program x").starts_with("cannot run \"/nowhere/program\": "));
    }

    #[cfg(unix)]
    #[test]
    fn a_command_is_not_run_when_a_key_lies_ready() {
        let session = session([(KEY, secret_of(TEST_KEY)), (KEY_CMD, "/nowhere/program")]);
        assert!(opens(&session));
        assert!(session.sources().iter().all(|report| report.place != KEY_CMD));
    }
}
