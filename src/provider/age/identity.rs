//! What opens an age file, of every kind, and the texts and files that hold it.

use std::io::Read as _;
use std::sync::OnceLock;

use age_core::format::{FileKey, Stanza};

use ::age::armor::ArmoredReader;
use ::age::secrecy::SecretString;
use ::age::{DecryptError, Decryptor, Identity as _, scrypt, x25519};

use super::{Recipient, RecipientKind, hybrid, plugin, ssh};
use crate::prompts::PassphraseRequest;
use crate::provider::{Session, SourceOutcome};
use crate::secret::SecretText;

/// An identity. It holds a secret, so nothing prints it.
pub(super) struct Identity {
    kind: Kind,
    /// The recipient it is that of, when there is a text for it.
    public: OnceLock<Option<String>>,
}

enum Kind {
    X25519(x25519::Identity),
    Hybrid(Box<hybrid::Identity>),
    Ssh(Box<ssh::Key>),
    Plugin(::age::plugin::Identity),
    Sealed(SealedFile),
}

/// Why an identity did not unwrap although it should.
pub(super) enum Trouble {
    /// The file is not as age makes it.
    Damaged(String),
    /// Something about the identity; the file may be fine.
    Failed(String),
}

impl Trouble {
    /// What the age crate says of a file.
    pub(super) fn of(error: DecryptError) -> Self {
        Self::Damaged(super::one_line(&error))
    }
}

/// When an identity is tried, the first first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Turn {
    /// It lies ready, and its public half is the recipient.
    Match,
    /// It lies ready.
    Ready,
    /// It asks, and belongs to the recipient.
    AskingMatch,
    /// A passphrase opens it, and then it may hold anything.
    Sealed,
    /// It asks, and is said to be for other recipients.
    AskingOther,
}

impl From<Kind> for Identity {
    fn from(kind: Kind) -> Self {
        Self { kind, public: OnceLock::new() }
    }
}

impl From<ssh::Key> for Identity {
    fn from(key: ssh::Key) -> Self {
        Kind::Ssh(Box::new(key)).into()
    }
}

impl Identity {
    /// Whether it lies ready and its public half is `recipient`.
    pub(super) fn holds(&self, recipient: &Recipient) -> bool {
        match &self.kind {
            Kind::Ssh(key) => {
                ssh::Public::parse(&recipient.text).as_ref() == Some(key.public()) && !key.asks()
            }
            Kind::Sealed(file) => file.opened().is_some_and(|all| all.iter().any(|one| one.holds(recipient))),
            Kind::X25519(_) | Kind::Hybrid(_) | Kind::Plugin(_) => {
                self.public().is_some_and(|public| public == recipient.text)
            }
        }
    }

    fn public(&self) -> Option<&str> {
        let public = || match &self.kind {
            Kind::X25519(identity) => Some(identity.to_public().to_string()),
            Kind::Hybrid(identity) => Some(identity.to_public()),
            Kind::Ssh(_) | Kind::Plugin(_) | Kind::Sealed(_) => None,
        };
        self.public.get_or_init(public).as_deref()
    }

    /// When it is to be tried for `recipient`.
    pub(super) fn turn(&self, recipient: &Recipient, stanzas: &[Stanza]) -> Turn {
        match &self.kind {
            Kind::X25519(_) | Kind::Hybrid(_) if self.holds(recipient) => Turn::Match,
            Kind::X25519(_) | Kind::Hybrid(_) => Turn::Ready,
            Kind::Ssh(key) => match (key.fits(stanzas), key.fits(stanzas) && key.asks()) {
                (true, true) => Turn::AskingMatch,
                (true, false) => Turn::Match,
                (false, _) => Turn::Ready,
            },
            Kind::Sealed(file) if file.opened().is_some() => Turn::Ready,
            Kind::Sealed(_) => Turn::Sealed,
            Kind::Plugin(identity) => match recipient.plugin() == Some(identity.plugin()) {
                true => Turn::AskingMatch,
                false => Turn::AskingOther,
            },
        }
    }

    /// Unwraps; `None` when no stanza is for this identity.
    pub(super) fn unwrap(&self, stanzas: &[Stanza], session: &Session) -> Option<Result<FileKey, Trouble>> {
        match &self.kind {
            Kind::X25519(identity) => {
                identity.unwrap_stanzas(stanzas).map(|result| result.map_err(Trouble::of))
            }
            Kind::Hybrid(identity) => {
                identity.unwrap_stanzas(stanzas).map(|result| result.map_err(Trouble::of))
            }
            Kind::Ssh(key) => key.unwrap(stanzas, session),
            Kind::Plugin(identity) => plugin::unwrap(identity, stanzas, session),
            Kind::Sealed(file) => match file.open(session) {
                Ok(identities) => identities.iter().find_map(|identity| identity.unwrap(stanzas, session)),
                Err(reason) => Some(Err(Trouble::Failed(reason))),
            },
        }
    }

    /// How it counts in a report about its source.
    pub(super) fn outcome(&self) -> SourceOutcome {
        match &self.kind {
            Kind::Sealed(file) => match file.opened.get() {
                None => SourceOutcome::Locked,
                Some(Ok(identities)) => SourceOutcome::Loaded(identities.len()),
                Some(Err(reason)) => SourceOutcome::Rejected { reason: reason.clone() },
            },
            _ => SourceOutcome::Loaded(1),
        }
    }
}

/// A file of identities that a passphrase opens, asked for once, when nothing else helps.
struct SealedFile {
    place: String,
    /// The age file without its armor.
    contents: Vec<u8>,
    opened: OnceLock<Result<Vec<Identity>, String>>,
}

impl SealedFile {
    fn parse(text: &SecretText, place: &str) -> Result<Self, String> {
        let contents = match text.expose().starts_with(ARMOR) {
            false => text.expose().to_vec(),
            true => {
                let mut contents = Vec::new();
                let armor = ArmoredReader::new(text.expose());
                armor
                    .take(super::sources::MAX_KEY_FILE_LEN)
                    .read_to_end(&mut contents)
                    .map_err(|error| format!("its armor is damaged: {}", super::one_line(&error)))?;
                contents
            }
        };
        Ok(Self { place: place.to_owned(), contents, opened: OnceLock::new() })
    }

    /// What was in it, if it was opened before.
    fn opened(&self) -> Option<&[Identity]> {
        self.opened.get().and_then(|opened| opened.as_deref().ok())
    }

    /// What is in it. A second thread waits for the answer to the first one's question, and a wrong one stays so.
    fn open(&self, session: &Session) -> Result<&[Identity], String> {
        self.opened.get_or_init(|| self.ask_and_open(session)).as_deref().map_err(Clone::clone)
    }

    fn ask_and_open(&self, session: &Session) -> Result<Vec<Identity>, String> {
        let damaged = |error: DecryptError| format!("it is damaged: {}", super::one_line(&error));
        let decryptor = Decryptor::new_buffered(&self.contents[..]).map_err(damaged)?;
        if !decryptor.is_scrypt() {
            return Err("it is encrypted, but not with a passphrase".to_owned());
        }
        let cache_id = self.cache_id();
        let question = format!("Enter passphrase for identity '{}':", self.place);
        let request = PassphraseRequest { question: &question, cache_id: Some(&cache_id) };
        let passphrase = session.ask_passphrase(&request).map_err(|error| ssh::needs_passphrase(&error))?;
        if passphrase.is_empty() {
            session.forget_passphrase(&request);
            return Err("the passphrase is empty".to_owned());
        }
        let mut identity = scrypt::Identity::new(secret_string(&passphrase)?);
        identity.set_max_work_factor(MAX_WORK_FACTOR);
        let opened = decryptor.decrypt(std::iter::once(&identity as &dyn ::age::Identity));
        let mut reader = opened.map_err(|error| match error {
            DecryptError::DecryptionFailed | DecryptError::NoMatchingKeys => {
                session.forget_passphrase(&request);
                "the passphrase is wrong".to_owned()
            }
            DecryptError::ExcessiveWork { required, .. } => {
                format!("its work factor {required} is above {MAX_WORK_FACTOR}, which would take too long")
            }
            error => damaged(error),
        })?;
        let text = SecretText::read_from(&mut reader, self.contents.len())
            .map_err(|error| format!("it is damaged: {}", super::one_line(&error)))?;
        let identities = parse(&text, PerLine::One, &self.place)?;
        match identities.iter().any(|identity| matches!(identity.kind, Kind::Sealed(_))) {
            true => Err("it holds another file with a passphrase".to_owned()),
            false => Ok(identities),
        }
    }

    /// The name under which sops lets gpg-agent keep the passphrase: both ask once.
    fn cache_id(&self) -> String {
        use sha2::{Digest as _, Sha256};
        let hash = Sha256::digest(&self.contents);
        // 25 bytes are 40 digits, without padding.
        let digits = hash[..25].chunks_exact(5).flat_map(|five| {
            let bits = five.iter().fold(0u64, |bits, &byte| bits << 8 | u64::from(byte));
            (0..8).rev().map(move |at| BASE32[(bits >> (5 * at)) as usize & 31] as char)
        });
        format!("SopsAge{}", digits.collect::<String>())
    }
}

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const ARMOR: &[u8] = b"-----BEGIN AGE";
/// What age itself takes; it is about a minute of work.
const MAX_WORK_FACTOR: u8 = 22;

/// A passphrase as the age crate takes it.
pub(super) fn secret_string(passphrase: &SecretText) -> Result<SecretString, String> {
    let text = std::str::from_utf8(passphrase.expose()).map_err(|_| "the passphrase is not UTF-8")?;
    // Of exactly its size, so that nothing is left behind when it moves.
    Ok(SecretString::from(text.to_owned()))
}

/// How many identities a line may hold.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum PerLine {
    One,
    Several,
}

pub(super) const NOT_TEXT: &str = "it is not UTF-8";

/// Reads identities; one bad line rejects the whole text, as in sops, and the reason never repeats a line.
pub(super) fn parse(text: &SecretText, per_line: PerLine, place: &str) -> Result<Vec<Identity>, String> {
    if text.expose().starts_with(b"age-encryption") || text.expose().starts_with(ARMOR) {
        return Ok(vec![Kind::Sealed(SealedFile::parse(text, place)?).into()]);
    }
    let text = std::str::from_utf8(text.expose()).map_err(|_| NOT_TEXT)?;
    let mut identities = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let words: Vec<&str> = match per_line {
            PerLine::One => vec![line],
            PerLine::Several => line.split_whitespace().collect(),
        };
        for word in words {
            let kind = parse_one(word).map_err(|reason| match reason {
                None => format!("line {number} is not an age identity"),
                Some(reason) => format!("line {number}: {reason}"),
            })?;
            identities.push(kind.into());
        }
    }
    Ok(identities)
}

fn parse_one(word: &str) -> Result<Kind, Option<&'static str>> {
    if word.starts_with("AGE-PLUGIN-") {
        Ok(Kind::Plugin(word.parse().map_err(Some)?))
    } else if word.starts_with("AGE-SECRET-KEY-PQ-1") {
        Ok(Kind::Hybrid(Box::new(hybrid::Identity::parse(word).map_err(Some)?)))
    } else if word.starts_with("AGE-SECRET-KEY-1") {
        Ok(Kind::X25519(word.parse().map_err(Some)?))
    } else {
        Err(None)
    }
}

impl Recipient {
    /// The name of the plugin that this recipient is for.
    pub(super) fn plugin(&self) -> Option<&str> {
        match self.kind() {
            RecipientKind::Plugin => self.text.strip_prefix("age1")?.rsplit_once('1').map(|(name, _)| name),
            // Hardware keys with such recipients have plugins of other names.
            _ => None,
        }
    }
}
