//! ssh keys as age recipients and identities, and the folder in which ssh keeps them.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use age_core::format::{FileKey, Stanza};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD as PADDED, STANDARD_NO_PAD as BASE64};

use ::age::ssh::{Identity, ParseRecipientKeyError, Recipient, UnsupportedKey};
use ::age::{DecryptError, Identity as _};

use super::identity::{Trouble, secret_string};
use crate::prompts::PassphraseRequest;
use crate::provider::Session;
use crate::secret::SecretText;

/// Reads a recipient; its comment does not matter.
pub(super) fn parse_recipient(text: &str) -> Result<Recipient, String> {
    text.parse().map_err(|error| match error {
        ParseRecipientKeyError::Unsupported(kind) => not_for_age(&kind),
        ParseRecipientKeyError::RsaModulusTooSmall => "an RSA key for age has 2048 bits or more".to_owned(),
        ParseRecipientKeyError::RsaModulusTooLarge => "the RSA key is larger than age takes".to_owned(),
        ParseRecipientKeyError::Invalid(_) | ParseRecipientKeyError::Ignore => {
            "it is not a public ssh key".to_owned()
        }
    })
}

fn not_for_age(kind: &str) -> String {
    format!("age takes ssh-ed25519 and ssh-rsa keys, not {kind}; make one with `ssh-keygen -t ed25519`")
}

/// The public half of an ssh key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Public {
    kind: String,
    bytes: Vec<u8>,
}

impl Public {
    /// Reads a line as ssh writes it to `.pub` files.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let (kind, bytes) = (words.next()?, words.next()?);
        let bytes = PADDED.decode(bytes).ok()?;
        Some(Self { kind: kind.to_owned(), bytes })
    }

    /// Whether a stanza says that it is for this key.
    fn fits(&self, stanza: &Stanza) -> bool {
        use sha2::{Digest as _, Sha256};
        let tag = || BASE64.encode(&Sha256::digest(&self.bytes)[..4]);
        stanza.tag == self.kind && stanza.args.first().is_some_and(|arg| *arg == tag())
    }
}

/// A private key. It holds a secret, so nothing prints it.
pub(super) struct Key {
    /// As questions and errors name it.
    place: String,
    public: Public,
    /// Where it is to be read from when it is needed.
    path: Option<PathBuf>,
    held: OnceLock<Result<Identity, String>>,
    opened: OnceLock<Result<Identity, String>>,
}

impl Key {
    /// Reads a private key; `place` is what messages call it.
    pub(super) fn parse(text: &SecretText, place: &str) -> Result<Self, String> {
        let held = parse_private(text, place)?;
        let public = public_of(&held)?;
        let key = Self::unread(place, public, None);
        Ok(Self { held: OnceLock::from(Ok(held)), ..key })
    }

    fn unread(place: &str, public: Public, path: Option<PathBuf>) -> Self {
        Self { place: place.to_owned(), public, path, held: OnceLock::new(), opened: OnceLock::new() }
    }

    pub(super) fn public(&self) -> &Public {
        &self.public
    }

    /// The key as its file has it, read when this is first called.
    fn held(&self) -> Result<&Identity, String> {
        let read = || {
            let path = self.path.as_deref().expect("a key without a path was read");
            let text = read_key(path).map_err(|error| format!("it cannot be read: {error}"))?;
            let held = parse_private(&text, &self.place)?;
            match public_of(&held)? == self.public {
                true => Ok(held),
                false => Err(format!("it is not the private half of {}.pub", self.place)),
            }
        };
        self.held.get_or_init(read).as_ref().map_err(Clone::clone)
    }

    /// Whether using it takes a passphrase that was not given yet.
    pub(super) fn asks(&self) -> bool {
        self.opened.get().is_none() && matches!(self.held(), Ok(Identity::Encrypted(_)))
    }

    /// Whether one of `stanzas` says that it is for this key.
    pub(super) fn fits(&self, stanzas: &[Stanza]) -> bool {
        stanzas.iter().any(|stanza| self.public.fits(stanza))
    }

    /// Unwraps; the passphrase is asked for only when a stanza is for this key.
    pub(super) fn unwrap(&self, stanzas: &[Stanza], session: &Session) -> Option<Result<FileKey, Trouble>> {
        if !self.fits(stanzas) {
            return None;
        }
        let held = match self.held() {
            Ok(held) => held,
            Err(reason) => return Some(Err(Trouble::Failed(reason))),
        };
        let usable = match held {
            Identity::Encrypted(_) => match self.opened.get_or_init(|| open(held, &self.place, session)) {
                Ok(opened) => opened,
                Err(reason) => return Some(Err(Trouble::Failed(reason.clone()))),
            },
            held => held,
        };
        usable.unwrap_stanzas(stanzas).map(|result| result.map_err(Trouble::of))
    }
}

fn open(held: &Identity, place: &str, session: &Session) -> Result<Identity, String> {
    let Identity::Encrypted(key) = held else { return Ok(held.clone()) };
    // SOPS 3.13: the agent is not asked for the passphrases of ssh keys.
    let question = format!("Enter passphrase for {place:?}:");
    let request = PassphraseRequest { question: &question, cache_id: None };
    let passphrase = session.ask_passphrase(&request).map_err(|error| needs_passphrase(&error))?;
    match key.decrypt(secret_string(&passphrase)?) {
        Ok(opened) => Ok(opened.into()),
        Err(DecryptError::KeyDecryptionFailed) => Err("the passphrase is wrong".to_owned()),
        Err(error) => Err(super::one_line(&error)),
    }
}

/// What to say when there is no passphrase.
pub(super) fn needs_passphrase(error: &crate::prompts::PromptError) -> String {
    format!("it is protected by a passphrase, and {error}")
}

fn parse_private(text: &SecretText, place: &str) -> Result<Identity, String> {
    // What a command printed has no path.
    let file = if place.starts_with("SOPS_") { "FILE" } else { place };
    let rewrite = format!("`ssh-keygen -p -f {file}` writes it anew in the format of OpenSSH");
    let starts = |start: &str| text.expose().starts_with(start.as_bytes());
    if starts("-----BEGIN PRIVATE KEY") || starts("-----BEGIN ENCRYPTED PRIVATE KEY") {
        return Err(format!("it is in PKCS#8, which is not read here; {rewrite}"));
    }
    if starts("-----BEGIN EC PRIVATE KEY") || starts("-----BEGIN DSA PRIVATE KEY") {
        return Err(not_for_age("an EC or DSA key"));
    }
    if !starts("-----BEGIN OPENSSH PRIVATE KEY") && !starts("-----BEGIN RSA PRIVATE KEY") {
        return Err("it is not a private ssh key".to_owned());
    }
    let identity = Identity::from_buffer(text.expose(), None)
        .map_err(|_| "it is a damaged private ssh key".to_owned())?;
    let Identity::Unsupported(kind) = &identity else { return Ok(identity) };
    Err(match kind {
        UnsupportedKey::EncryptedPem => format!("it is encrypted in an old, weak way; {rewrite}"),
        UnsupportedKey::EncryptedSsh(cipher) => {
            format!(
                "it is encrypted with {cipher}, which is not read here; `ssh-keygen -p -Z aes256-ctr -f {file}` changes that"
            )
        }
        UnsupportedKey::Hardware(kind) => {
            format!(
                "{kind} lives on a security key, which ssh can use and age cannot; age has plugins for such keys"
            )
        }
        UnsupportedKey::Type(kind) => not_for_age(kind),
    })
}

fn public_of(identity: &Identity) -> Result<Public, String> {
    let recipient = Recipient::try_from(identity.clone()).map_err(|error| match error {
        ParseRecipientKeyError::Unsupported(kind) => not_for_age(&kind),
        ParseRecipientKeyError::RsaModulusTooLarge => "the RSA key is larger than age takes".to_owned(),
        _ => "its public half cannot be told".to_owned(),
    })?;
    Public::parse(&recipient.to_string()).ok_or_else(|| "its public half cannot be told".to_owned())
}

/// Reads a private key from a file, which must not be much larger than one.
pub(super) fn read_key(path: &Path) -> std::io::Result<SecretText> {
    SecretText::read_from(&mut File::open(path)?.take(MAX_KEY_LEN), 4096)
}

/// Keys of 16384 bits are below 16 KiB.
const MAX_KEY_LEN: u64 = 64 << 10;

/// The names that sops looks for; others are looked at here too when their public half fits.
const DEFAULT_NAMES: [&str; 2] = ["id_ed25519", "id_rsa"];

/// What a folder like `~/.ssh` holds.
pub(super) struct Folder {
    /// The private keys, the default names first.
    pub(super) keys: Vec<Key>,
    /// The paths of keys with default names that cannot be used, and why.
    pub(super) rejected: Vec<(String, String)>,
}

/// Looks through a folder like `~/.ssh`.
///
/// With a public half beside it, a key is not read before that fits a file.
pub(super) fn keys_in(folder: &Path) -> std::io::Result<Folder> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        names.extend(entry?.file_name().into_string());
    }
    names.sort_by_key(|name| (!DEFAULT_NAMES.contains(&name.as_str()), name.clone()));
    let (mut keys, mut rejected) = (Vec::new(), Vec::new());
    for name in names.iter().filter(|name| !name.ends_with(".pub")) {
        let path = folder.join(name);
        let place = path.display().to_string();
        let is_default = DEFAULT_NAMES.contains(&name.as_str());
        let public = read_public(&path);
        // SOPS 3.13: what stands in a key of a default name counts, whatever lies beside it.
        if let (Some(public), false) = (&public, is_default) {
            keys.push(Key::unread(&place, public.clone(), Some(path)));
            continue;
        }
        if !is_default && !looks_private(&path) {
            continue;
        }
        let parsed = read_key(&path)
            .map_err(|error| format!("it cannot be read: {error}"))
            .and_then(|text| Key::parse(&text, &place));
        match (parsed, public) {
            (Ok(key), _) => keys.push(key),
            (Err(reason), _) if is_default => rejected.push((place, reason)),
            // Other people's kinds of keys are none of a file's business.
            (Err(_), _) => {}
        }
    }
    Ok(Folder { keys, rejected })
}

/// The public half beside a private key.
fn read_public(path: &Path) -> Option<Public> {
    let mut name = path.as_os_str().to_owned();
    name.push(".pub");
    let mut text = String::new();
    File::open(name).ok()?.take(MAX_KEY_LEN).read_to_string(&mut text).ok()?;
    Public::parse(&text)
}

fn looks_private(path: &Path) -> bool {
    let is_small_file = path.metadata().is_ok_and(|data| data.is_file() && data.len() <= MAX_KEY_LEN);
    let mut start = [0; 11];
    let read = || File::open(path).and_then(|mut file| file.read_exact(&mut start));
    is_small_file && { read }().is_ok() && &start == b"-----BEGIN "
}
