//! Whole files in one call: text and keyring in, text out.
//!
//! [`decrypt`] and [`encrypt`] are the two-line use of this library. [`open`] is for those who want to look into
//! a file or change it; [`prepare`] is for those who need to know that a new file can be sealed before they have
//! its text; [`plan_key_update`] changes who can open a file.
//!
//! ```
//! use orlop::simple::{self, MacCheck, Printing};
//! use orlop::store::{Format, Style};
//! use orlop::{Env, Keyring, Metadata, SecretText, Session};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let secret = include_str!("../testdata/keys/age-test.txt");
//! # let identity = secret.lines().find(|line| line.starts_with("AGE-")).unwrap();
//! # let sealed = include_str!("../testdata/vectors/sops-3.13.3-values.yaml");
//! let store = Format::Yaml.store();
//! let keyring = Keyring::new(Session::new(Env::from_iter([("SOPS_AGE_KEY", identity)])));
//! let text = simple::decrypt(SecretText::copy_of(sealed.as_bytes()), store, &keyring, MacCheck::Required)?;
//! assert!(text.expose().starts_with(b"# top\n"));
//! # Ok(())
//! # }
//! ```

use std::collections::HashSet;

use crate::audit::{Action, AuditError, Events};
use crate::file::{Decrypted, FileError, OpenFile, PlainFile, SealedFile};
use crate::key_path::TreePath;
use crate::keyring::{Keyring, UnlockError, WrapError};
use crate::metadata::{FORMAT_VERSION, Metadata};
use crate::provider::{GroupKey, KeyGroup, MasterKey};
use crate::secret::{DataKey, RandomError, SecretText};
use crate::span::Position;
use crate::store::{Content, Format, Line, Store, Style};
use crate::value::{Tree, as_text};

/// Why a file could not be encrypted, decrypted or changed, by what was being done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SimpleError {
    /// A plain text cannot be read, or is none.
    #[error(transparent)]
    Plain(FileError),
    /// A sealed text cannot be read, or is none.
    #[error(transparent)]
    Sealed(FileError),
    /// The data key cannot be had.
    #[error(transparent)]
    Unlock(#[from] UnlockError),
    /// The values do not open, or are not those the MAC was made for.
    #[error(transparent)]
    Open(FileError),
    /// The opened text cannot be printed.
    #[error(transparent)]
    Print(FileError),
    /// What was asked for is not in the file.
    #[error(transparent)]
    Extract(FileError),
    /// A value cannot be put in or taken out.
    #[error(transparent)]
    Change(FileError),
    /// There is no new data key.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The data key cannot be wrapped.
    #[error(transparent)]
    Wrap(#[from] WrapError),
    /// The values cannot be sealed.
    #[error(transparent)]
    Seal(FileError),
    /// What was to be done cannot be written down, and so was not done.
    #[error(transparent)]
    Audit(#[from] AuditError),
}

/// Whether a file must be complete and unchanged to be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MacCheck {
    /// The MAC must hold.
    Required,
    /// `--ignore-mac`: values may have been removed or exchanged for older ones without anybody noticing.
    DangerouslySkipped,
}

/// How a plain text is written.
#[derive(Clone, Copy)]
pub struct Printing {
    /// The format.
    pub store: &'static dyn Store,
    /// The layout of what is written anew.
    pub style: Style,
    /// Whether everything is written anew, in the format's normal form, rather than left as it is. It always is
    /// when the format is another one than the text's.
    pub reprint: bool,
}

impl Printing {
    /// Whether what `store` reads stays as it is: [`decrypt`] gives it then.
    pub fn keeps(&self, store: &dyn Store) -> bool {
        let prints_anew = self.reprint && store.envelope().is_none();
        !prints_anew && !self.converts(store)
    }

    /// Whether what `store` reads is printed in another format.
    fn converts(&self, store: &dyn Store) -> bool {
        self.store.format() != store.format()
    }

    /// The layout of what `store` writes on the way: the one that is asked for is another format's where it converts.
    fn style_for(&self, store: &dyn Store) -> Style {
        if self.converts(store) { Style { indent: 4, tabs: false } } else { self.style }
    }

    /// A sealed text of `store` in the format that is asked for.
    fn converted(&self, sealed: SecretText, store: &'static dyn Store) -> Result<SecretText, SimpleError> {
        if !self.converts(store) {
            return Ok(sealed);
        }
        let sealed = SealedFile::parse(sealed, store).map_err(SimpleError::Sealed)?;
        sealed.converted(self.store, self.style).map_err(SimpleError::Print)
    }
}

/// Decrypts a file.
pub fn decrypt(
    text: SecretText,
    store: &'static dyn Store,
    keyring: &Keyring,
    mac: MacCheck,
) -> Result<SecretText, SimpleError> {
    decrypt_file(text, store, keyring, mac).map(|decrypted| decrypted.text)
}

/// Decrypts a file, as [`decrypt`], and tells what else there is to know of it.
pub fn decrypt_file(
    text: SecretText,
    store: &'static dyn Store,
    keyring: &Keyring,
    mac: MacCheck,
) -> Result<Decrypted, SimpleError> {
    let sealed = SealedFile::parse(text, store).map_err(SimpleError::Sealed)?;
    let key = unlock_to_decrypt(&sealed, keyring)?;
    let decrypted = match mac {
        MacCheck::Required => sealed.decrypt(&key),
        MacCheck::DangerouslySkipped => sealed.dangerous_decrypt_unverified(&key),
    };
    decrypted.map_err(|error| match error {
        FileError::Print(_) => SimpleError::Print(error),
        _ => SimpleError::Open(error),
    })
}

/// A file that was encrypted.
pub struct Encrypted {
    /// Its text.
    pub text: SecretText,
    /// Whether the file had aliases: they are copies of what they name now, for a sealed value is bound to its place.
    pub aliases_expanded: bool,
}

/// Encrypts a file for the key groups of `metadata`, with a new data key.
pub fn encrypt(
    text: SecretText,
    store: &'static dyn Store,
    metadata: Metadata,
    keyring: &Keyring,
    printing: Printing,
) -> Result<Encrypted, SimpleError> {
    let plain = plain_file(text, store, printing)?;
    let aliases_expanded = plain.document().aliases_expanded;
    let text = prepare(metadata, keyring)?.seal_plain(plain, printing)?;
    Ok(Encrypted { text, aliases_expanded })
}

/// A plain text, in normal form if that is asked for.
fn plain_file(
    text: SecretText,
    store: &'static dyn Store,
    printing: Printing,
) -> Result<PlainFile, SimpleError> {
    let plain = PlainFile::parse(text, store).map_err(SimpleError::Plain)?;
    if !printing.reprint || printing.store.format() != store.format() || store.envelope().is_some() {
        return Ok(plain);
    }
    let roots = Content::of_document(plain.document(), store);
    let roots = roots.map_err(|error| SimpleError::Seal(error.into()))?;
    let text = store.print_file(&roots, printing.style);
    let text = text.map_err(|error| SimpleError::Seal(error.into()))?;
    PlainFile::parse(text, store).map_err(SimpleError::Seal)
}

/// Makes a data key and wraps it for the key groups of `metadata`: whatever can fail without the file's text.
pub fn prepare(mut metadata: Metadata, keyring: &Keyring) -> Result<NewFile, SimpleError> {
    let key = DataKey::generate()?;
    metadata.shamir_threshold = keyring.wrap(&mut metadata.key_groups, metadata.shamir_threshold, &key)?;
    Ok(NewFile { key, metadata, events: keyring.events().clone() })
}

/// A file that has its keys but no text yet.
pub struct NewFile {
    key: DataKey,
    metadata: Metadata,
    events: Events,
}

impl NewFile {
    /// Seals `text` as this file.
    pub fn seal(
        &self,
        text: SecretText,
        store: &'static dyn Store,
        printing: Printing,
    ) -> Result<SecretText, SimpleError> {
        self.seal_plain(plain_file(text, store, printing)?, printing)
    }

    fn seal_plain(&self, plain: PlainFile, printing: Printing) -> Result<SecretText, SimpleError> {
        let metadata = Metadata::from_tree(&self.metadata.to_tree());
        let mut metadata = metadata.map_err(|error| SimpleError::Seal(error.into()))?;
        // Read back, no rule counts as the default one.
        metadata.selection = self.metadata.selection.clone();
        let store = plain.store();
        let sealed = match printing.store.format() == store.format() {
            true => plain.seal(&self.key, metadata, printing.style),
            false => plain.seal_as(&self.key, metadata, printing.store, printing.style),
        };
        let sealed = sealed.map_err(SimpleError::Seal)?;
        self.events.record(Action::Encrypt)?;
        Ok(sealed)
    }
}

/// Opens a sealed file to look into it or to change it.
pub fn open(
    text: SecretText,
    store: &'static dyn Store,
    keyring: &Keyring,
    mac: MacCheck,
) -> Result<Opened, SimpleError> {
    open_sealed(SealedFile::parse(text, store).map_err(SimpleError::Sealed)?, store, keyring, mac)
}

/// As [`open`], for a file that is to get a new data key.
pub fn open_to_rotate(
    text: SecretText,
    store: &'static dyn Store,
    keyring: &Keyring,
    mac: MacCheck,
) -> Result<Opened, SimpleError> {
    let sealed = SealedFile::parse(text, store).map_err(SimpleError::Sealed)?;
    keyring.events().record(Action::Rotate)?;
    open_sealed(sealed, store, keyring, mac)
}

fn open_sealed(
    sealed: SealedFile,
    store: &'static dyn Store,
    keyring: &Keyring,
    mac: MacCheck,
) -> Result<Opened, SimpleError> {
    let key = unlock_to_decrypt(&sealed, keyring)?;
    let events = keyring.events().clone();
    Ok(Opened { store, file: open_with(sealed, &key, mac)?, key, mac, events })
}

/// The data key of a file that is about to be decrypted, which is written down.
fn unlock_to_decrypt(sealed: &SealedFile, keyring: &Keyring) -> Result<DataKey, SimpleError> {
    let metadata = sealed.metadata();
    let key = keyring.unlock(&metadata.key_groups, metadata.shamir_threshold)?;
    // sops: who cannot unlock a file has not decrypted it.
    keyring.events().record(Action::Decrypt)?;
    Ok(key)
}

fn open_with(sealed: SealedFile, key: &DataKey, mac: MacCheck) -> Result<OpenFile, SimpleError> {
    let file = match mac {
        MacCheck::Required => sealed.open(key),
        MacCheck::DangerouslySkipped => sealed.dangerous_open_unverified(key),
    };
    file.map_err(SimpleError::Open)
}

/// An opened file and its data key.
pub struct Opened {
    store: &'static dyn Store,
    file: OpenFile,
    key: DataKey,
    mac: MacCheck,
    events: Events,
}

impl Opened {
    /// The metadata.
    pub fn metadata(&self) -> &Metadata {
        self.file.metadata()
    }

    /// Comments that should be sealed but do not open: they stay as they are.
    pub fn odd_comments(&self) -> &[Position] {
        self.file.odd_comments()
    }

    /// The plain text.
    pub fn plain_text(&self, printing: Printing) -> Result<SecretText, SimpleError> {
        let text = match printing.reprint || printing.store.format() != self.store.format() {
            true => self.file.reprinted(printing.store, printing.style),
            false => self.file.plain_text(),
        };
        text.map_err(SimpleError::Print)
    }

    /// Wipes the key, the values and the text, and leaves the memory of the rest to the end of the process: see
    /// [`OpenFile::wipe_and_leave`].
    pub fn wipe_and_leave(self) {
        self.file.wipe_and_leave();
    }

    /// What `path` names, as `--extract` prints it.
    pub fn extract(&self, path: &TreePath, printing: Printing) -> Result<SecretText, SimpleError> {
        self.file.extract(path, printing.store, printing.style).map_err(SimpleError::Extract)
    }

    /// The values of all documents as one map in JSON, without comments, as `publish` gives them to Vault.
    ///
    /// sops: a key of a later document takes the place of an earlier one's.
    pub fn values_in_json(&self) -> Result<SecretText, SimpleError> {
        let document = self.file.plain_document().map_err(SimpleError::Print)?;
        let roots = Content::of_document(&document, self.store);
        let mut merged: Vec<Line<'static>> = Vec::new();
        for line in roots.map_err(|error| SimpleError::Print(error.into()))?.into_iter().flatten() {
            let Line::Pair(key, value) = line else { continue };
            merged.retain(|line| !matches!(line, Line::Pair(known, _) if *known == key));
            merged.push(Line::Pair(key, value.without_comments()));
        }
        let json = Format::Json.store();
        let text = json.print_file(&[merged], Style { indent: 0, tabs: false });
        text.map_err(|error| SimpleError::Print(error.into()))
    }

    /// The entries at the top of the first document as variables of an environment have them, comments left out.
    ///
    /// SOPS 3.13 (`exec-env`): `null` is `<nil>`; a list, a map and a key with `=` are errors.
    pub fn variables(&self) -> Result<Vec<(String, SecretText)>, VariablesError> {
        let document = self.file.plain_document().map_err(VariablesError::Read)?;
        let roots = Content::of_document(&document, self.store);
        let roots = roots.map_err(|error| VariablesError::Read(error.into()))?;
        let mut variables = Vec::new();
        for line in roots.into_iter().next().unwrap_or_default() {
            let Line::Pair(key, content) = line else { continue };
            let value = match &content {
                Content::List(_) | Content::Map(_) => return Err(VariablesError::Complex { key }),
                scalar => as_text(scalar.value()),
            };
            if key.contains('=') {
                return Err(VariablesError::Key { key });
            }
            if key.contains('\0') || value.expose().contains(&0) {
                return Err(VariablesError::Nul { key });
            }
            variables.push((key, value));
        }
        Ok(variables)
    }

    /// The plain text with the metadata block, in clear too, as `edit --show-master-keys` shows it.
    pub fn plain_text_with_metadata(&self, style: Style) -> Result<SecretText, SimpleError> {
        let document = self.file.document_with_values().map_err(SimpleError::Print)?;
        let mut block = self.store.write_metadata(&document, &self.metadata().to_tree(), style);
        Ok(block.apply(document.bytes()))
    }

    /// The sealed text as it is, in the format of `printing`; `None` when it is in that format.
    pub fn converted(&self, printing: Printing) -> Result<Option<SecretText>, SimpleError> {
        if !printing.converts(self.store) {
            return Ok(None);
        }
        printing.converted(SecretText::copy_of(self.file.sealed_text()), self.store).map(Some)
    }

    /// Sealed again with `path` set to `value`; `None` when nothing changed.
    pub fn set(
        self,
        path: &TreePath,
        value: &Tree,
        printing: Printing,
    ) -> Result<Option<SecretText>, SimpleError> {
        let style = printing.style_for(self.store);
        let sealed = self.file.set(&self.key, path, value, style).map_err(SimpleError::Change)?;
        // sops: also when nothing changes.
        self.events.record(Action::Encrypt)?;
        sealed.map(|sealed| printing.converted(sealed, self.store)).transpose()
    }

    /// Sealed again without what `path` names.
    pub fn unset(self, path: &TreePath, printing: Printing) -> Result<Option<SecretText>, SimpleError> {
        let style = printing.style_for(self.store);
        let sealed = self.file.unset(&self.key, path, style).map_err(SimpleError::Change)?;
        self.events.record(Action::Encrypt)?;
        sealed.map(|sealed| printing.converted(sealed, self.store)).transpose()
    }

    /// Sealed again with the text that an editor left; `None` when nothing changed.
    ///
    /// The file is as before when the text cannot be sealed, so that the user can mend it.
    pub fn edited(&self, text: SecretText, printing: Printing) -> Result<Option<SecretText>, SimpleError> {
        PlainFile::parse(SecretText::copy_of(text.expose()), self.store).map_err(SimpleError::Plain)?;
        let sealed = self.recorded(self.edited_again(text, printing.style_for(self.store))?)?;
        sealed.map(|sealed| printing.converted(sealed, self.store)).transpose()
    }

    /// What is sealed again, if that can be written down.
    fn recorded(&self, sealed: Option<SecretText>) -> Result<Option<SecretText>, SimpleError> {
        if sealed.is_some() {
            self.events.record(Action::Encrypt)?;
        }
        Ok(sealed)
    }

    fn edited_again(&self, text: SecretText, style: Style) -> Result<Option<SecretText>, SimpleError> {
        let sealed = SecretText::copy_of(self.file.sealed_text());
        let sealed = SealedFile::parse(sealed, self.store).map_err(SimpleError::Sealed)?;
        let mut file = open_with(sealed, &self.key, self.mac)?;
        raise_version(file.metadata_mut());
        file.edited(&self.key, text, style).map_err(SimpleError::Seal)
    }

    /// Sealed again with the text and the keys that an editor left; `None` when nothing changed.
    ///
    /// Of the metadata only the key groups and their threshold are taken over. When they are others than
    /// before, the data key is wrapped anew for all of them.
    pub fn edited_with_metadata(
        &self,
        text: SecretText,
        keyring: &Keyring,
        printing: Printing,
    ) -> Result<Option<SecretText>, SimpleError> {
        let style = printing.style_for(self.store);
        let sealed = self.with_edited_keys(text, keyring, style)?;
        sealed.map(|sealed| printing.converted(sealed, self.store)).transpose()
    }

    fn with_edited_keys(
        &self,
        text: SecretText,
        keyring: &Keyring,
        style: Style,
    ) -> Result<Option<SecretText>, SimpleError> {
        let (text, metadata) = split_metadata(text, self.store)?;
        let (before, mut groups) = (self.metadata(), metadata.key_groups);
        let has_other_keys = KeySets::of(&before.key_groups) != KeySets::of(&groups)
            || before.shamir_threshold != metadata.shamir_threshold;
        let values_as_before = text == self.file.plain_text().map_err(SimpleError::Print)?;
        let sealed = if values_as_before { None } else { self.edited_again(text, style)? };
        if !has_other_keys {
            return self.recorded(sealed);
        }
        let sealed = sealed.unwrap_or_else(|| SecretText::copy_of(self.file.sealed_text()));
        let sealed = SealedFile::parse(sealed, self.store).map_err(SimpleError::Sealed)?;
        let threshold = keyring.wrap(&mut groups, metadata.shamir_threshold, &self.key)?;
        self.recorded(Some(sealed.with_key_groups(groups, threshold, style)))
    }

    /// Sealed again, every value afresh, with a new data key, and with `change` done to the keys.
    pub fn rotate(
        mut self,
        change: KeyChange,
        keyring: &Keyring,
        printing: Printing,
    ) -> Result<SecretText, SimpleError> {
        let metadata = self.file.metadata_mut();
        change.apply(&mut metadata.key_groups);
        let key = DataKey::generate()?;
        metadata.shamir_threshold =
            keyring.wrap(&mut metadata.key_groups, metadata.shamir_threshold, &key)?;
        let sealed = self.file.rotate(&key, printing.style_for(self.store)).map_err(SimpleError::Seal)?;
        self.events.record(Action::Encrypt)?;
        printing.converted(sealed, self.store)
    }
}

/// sops: an edited file names the program that wrote it, if the file's was an older one.
fn raise_version(metadata: &mut Metadata) {
    let numbers = |version: &str| -> Option<Vec<u64>> {
        let version = version.split(['-', '+']).next()?;
        version.split('.').map(|number| number.parse().ok()).collect()
    };
    if numbers(&metadata.version) < numbers(FORMAT_VERSION) {
        metadata.version = FORMAT_VERSION.to_owned();
    }
}

/// Takes the metadata block out of a text whose values are in clear.
fn split_metadata(
    text: SecretText,
    store: &'static dyn Store,
) -> Result<(SecretText, Metadata), SimpleError> {
    let document = store.parse(text).map_err(|error| SimpleError::Plain(error.into()))?;
    let tree = store.metadata(&document).map_err(|error| SimpleError::Plain(error.into()))?;
    let tree = tree.ok_or(SimpleError::Plain(FileError::NotSealed))?;
    let metadata = Metadata::from_tree(&tree).map_err(|error| SimpleError::Plain(error.into()))?;
    let plain = store.remove_metadata(&document).apply(document.bytes());
    if store.envelope().is_none() {
        return Ok((plain, metadata));
    }
    let printed = store.parse(plain).and_then(|document| Content::of_document(&document, store));
    let printed = printed.map_err(|error| SimpleError::Plain(error.into()))?;
    let plain = store.print_file(&printed, Style { indent: 0, tabs: true });
    Ok((plain.map_err(|error| SimpleError::Plain(error.into()))?, metadata))
}

/// Master keys that come and go with a new data key.
#[derive(Default)]
pub struct KeyChange {
    /// Keys for the end of the first group.
    pub added: Vec<MasterKey>,
    /// Keys to take out of every group.
    pub removed: Vec<MasterKey>,
}

impl KeyChange {
    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty()
    }

    fn apply(self, groups: &mut [KeyGroup]) {
        if let Some(first) = groups.first_mut() {
            for key in self.added {
                if !first.has(&key) {
                    first.0.push(GroupKey::new(key));
                }
            }
        }
        // sops: what a key is called decides, not what else is known of it.
        let removed: HashSet<String> = self.removed.iter().map(MasterKey::to_string).collect();
        for group in groups {
            group.0.retain(|member| !removed.contains(&member.key.to_string()));
        }
    }
}

/// The keys of each group by what they are called; their order does not count.
#[derive(PartialEq)]
struct KeySets(Vec<HashSet<String>>);

impl KeySets {
    fn of(groups: &[KeyGroup]) -> Self {
        Self(groups.iter().map(|group| group.keys().map(MasterKey::to_string).collect()).collect())
    }
}

/// Why the values of a file cannot be variables of an environment.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VariablesError {
    /// The file cannot be read.
    #[error(transparent)]
    Read(FileError),
    /// A list or a map.
    #[error("cannot use complex value in environment; offending key {key}")]
    Complex {
        /// Its key.
        key: String,
    },
    /// A key with `=` in it.
    #[error("cannot use keys with '=' in environment: {key}")]
    Key {
        /// The key.
        key: String,
    },
    /// A zero byte, which ends a variable.
    #[error("cannot use a value or key with a zero byte in environment: {key:?}")]
    Nul {
        /// The key.
        key: String,
    },
}

/// Why a key group cannot be taken out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GroupsError {
    /// The file cannot be read, unlocked or wrapped for.
    #[error(transparent)]
    Keys(#[from] SimpleError),
    /// There is no such group.
    #[error("there is no key group {index}: the file has {count}, counted from 0")]
    NoSuchGroup {
        /// The group that was asked for.
        index: usize,
        /// How many there are.
        count: usize,
    },
    /// Too few groups would be left.
    #[error(
        "removing this key group will make the Shamir threshold impossible to satisfy: \
         the threshold is {threshold}, but {count} key groups are left"
    )]
    TooFew {
        /// How many groups are needed.
        threshold: usize,
        /// How many would be left.
        count: usize,
    },
}

/// A sealed file with one more key group, the same data key split anew among all of them.
///
/// A `threshold` of 0 leaves that of the file, which is the number of groups where it has none. Every key of every
/// group must wrap. sops writes a file that nobody can open when one of them cannot.
pub fn add_group(
    text: SecretText,
    store: &'static dyn Store,
    group: KeyGroup,
    threshold: usize,
    keyring: &Keyring,
    style: Style,
) -> Result<SecretText, SimpleError> {
    let sealed = SealedFile::parse(text, store).map_err(SimpleError::Sealed)?;
    let key = keyring.unlock(&sealed.metadata().key_groups, sealed.metadata().shamir_threshold)?;
    let mut groups = copied_groups(sealed.metadata())?;
    groups.push(group);
    rewrapped(sealed, groups, threshold, &key, keyring, style)
}

/// A sealed file without the key group `index`, counted from 0; otherwise as [`add_group`].
pub fn delete_group(
    text: SecretText,
    store: &'static dyn Store,
    index: usize,
    threshold: usize,
    keyring: &Keyring,
    style: Style,
) -> Result<SecretText, GroupsError> {
    let sealed = SealedFile::parse(text, store).map_err(SimpleError::Sealed)?;
    let key = keyring.unlock(&sealed.metadata().key_groups, sealed.metadata().shamir_threshold);
    let key = key.map_err(SimpleError::Unlock)?;
    let mut groups = copied_groups(sealed.metadata())?;
    if index >= groups.len() {
        return Err(GroupsError::NoSuchGroup { index, count: groups.len() });
    }
    groups.remove(index);
    let needed = if threshold == 0 { sealed.metadata().shamir_threshold } else { threshold };
    if groups.len() < needed {
        return Err(GroupsError::TooFew { threshold: needed, count: groups.len() });
    }
    Ok(rewrapped(sealed, groups, threshold, &key, keyring, style)?)
}

fn copied_groups(metadata: &Metadata) -> Result<Vec<KeyGroup>, SimpleError> {
    let copy = Metadata::from_tree(&metadata.to_tree()).map_err(|error| SimpleError::Sealed(error.into()))?;
    Ok(copy.key_groups)
}

fn rewrapped(
    sealed: SealedFile,
    mut groups: Vec<KeyGroup>,
    threshold: usize,
    key: &DataKey,
    keyring: &Keyring,
    style: Style,
) -> Result<SecretText, SimpleError> {
    let asked = if threshold == 0 { sealed.metadata().shamir_threshold } else { threshold };
    let threshold = keyring.wrap(&mut groups, asked, key)?;
    Ok(sealed.with_key_groups(groups, threshold, style))
}

/// Compares the keys of a sealed file with `groups`, which it should have.
pub fn plan_key_update(
    text: SecretText,
    store: &'static dyn Store,
    groups: Vec<KeyGroup>,
) -> Result<KeyUpdate, SimpleError> {
    let sealed = SealedFile::parse(text, store).map_err(SimpleError::Sealed)?;
    let metadata = sealed.metadata();
    let old_threshold = metadata.shamir_threshold;
    // sops: the threshold of the config file does not count here.
    let new_threshold = old_threshold.min(groups.len());
    let group_changes = compare_groups(&metadata.key_groups, &groups);
    Ok(KeyUpdate { sealed, groups, old_threshold, new_threshold, group_changes })
}

/// What changes in each group when `old` becomes `new`.
pub fn compare_groups(old: &[KeyGroup], new: &[KeyGroup]) -> Vec<GroupChange> {
    let names = |groups: &[KeyGroup], at: usize| -> Vec<String> {
        groups.get(at).map(|group| group.keys().map(MasterKey::to_string).collect()).unwrap_or_default()
    };
    (0..old.len().max(new.len())).map(|at| GroupChange::between(&names(old, at), names(new, at))).collect()
}

/// What would change in the keys of a file.
pub struct KeyUpdate {
    sealed: SealedFile,
    groups: Vec<KeyGroup>,
    /// The threshold that the file has.
    pub old_threshold: usize,
    /// The threshold that it would have.
    pub new_threshold: usize,
    /// What would change in each group.
    pub group_changes: Vec<GroupChange>,
}

/// What would change in the keys of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupChange {
    /// Keys that stay.
    pub kept: Vec<String>,
    /// Keys that come.
    pub added: Vec<String>,
    /// Keys that go.
    pub removed: Vec<String>,
}

impl GroupChange {
    fn between(old: &[String], new: Vec<String>) -> Self {
        let removed = old.iter().filter(|key| !new.contains(key)).cloned().collect();
        let (kept, added) = new.into_iter().partition(|key| old.contains(key));
        Self { kept, added, removed }
    }
}

impl KeyUpdate {
    /// Whether the file has these keys already.
    pub fn is_empty(&self) -> bool {
        self.old_threshold == self.new_threshold
            && self.group_changes.iter().all(|group| group.added.is_empty() && group.removed.is_empty())
    }

    /// The file with the new keys: the same data key wrapped for them, and nothing else changed.
    pub fn apply(self, keyring: &Keyring, style: Style) -> Result<SecretText, SimpleError> {
        let Self { sealed, mut groups, new_threshold, .. } = self;
        let metadata = sealed.metadata();
        let key = keyring.unlock(&metadata.key_groups, metadata.shamir_threshold)?;
        let threshold = keyring.wrap(&mut groups, new_threshold, &key)?;
        Ok(sealed.with_key_groups(groups, threshold, style))
    }
}

/// Whether a text is a sealed file: it has metadata with a version and a MAC.
///
/// Asks no key. Metadata that cannot be read is an error.
pub fn is_sealed(text: SecretText, store: &'static dyn Store) -> Result<bool, SimpleError> {
    match SealedFile::parse(text, store) {
        Ok(file) => Ok(!file.metadata().mac.is_empty() && !file.metadata().version.is_empty()),
        Err(FileError::NotSealed) => Ok(false),
        Err(error) => Err(SimpleError::Sealed(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Env;
    use crate::document::FindError;
    use crate::provider::Session;
    use crate::selection::SelectionRule;
    use crate::store::Format;

    const TEST_KEY: &str = include_str!("../testdata/keys/age-test.txt");
    const OTHER_KEY: &str = include_str!("../testdata/keys/age-other.txt");
    const STYLE: Style = Style { indent: 4, tabs: false };

    fn store() -> &'static dyn Store {
        Format::Yaml.store()
    }

    fn printing(reprint: bool) -> Printing {
        Printing { store: store(), style: STYLE, reprint }
    }

    fn keyring(key_file: &str) -> Keyring {
        let secret = key_file.lines().find(|line| line.starts_with("AGE-")).unwrap();
        Keyring::new(Session::new(Env::from_iter([("SOPS_AGE_KEY", secret)])))
    }

    fn key(key_file: &str) -> MasterKey {
        let recipient = key_file.lines().find_map(|line| line.strip_prefix("# public key: ")).unwrap();
        crate::provider::ProviderId::Age.provider().parse_key(recipient).unwrap()
    }

    fn text(text: &str) -> SecretText {
        SecretText::copy_of(text.as_bytes())
    }

    fn shown(text: &SecretText) -> &str {
        std::str::from_utf8(text.expose()).unwrap()
    }

    fn sealed(plain: &str) -> SecretText {
        let metadata = Metadata::new(vec![KeyGroup::of_keys([key(TEST_KEY)])], SelectionRule::default());
        encrypt(text(plain), store(), metadata, &keyring(TEST_KEY), printing(false)).unwrap().text
    }

    fn opened(sealed: &SecretText) -> Opened {
        open(text(shown(sealed)), store(), &keyring(TEST_KEY), MacCheck::Required).unwrap()
    }

    fn decrypted(sealed: SecretText, key_file: &str) -> Result<String, SimpleError> {
        decrypt(sealed, store(), &keyring(key_file), MacCheck::Required).map(|plain| shown(&plain).to_owned())
    }

    #[test]
    fn a_text_comes_back() {
        let plain = "a: 1\nb:\n  - x # y\n";
        assert_eq!(decrypted(sealed(plain), TEST_KEY).unwrap(), plain);
        assert!(matches!(decrypted(sealed(plain), OTHER_KEY), Err(SimpleError::Unlock(_))));
    }

    #[test]
    fn a_reprint_is_in_normal_form_on_both_ways() {
        let plain = "b:\n  c: 1\n";
        let metadata = Metadata::new(vec![KeyGroup::of_keys([key(TEST_KEY)])], SelectionRule::default());
        let wide = Printing { style: Style { indent: 6, tabs: false }, ..printing(true) };
        let sealed_wide = encrypt(text(plain), store(), metadata, &keyring(TEST_KEY), wide).unwrap();
        assert_eq!(decrypted(sealed_wide.text, TEST_KEY).unwrap(), "b:\n      c: 1\n");
        assert_eq!(shown(&opened(&sealed(plain)).plain_text(printing(true)).unwrap()), "b:\n    c: 1\n");
    }

    #[test]
    fn keys_come_and_go_with_a_new_data_key() {
        let before = sealed("a: 1\n");
        let change = KeyChange { added: vec![key(OTHER_KEY), key(TEST_KEY)], removed: vec![key(TEST_KEY)] };
        assert!(!change.is_empty() && KeyChange::default().is_empty());
        let after = opened(&before).rotate(change, &keyring(TEST_KEY), printing(false)).unwrap();
        assert!(matches!(decrypted(text(shown(&after)), TEST_KEY), Err(SimpleError::Unlock(_))));
        assert_eq!(decrypted(after, OTHER_KEY).unwrap(), "a: 1\n");
        let nobody = KeyChange { added: Vec::new(), removed: vec![key(TEST_KEY)] };
        let error = opened(&before).rotate(nobody, &keyring(TEST_KEY), printing(false)).err().unwrap();
        assert!(matches!(error, SimpleError::Wrap(WrapError::EmptyGroup { group: 0 })));
    }

    #[test]
    fn a_key_update_tells_what_comes_and_goes_and_keeps_the_values() {
        let before = sealed("a: 1\n");
        let plan = |keys: &[&str]| {
            let groups = vec![KeyGroup::of_keys(keys.iter().map(|file| key(file)))];
            plan_key_update(text(shown(&before)), store(), groups).unwrap()
        };
        assert!(plan(&[TEST_KEY]).is_empty());
        let update = plan(&[OTHER_KEY, TEST_KEY]);
        let (own, other) = (key(TEST_KEY).to_string(), key(OTHER_KEY).to_string());
        let change = GroupChange { kept: vec![own.clone()], added: vec![other.clone()], removed: Vec::new() };
        assert_eq!(update.group_changes, [change]);
        let update = plan(&[OTHER_KEY]);
        assert_eq!(
            update.group_changes,
            [GroupChange { kept: vec![], added: vec![other], removed: vec![own] }]
        );
        let after = update.apply(&keyring(TEST_KEY), STYLE).unwrap();
        assert_eq!(shown(&before).lines().next(), shown(&after).lines().next());
        assert_eq!(decrypted(after, OTHER_KEY).unwrap(), "a: 1\n");
    }

    #[test]
    fn the_metadata_is_no_value() {
        let before = sealed("a: 1\n");
        let path = TreePath::parse(r#"["sops"]["mac"]"#).unwrap();
        let error = opened(&before).set(&path, &Tree::text("x"), printing(false)).err().unwrap();
        assert!(matches!(error, SimpleError::Change(FileError::AlreadySealed)));
        let error = opened(&before).unset(&path, printing(false)).err().unwrap();
        assert!(matches!(error, SimpleError::Change(FileError::Find(FindError::NoSuchKey { .. }))));
    }

    #[test]
    fn a_text_that_cannot_be_sealed_can_be_mended() {
        let before = sealed("a: 1\n");
        let opened = opened(&before);
        for broken in ["[", "- a\n", "a: 1\nsops: 2\n", ""] {
            assert!(
                matches!(opened.edited(text(broken), printing(false)), Err(SimpleError::Plain(_))),
                "{broken:?}"
            );
        }
        assert!(opened.edited(text("a: 1\n"), printing(false)).unwrap().is_none());
        let after = opened.edited(text("a: 2\n"), printing(false)).unwrap().unwrap();
        assert_eq!(decrypted(after, TEST_KEY).unwrap(), "a: 2\n");
    }

    #[test]
    fn editing_raises_an_older_version_and_keeps_a_later_one() {
        let raised = |version: &str| {
            let mut metadata = Metadata::new(Vec::new(), SelectionRule::default());
            metadata.version = version.to_owned();
            raise_version(&mut metadata);
            metadata.version
        };
        for version in ["3.7.0", "3.13.2", "1.14", "v3.9.9"] {
            assert_eq!(raised(version), FORMAT_VERSION, "{version}");
        }
        for version in ["3.13.3", "3.14.0", "10.0.0"] {
            assert_eq!(raised(version), version);
        }
    }

    #[test]
    fn a_file_without_a_mac_opens_only_dangerously() {
        let sealed = sealed("a: 1\n");
        let mac = shown(&sealed).lines().find(|line| line.contains(" mac: ")).unwrap();
        let without = shown(&sealed).replace(&format!("{mac}\n"), "");
        assert!(matches!(decrypted(text(&without), TEST_KEY), Err(SimpleError::Open(FileError::Mac(_)))));
        let opened = open(text(&without), store(), &keyring(TEST_KEY), MacCheck::DangerouslySkipped).unwrap();
        assert_eq!(shown(&opened.plain_text(printing(false)).unwrap()), "a: 1\n");
        assert!(!is_sealed(text(&without), store()).unwrap() && is_sealed(sealed, store()).unwrap());
    }
}
