//! age: recipients of every kind, and what opens files for them.
//!
//! [`Recipient`] wraps and unwraps. What unwraps comes from `sources`, is one of the kinds in `identity`, and is
//! tried in an order that asks as little as possible: see `Search`.

mod bech32;
mod hybrid;
mod identity;
mod plugin;
mod sources;
mod ssh;

use std::cell::RefCell;
use std::fmt;
use std::io::{Read, Write};
use std::iter;

use age_core::format::{FileKey, Stanza};

use ::age::armor::{ArmoredReader, ArmoredWriter, Format};
use ::age::{DecryptError, Decryptor, Encryptor, x25519};

use self::identity::{Identity, Trouble};
pub(super) use self::sources::Identities;
use self::sources::Source;
use super::{KeyTextError, ProviderError, ProviderId, Session, WrapKey, WrappedKey, malformed};
use crate::secret::{KeyPart, scratch};

/// A recipient of age, by its public text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Recipient {
    text: String,
}

/// What kind of recipient a text names, told from its beginning as sops does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecipientKind {
    /// `age1…`.
    X25519,
    /// `age1pq1…`: ML-KEM-768 with X25519, as age 1.3 makes it.
    PostQuantum,
    /// `age1tag1…` or `age1tagpq1…`: a key in hardware, which takes a plugin of its own to decrypt.
    Tag,
    /// `age1name1…`: whatever `age-plugin-name` makes of it.
    Plugin,
    /// `ssh-ed25519 …` or `ssh-rsa …`.
    Ssh,
    /// Anything else; a file may hold it, a flag may not.
    Unknown,
}

impl Recipient {
    /// Reads a recipient; blanks around it are dropped.
    ///
    /// The key in it must be one; that of a plugin is looked at by the plugin, when it is used.
    pub fn parse(text: &str) -> Result<Self, KeyTextError> {
        let recipient = Self::of_file(text.trim());
        if looks_like_a_secret(text) {
            return Err(KeyTextError::Secret { provider: "age" });
        }
        recipient.check().map_err(|reason| malformed(ProviderId::Age, text, reason))?;
        Ok(recipient)
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
        } else if text.starts_with("age1tag1") || text.starts_with("age1tagpq1") {
            RecipientKind::Tag
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

    fn check(&self) -> Result<(), String> {
        match self.kind() {
            RecipientKind::Plugin => plugin::check_recipient(&self.text).map_err(str::to_owned),
            _ => self.key().map(drop),
        }
    }

    /// What wraps for this recipient, unless that is a plugin.
    fn key(&self) -> Result<Box<dyn ::age::Recipient>, String> {
        let text = self.text.as_str();
        Ok(match self.kind() {
            RecipientKind::X25519 => Box::new(text.parse::<x25519::Recipient>()?),
            RecipientKind::PostQuantum => Box::new(hybrid::Recipient::parse(text)?),
            RecipientKind::Tag => Box::new(hybrid::TagRecipient::parse(text)?),
            RecipientKind::Ssh => Box::new(ssh::parse_recipient(text)?),
            RecipientKind::Plugin | RecipientKind::Unknown => {
                return Err("it starts like no recipient".to_owned());
            }
        })
    }

    fn is_ssh(&self) -> bool {
        self.kind() == RecipientKind::Ssh
    }

    /// Whether its identity lies ready in `session`; nobody is asked, and no command is run.
    pub(crate) fn is_held_in(&self, session: &Session) -> bool {
        session.age.holds(session.env(), self)
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

impl WrapKey for Recipient {
    fn wrap(&self, part: &KeyPart, session: &Session) -> Result<WrappedKey, ProviderError> {
        let failed =
            |reason: String| ProviderError::WrapFailed { provider: "age", key: self.text.clone(), reason };
        let armored = match self.kind() {
            RecipientKind::Plugin => {
                let plugin = plugin::wrapper(&self.text, session).map_err(failed)?;
                seal_armored(plugin.recipient(), part.expose())
                    .map_err(|error| failed(plugin.reason(one_line(&error))))?
            }
            _ => {
                let key = self.key().map_err(|reason| malformed(ProviderId::Age, &self.text, reason))?;
                seal_armored(&*key, part.expose()).map_err(|error| failed(one_line(&error)))?
            }
        };
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
        let search = Search { recipient: self, session, troubles: RefCell::default() };
        match open_armored(&text, &search) {
            Ok(part) => Ok(Some(part)),
            Err(DecryptError::NoMatchingKeys) => search.trouble().map_or(Ok(None), Err),
            Err(error) => Err(damaged(one_line(&error))),
        }
    }
}

/// The search for whatever opens one file: a single identity to the age crate.
///
/// First what lies ready, and of that what belongs to the recipient; then what asks somebody; then the commands of
/// the environment, which may ask for a finger on a token. One that fails does not stop the search.
struct Search<'s> {
    recipient: &'s Recipient,
    session: &'s Session,
    troubles: RefCell<Vec<(String, Trouble)>>,
}

impl ::age::Identity for Search<'_> {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        self.unwrap_stanzas(std::slice::from_ref(stanza))
    }

    fn unwrap_stanzas(&self, stanzas: &[Stanza]) -> Option<Result<FileKey, DecryptError>> {
        let (env, age) = (self.session.env(), &self.session.age);
        let is_for_ssh = stanzas.iter().any(|stanza| stanza.tag.starts_with("ssh-"));
        let mut sources: Vec<&Source> = age.standing(env).iter().collect();
        if is_for_ssh {
            sources.extend(age.ssh(env));
        }
        let commands = [is_for_ssh.then_some(sources::SSH_CMD), Some(sources::KEY_CMD)];
        let commanded = commands.into_iter().flatten().filter_map(|name| {
            let source = age.commanded(env, name, &self.recipient.text)?;
            self.unwrap_with(&[&source], stanzas)
        });
        self.unwrap_with(&sources, stanzas).or_else(|| { commanded }.next()).map(Ok)
    }
}

impl Search<'_> {
    fn unwrap_with(&self, sources: &[&Source], stanzas: &[Stanza]) -> Option<FileKey> {
        let mut identities: Vec<(&str, &Identity)> = Vec::new();
        for source in sources {
            identities.extend(source.identities().iter().map(|identity| (source.place(), identity)));
        }
        identities.sort_by_cached_key(|(_, identity)| identity.turn(self.recipient, stanzas));
        identities.into_iter().find_map(|(place, identity)| match identity.unwrap(stanzas, self.session)? {
            Ok(file_key) => Some(file_key),
            Err(trouble) => {
                self.troubles.borrow_mut().push((place.to_owned(), trouble));
                None
            }
        })
    }

    /// Why nothing opened the file, if that is more than that there is no identity.
    fn trouble(self) -> Option<ProviderError> {
        let key = self.recipient.text.clone();
        let mut failed = Vec::new();
        for (place, trouble) in self.troubles.into_inner() {
            match trouble {
                Trouble::Damaged(reason) => return Some(ProviderError::Damaged { key, reason }),
                Trouble::Failed(reason) => failed.push(format!("{place}: {reason}")),
            }
        }
        let reason = failed.join("; ");
        (!reason.is_empty()).then_some(ProviderError::UnwrapFailed { provider: "age", key, reason })
    }
}

/// A message of the age crate or of a plugin, on one line.
fn one_line(error: &dyn fmt::Display) -> String {
    printable(&error.to_string())
}

/// A text from outside without what would move a terminal's cursor.
fn printable(text: &str) -> String {
    let lines = text.split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty());
    let line = lines.collect::<Vec<_>>().join(" ");
    line.chars().filter(|c| !c.is_control()).collect()
}

fn seal_armored(recipient: &dyn ::age::Recipient, part: &[u8]) -> std::io::Result<Vec<u8>> {
    let encryptor = Encryptor::with_recipients(iter::once(recipient)).map_err(std::io::Error::other)?;
    let armor = ArmoredWriter::wrap_output(Vec::new(), Format::AsciiArmor)?;
    let mut writer = encryptor.wrap_output(armor)?;
    writer.write_all(part)?;
    writer.finish()?.finish()
}

fn open_armored(armored: &str, identity: &dyn ::age::Identity) -> Result<KeyPart, DecryptError> {
    let decryptor = Decryptor::new_buffered(ArmoredReader::new(armored.as_bytes()))?;
    let mut reader = decryptor.decrypt(iter::once(identity))?;
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

#[cfg(test)]
mod tests {
    use super::sources::{KEY, KEY_CMD, KEY_FILE, SSH_CMD, SSH_FILE};
    use super::*;
    use crate::env::Env;
    use crate::prompts::{PassphraseRequest, PromptError, Prompts};
    use crate::provider::SourceOutcome;
    use crate::secret::SecretText;
    use std::fs;

    const TEST_RECIPIENT: &str = "age1sv0g8xzeuccps92cmuppygcx6j2swfr52gcxttaz6c0nlnv2dgvs2saj67";
    const TEST_KEY: &str = include_str!("../../../testdata/keys/age-test.txt");
    const OTHER_KEY: &str = include_str!("../../../testdata/keys/age-other.txt");

    const PQ_KEY: &str = include_str!("../../../testdata/keys/age-pq.txt");
    const SSH_PUBLIC: &str = include_str!("../../../testdata/keys/ssh/ed25519.pub");
    const PLUGIN_RECIPIENT: &str = "age1orlop-test1wdhk6etzdaj8j8evy9h";
    const TAG_RECIPIENT: &str = "age1tag1qd43050juykyy3lchnnw2caygre8wqmasyk7kvaq7jsnj3wcnrpfvt5hxye";

    fn public_line(file: &str) -> &str {
        file.lines().find_map(|line| line.strip_prefix("# public key: ")).unwrap()
    }

    fn ssh_key(name: &str) -> String {
        format!("{}/testdata/keys/ssh/{name}", env!("CARGO_MANIFEST_DIR"))
    }

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
        let hybrid = public_line(PQ_KEY);
        for (text, kind) in [
            (TEST_RECIPIENT, RecipientKind::X25519),
            (hybrid, RecipientKind::PostQuantum),
            (PLUGIN_RECIPIENT, RecipientKind::Plugin),
            (TAG_RECIPIENT, RecipientKind::Tag),
            (SSH_PUBLIC.trim(), RecipientKind::Ssh),
        ] {
            let recipient = Recipient::parse(&format!(" {text}\n")).unwrap();
            assert_eq!((recipient.kind(), recipient.to_string().as_str()), (kind, text));
        }
        assert_eq!(Recipient::of_file("x").kind(), RecipientKind::Unknown);
        assert_eq!(Recipient::of_file("age1tagpq1x").kind(), RecipientKind::Tag);
        assert_eq!(Recipient::of_file(PLUGIN_RECIPIENT).plugin(), Some("orlop-test"));
    }

    #[test]
    fn broken_recipients_of_every_kind_are_refused_when_they_are_named() {
        let hybrid = public_line(PQ_KEY);
        let ecdsa = include_str!("../../../testdata/keys/ssh/ecdsa.pub");
        for text in [
            "",
            "x",
            "age1",
            &TEST_RECIPIENT[..60],
            &TEST_RECIPIENT.replace("sv0g", "sv0h"),
            "age1pq1xyz",
            &hybrid[..hybrid.len() - 1],
            // Whole, but with a key of another length in it.
            &bech32::encode("age1pq", &[7; 32]),
            &bech32::encode("age1pq", &[0xff; 1216]),
            &bech32::encode("age1tag", &[2; 32]),
            &bech32::encode("age1tag", &[0xff; 33]),
            &bech32::encode("age1tagpq", &[4; 65]),
            "age1yubikey1xyz",
            "ssh-ed25519",
            "ssh-ed25519 AAAA me@host",
            "ssh-dss AAAAB3NzaC1kc3MAAAAA",
            ecdsa.trim(),
        ] {
            assert!(matches!(Recipient::parse(text), Err(KeyTextError::Malformed { .. })), "{text}");
        }
        let security_key = "ssh-sk AAAA";
        assert!(Recipient::parse(security_key).is_err());
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
    fn a_recipient_without_identity_is_not_an_error_whatever_its_kind() {
        let empty = session([]);
        for text in [public_line(PQ_KEY), TAG_RECIPIENT, SSH_PUBLIC.trim(), TEST_RECIPIENT] {
            let recipient = Recipient::parse(text).unwrap();
            let wrapped = recipient.wrap(&KeyPart::from_bytes(vec![7; 32]), &empty).unwrap();
            assert!(recipient.unwrap(&wrapped, &empty).unwrap().is_none(), "{text}");
        }
        let unknown = Recipient::of_file("nobody");
        assert!(matches!(
            unknown.wrap(&KeyPart::from_bytes(vec![7; 32]), &empty),
            Err(ProviderError::Key(KeyTextError::Malformed { .. }))
        ));
        assert!(unknown.unwrap(&wrapped(), &empty).unwrap().is_none());
        let plugin = Recipient::parse(PLUGIN_RECIPIENT).unwrap();
        let error = plugin.wrap(&KeyPart::from_bytes(vec![7; 32]), &empty).unwrap_err();
        assert!(error.to_string().contains("age-plugin-orlop-test is not installed"), "{error}");
    }

    #[test]
    fn a_post_quantum_key_opens_what_was_wrapped_for_it_and_nothing_else() {
        let recipient = Recipient::parse(public_line(PQ_KEY)).unwrap();
        let secret = PQ_KEY.lines().find(|line| line.starts_with("AGE-")).unwrap();
        let session = session([(KEY, secret)]);
        let wrapped_for_it = recipient.wrap(&KeyPart::from_bytes(vec![7; 32]), &session).unwrap();
        assert_eq!(recipient.unwrap(&wrapped_for_it, &session).unwrap().unwrap().expose(), [7; 32]);
        assert!(recipient.is_held_in(&session));
        assert!(!opens(&session));
        let other = self::session([(KEY, secret_of(TEST_KEY))]);
        assert!(recipient.unwrap(&wrapped_for_it, &other).unwrap().is_none());
        assert!(!recipient.is_held_in(&other));
    }

    #[test]
    fn a_changed_stanza_never_panics_and_never_opens() {
        let recipient = Recipient::parse(public_line(PQ_KEY)).unwrap();
        let secret = PQ_KEY.lines().find(|line| line.starts_with("AGE-")).unwrap();
        let session = session([(KEY, secret)]);
        let wrapped = recipient.wrap(&KeyPart::from_bytes(vec![7; 32]), &session).unwrap();
        let mut file = Vec::new();
        ArmoredReader::new(wrapped.as_str().as_bytes()).read_to_end(&mut file).unwrap();
        let header = file.windows(4).position(|four| four == b"\n---").unwrap();
        let identity = hybrid::Identity::parse(secret).unwrap();
        // A small linear generator: the same changes every time.
        let mut state = 1u32;
        let mut random = |below: usize| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as usize % below
        };
        for round in 0..400 {
            let mut changed = file.clone();
            let at = random(header);
            match round % 4 {
                0 => changed[at] ^= 1 << random(8),
                1 => drop(changed.drain(at..(at + 1 + random(40)).min(header))),
                2 => changed.insert(at, b" \nA=-"[random(5)]),
                _ => changed.truncate(at),
            }
            // The age crate's own parts are under its own tests: what reaches ours must not panic.
            if let Ok(decryptor) = Decryptor::new_buffered(&changed[..]) {
                assert!(decryptor.decrypt(iter::once(&identity as &dyn ::age::Identity)).is_err());
            }
        }
        // And stanzas that no parser would let through.
        for args in [vec![], vec![String::new()], vec!["AAAA".to_owned(); 2], vec!["=".to_owned()]] {
            for len in [0, 31, 32, 33] {
                let stanza =
                    Stanza { tag: "mlkem768x25519".to_owned(), args: args.clone(), body: vec![0; len] };
                let result = ::age::Identity::unwrap_stanza(&identity, &stanza);
                assert!(matches!(result, Some(Err(DecryptError::InvalidHeader))));
            }
        }
    }

    #[test]
    fn ssh_keys_open_what_was_wrapped_for_them() {
        for name in ["ed25519", "rsa", "rsa-pem"] {
            let path = ssh_key(name);
            let public = fs::read_to_string(format!("{path}.pub")).unwrap();
            let recipient = Recipient::parse(&public).unwrap();
            let session = session([(SSH_FILE, &*path)]);
            let wrapped = recipient.wrap(&KeyPart::from_bytes(vec![7; 32]), &session).unwrap();
            assert!(recipient.is_held_in(&session));
            let opened = |session: &Session| {
                let part = recipient.unwrap(&wrapped, session).unwrap();
                part.is_some_and(|part| part.expose() == [7; 32])
            };
            assert!(opened(&session), "{name}");
            assert_eq!(outcome(&session, SSH_FILE), SourceOutcome::Loaded(1));
            let other = self::session([(SSH_FILE, &*ssh_key("ed25519-passphrase"))]);
            assert!(!opened(&other), "a key for another recipient asks nobody");
        }
    }

    #[test]
    fn every_key_in_the_ssh_folder_whose_public_half_matches_is_found() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join(".ssh");
        fs::create_dir(&folder).unwrap();
        let put = |from: &str, to: &str| assert!(fs::copy(ssh_key(from), folder.join(to)).is_ok());
        let recipient = Recipient::parse(SSH_PUBLIC).unwrap();
        let wrapped = recipient.wrap(&KeyPart::from_bytes(vec![7; 32]), &session([])).unwrap();
        let session = || session([("HOME", home.path().to_str().unwrap())]);
        let opened = |session: &Session| recipient.unwrap(&wrapped, session).unwrap().is_some();
        put("rsa", "id_rsa");
        put("ecdsa", "id_ecdsa");
        put("ecdsa.pub", "id_ecdsa.pub");
        fs::write(folder.join("known_hosts"), "host ssh-ed25519 AAAA").unwrap();
        fs::create_dir(folder.join("sockets")).unwrap();
        assert!(!opened(&session()));
        // With its public half beside it, or without.
        put("ed25519", "work");
        assert!(opened(&session()));
        put("ed25519.pub", "work.pub");
        let with_public = session();
        assert!(opened(&with_public) && recipient.is_held_in(&with_public));
        // Under a name of sops' own, whatever lies beside it.
        fs::rename(folder.join("work"), folder.join("id_ed25519")).unwrap();
        put("rsa.pub", "id_ed25519.pub");
        fs::remove_file(folder.join("work.pub")).unwrap();
        assert!(opened(&session()));
        // A private half that is not that of the public one.
        put("rsa", "stray");
        put("ed25519.pub", "stray.pub");
        fs::remove_file(folder.join("id_ed25519")).unwrap();
        let error = recipient.unwrap(&wrapped, &session()).err().unwrap().to_string();
        assert!(error.contains("it is not the private half of"), "{error}");
    }

    #[test]
    fn ssh_keys_that_age_cannot_use_say_what_to_do() {
        for (name, advice) in [
            ("ecdsa", "age takes ssh-ed25519 and ssh-rsa keys, not ecdsa-sha2-nistp256"),
            ("rsa-pkcs8", "it is in PKCS#8, which is not read here; `ssh-keygen -p -f "),
            ("rsa-pem-passphrase", "it is encrypted in an old, weak way; `ssh-keygen -p -f "),
            ("README.md", "it is not a private ssh key"),
        ] {
            let session = session([(SSH_FILE, &*ssh_key(name))]);
            let recipient = Recipient::parse(SSH_PUBLIC).unwrap();
            let wrapped = recipient.wrap(&KeyPart::from_bytes(vec![7; 32]), &session).unwrap();
            assert!(recipient.unwrap(&wrapped, &session).unwrap().is_none());
            let SourceOutcome::Rejected { reason } = outcome(&session, SSH_FILE) else { panic!("{name}") };
            assert!(reason.starts_with(advice), "{reason}");
        }
    }

    /// Answers every question with the same words, and keeps the questions.
    struct Answers(&'static str, std::sync::Mutex<Vec<String>>);

    impl Prompts for Answers {
        fn show(&self, _message: &str) {}

        fn confirm(&self, _: &str, _: &str, _: Option<&str>) -> Result<bool, PromptError> {
            Err(PromptError::Nobody)
        }

        fn ask(&self, _question: &str) -> Result<String, PromptError> {
            Err(PromptError::Nobody)
        }

        fn ask_passphrase(&self, request: &PassphraseRequest<'_>) -> Result<SecretText, PromptError> {
            let asked = format!("{} {}", request.question, request.cache_id.unwrap_or("-"));
            self.1.lock().unwrap().push(asked);
            Ok(SecretText::copy_of(self.0.as_bytes()))
        }

        fn forget_passphrase(&self, request: &PassphraseRequest<'_>) {
            self.1.lock().unwrap().push(format!("forget {}", request.cache_id.unwrap()));
        }
    }

    fn answering(session: Session, answer: &'static str) -> (Session, std::sync::Arc<Answers>) {
        let answers = std::sync::Arc::new(Answers(answer, std::sync::Mutex::default()));
        (session.with_prompts(answers.clone()), answers)
    }

    #[test]
    fn an_ssh_key_with_a_passphrase_asks_once_and_only_for_its_own_files() {
        let path = ssh_key("ed25519-passphrase");
        let mine = Recipient::parse(&fs::read_to_string(format!("{path}.pub")).unwrap()).unwrap();
        let wrapped_for_me = mine.wrap(&KeyPart::from_bytes(vec![7; 32]), &session([])).unwrap();
        let variables = [(SSH_FILE, &*path), (KEY, secret_of(TEST_KEY))];
        let (right, answers) = answering(session(variables), "open sesame");
        assert!(opens(&right) && !mine.is_held_in(&right));
        assert!(answers.1.lock().unwrap().is_empty(), "a key that lies ready asks nobody");
        for _ in 0..2 {
            assert!(mine.unwrap(&wrapped_for_me, &right).unwrap().is_some());
        }
        assert_eq!(*answers.1.lock().unwrap(), [format!("Enter passphrase for {path:?}: -")]);
        assert!(mine.is_held_in(&right));

        let (wrong, _) = answering(session(variables), "wrong");
        let error = mine.unwrap(&wrapped_for_me, &wrong).err().unwrap().to_string();
        assert!(error.contains("SOPS_AGE_SSH_PRIVATE_KEY_FILE: the passphrase is wrong"), "{error}");
        let error = mine.unwrap(&wrapped_for_me, &session(variables)).err().unwrap().to_string();
        assert!(error.contains("it is protected by a passphrase, and there is nobody to ask"), "{error}");
    }

    /// A file of identities with the passphrase `sesame`.
    fn sealed_file(identities: &str) -> String {
        let mut recipient = ::age::scrypt::Recipient::new("sesame".to_owned().into());
        recipient.set_work_factor(4);
        String::from_utf8(seal_armored(&recipient, identities.as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn an_identity_file_with_a_passphrase_asks_once_and_only_when_nothing_else_helps() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keys");
        fs::write(&file, sealed_file(TEST_KEY)).unwrap();
        let file = file.to_str().unwrap();
        let (other, answers) = answering(session([(KEY_FILE, file), (KEY, secret_of(TEST_KEY))]), "sesame");
        assert!(opens(&other));
        assert_eq!(outcome(&other, KEY_FILE), SourceOutcome::Locked);
        assert!(answers.1.lock().unwrap().is_empty());

        let (right, answers) = answering(session([(KEY_FILE, file)]), "sesame");
        assert!(!Recipient::of_file(TEST_RECIPIENT).is_held_in(&right));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| assert!(opens(&right)));
            }
        });
        let asked = answers.1.lock().unwrap().clone();
        assert_eq!(asked.len(), 1);
        let cache_id = asked[0].strip_prefix("Enter passphrase for identity 'SOPS_AGE_KEY_FILE': ").unwrap();
        assert!(cache_id.starts_with("SopsAge") && cache_id.len() == 47, "{cache_id}");
        assert_eq!(outcome(&right, KEY_FILE), SourceOutcome::Loaded(1));
        assert!(Recipient::of_file(TEST_RECIPIENT).is_held_in(&right));

        for (answer, reason) in [("wrong", "the passphrase is wrong"), ("", "the passphrase is empty")] {
            let (wrong, answers) = answering(session([(KEY_FILE, file)]), answer);
            for _ in 0..2 {
                let error = Recipient::of_file(TEST_RECIPIENT).unwrap(&wrapped(), &wrong).err().unwrap();
                assert!(error.to_string().ends_with(&format!("SOPS_AGE_KEY_FILE: {reason}")), "{error}");
            }
            assert_eq!(answers.1.lock().unwrap()[1..], [format!("forget {cache_id}")]);
            assert_eq!(outcome(&wrong, KEY_FILE), rejected(reason));
        }
        let nobody = session([(KEY_FILE, file)]);
        let error = Recipient::of_file(TEST_RECIPIENT).unwrap(&wrapped(), &nobody).err().unwrap();
        assert!(
            error
                .to_string()
                .contains("SOPS_AGE_KEY_FILE: it is protected by a passphrase, and there is nobody")
        );
    }

    #[test]
    fn what_a_passphrase_opens_must_be_identities() {
        let twice = sealed_file(&sealed_file(TEST_KEY));
        let for_a_key = wrapped();
        for (text, reason) in [
            (sealed_file("nonsense"), "line 1 is not an age identity"),
            (twice, "it holds another file with a passphrase"),
            (for_a_key.as_str().to_owned(), "it is encrypted, but not with a passphrase"),
            ("-----BEGIN AGE ENCRYPTED FILE-----\nx".to_owned(), "its armor is damaged"),
            ("age-encryption.org/v1\n".to_owned(), "it is damaged"),
        ] {
            let (session, _) = answering(session([(KEY, &*text)]), "sesame");
            let _ = Recipient::of_file(TEST_RECIPIENT).unwrap(&wrapped(), &session);
            let SourceOutcome::Rejected { reason: said } = outcome(&session, KEY) else { panic!("{reason}") };
            assert!(said.starts_with(reason), "{said}");
        }
    }

    #[test]
    fn a_plugin_that_is_missing_is_named() {
        let identity = bech32::encode("age-plugin-orlop-test-", b"x").to_uppercase();
        let session = session([(KEY, &*format!("{identity} {}", secret_of(OTHER_KEY)))]);
        let error = Recipient::of_file(TEST_RECIPIENT).unwrap(&wrapped(), &session).err().unwrap();
        assert!(
            error.to_string().contains("SOPS_AGE_KEY: age-plugin-orlop-test is not installed"),
            "{error}"
        );
        assert_eq!(outcome(&session, KEY), SourceOutcome::Loaded(2));
    }

    #[test]
    fn on_macos_the_places_of_sops_and_of_its_guides_are_looked_at() {
        use super::sources::{Platform, key_files};
        let files = |platform, variables: &[(&str, &str)]| -> Vec<String> {
            let paths = key_files(&Env::from_iter(variables.iter().copied()), platform).unwrap();
            paths.into_iter().map(|path| path.display().to_string()).collect()
        };
        let home = ("HOME", "/h");
        assert_eq!(
            files(Platform::MacOs, &[home]),
            ["/h/Library/Application Support/sops/age/keys.txt", "/h/.config/sops/age/keys.txt"]
        );
        assert_eq!(
            files(Platform::MacOs, &[home, ("XDG_CONFIG_HOME", "/x")]),
            ["/x/sops/age/keys.txt", "/h/.config/sops/age/keys.txt"]
        );
        let same = [home, ("XDG_CONFIG_HOME", "/h/.config")];
        assert_eq!(files(Platform::MacOs, &same), ["/h/.config/sops/age/keys.txt"]);
        assert_eq!(files(Platform::Other, &[home]), ["/h/.config/sops/age/keys.txt"]);
        assert!(files(Platform::Windows, &[("AppData", "/a")])[0].starts_with("/a/sops"));
        assert!(key_files(&Env::default(), Platform::MacOs).is_err());
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
    fn ssh_keys_are_looked_for_only_for_a_file_that_is_for_one() {
        let session =
            session([(SSH_FILE, "/nowhere/id"), (SSH_CMD, "/nowhere/program"), ("HOME", "/nowhere")]);
        assert!(!opens(&session));
        assert!(
            session
                .sources()
                .iter()
                .all(|report| !report.place.contains("ssh") && !report.place.contains("SSH"))
        );
        let recipient = Recipient::parse(SSH_PUBLIC).unwrap();
        let wrapped = recipient.wrap(&KeyPart::from_bytes(vec![7; 32]), &session).unwrap();
        assert!(recipient.unwrap(&wrapped, &session).unwrap().is_none());
        for place in [SSH_FILE, SSH_CMD] {
            assert!(matches!(outcome(&session, place), SourceOutcome::Rejected { .. }));
        }
        assert_eq!(outcome(&session, "/nowhere/.ssh"), SourceOutcome::Absent);
    }

    #[cfg(unix)]
    #[test]
    fn a_command_gives_an_ssh_key() {
        let path = std::env::var("PATH").unwrap();
        let command = format!("cat {}", ssh_key("ed25519"));
        let session = session([(SSH_CMD, &*command), ("PATH", &path)]);
        let recipient = Recipient::parse(SSH_PUBLIC).unwrap();
        let wrapped = recipient.wrap(&KeyPart::from_bytes(vec![7; 32]), &session).unwrap();
        assert!(recipient.unwrap(&wrapped, &session).unwrap().is_some());
        assert_eq!(outcome(&session, SSH_CMD), SourceOutcome::Loaded(1));
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
