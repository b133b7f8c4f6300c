//! Reads and writes files in the format of sops 3.13, changing only the bytes that must change.
//!
//! A sealed file is a file of YAML, JSON, dotenv, INI or any other bytes whose values are encrypted one by one with a
//! *data key*, and which carries, wrapped for each of its *master keys*, that data key with it. This library opens,
//! makes and changes such files. It reads no environment, prints nothing, and keeps every plaintext in memory that is
//! wiped.
//!
//! # The short way
//!
//! [`simple`] does a whole file in one call. Sealing takes a text, who may open it, and which values to seal:
//!
//! ```
//! use orlop::provider::{KeyGroup, ProviderId};
//! use orlop::simple::{self, MacCheck, Printing};
//! use orlop::store::{Format, Style};
//! use orlop::{Env, Keyring, Metadata, SecretText, SelectionRule, Session};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let key_file = include_str!("../testdata/keys/age-test.txt");
//! # let recipient = key_file.lines().find_map(|line| line.strip_prefix("# public key: ")).unwrap();
//! # let identity = key_file.lines().find(|line| line.starts_with("AGE-")).unwrap();
//! let plain = "# who connects\ndb:\n  user: app\n  password: 'hunter2'\n";
//! let yaml = Format::of_path("secrets.yaml".as_ref()).store();
//!
//! // For whom: here one age recipient. Any key of the group opens the file.
//! let group = KeyGroup::of_keys(ProviderId::Age.provider().parse_keys(recipient)?);
//! let which = SelectionRule::EncryptedRegex("^password$".to_owned());
//! let printing = Printing { store: yaml, style: Style { indent: 4, tabs: false }, reprint: false };
//! let keyring = Keyring::new(Session::new(Env::from_iter([("SOPS_AGE_KEY", identity)])));
//! let text = SecretText::copy_of(plain.as_bytes());
//! let sealed = simple::encrypt(text, yaml, Metadata::new(vec![group], which), &keyring, printing)?.text;
//!
//! // What git may see: everything is where it was, but for the value.
//! let shown = String::from_utf8_lossy(sealed.expose()).into_owned();
//! assert!(shown.starts_with("# who connects\ndb:\n  user: app\n  password: 'ENC[AES256_GCM,"));
//! assert!(!shown.contains("hunter2"));
//!
//! // And back, byte for byte.
//! let opened = simple::decrypt(sealed, yaml, &keyring, MacCheck::Required)?;
//! assert_eq!(opened.expose(), plain.as_bytes());
//! # Ok(())
//! # }
//! ```
//!
//! [`simple::open`] gives an opened file to look into ([`extract`](simple::Opened::extract)) or to change
//! ([`set`](simple::Opened::set), [`unset`](simple::Opened::unset), [`edited`](simple::Opened::edited),
//! [`rotate`](simple::Opened::rotate)); [`simple::plan_key_update`] changes who can open it.
//!
//! # The typed way
//!
//! Each step of that is a type of its own, for those who get the data key, or want the values, in another way:
//! [`PlainFile`] is sealed, [`SealedFile`] is opened with a [`DataKey`] that a [`Keyring`] unlocks, and
//! [`OpenFile`] is what may be read.
//!
//! ```
//! use orlop::store::Format;
//! use orlop::{Env, Keyring, SealedFile, SecretText, Session, TreePath};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let key_file = include_str!("../testdata/keys/age-test.txt");
//! # let identity = key_file.lines().find(|line| line.starts_with("AGE-")).unwrap();
//! # let text = include_str!("../testdata/sops/3.9.4/values.yaml");
//! let yaml = Format::Yaml.store();
//! let sealed = SealedFile::parse(SecretText::copy_of(text.as_bytes()), yaml)?;
//! assert_eq!(sealed.metadata().version, "3.9.4");
//!
//! let keyring = Keyring::new(Session::new(Env::from_iter([("SOPS_AGE_KEY", identity)])));
//! let data_key = keyring.unlock(&sealed.metadata().key_groups, sealed.metadata().shamir_threshold)?;
//! let open = sealed.open(&data_key)?;
//! assert!(open.is_verified());
//!
//! let document = open.plain_document()?;
//! let path = TreePath::parse(r#"["service"]["port"]"#)?;
//! let leaf = document.node(&path).expect("it is there");
//! assert_eq!(leaf.span().of(document.bytes()), b"8443");
//! # Ok(())
//! # }
//! ```
//!
//! # Where things are
//!
//! | to | see |
//! |---|---|
//! | seal, open and change whole files | [`simple`], [`file`](mod@file) |
//! | say who can open a file, and get at its data key | [`provider`], [`keyring`], [`shamir`] |
//! | be asked for passphrases | [`prompts`] |
//! | choose which values are sealed | [`selection`] |
//! | read `.sops.yaml`, and ask why it decides as it does | [`config`], [`explain`] |
//! | read and print formats | [`store`], [`document`] |
//! | seal single values | [`cipher`], [`mac`], [`key_path`], [`value`] |
//! | know what is promised to users | [`manual`] |
#![cfg_attr(not(test), forbid(unsafe_code))]
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod audit;
pub mod cipher;
pub mod config;
pub mod document;
pub mod env;
pub mod explain;
pub mod file;
pub mod go_regex;
pub mod key_path;
pub mod keyring;
#[cfg(feature = "keyservice")]
pub mod keyservice;
pub mod mac;
pub mod manual;
pub mod metadata;
#[cfg(feature = "net")]
pub mod net;
pub mod prompts;
pub mod provider;
#[cfg(feature = "publish")]
pub mod publish;
pub mod secret;
pub mod selection;
pub mod shamir;
pub mod simple;
pub mod span;
pub mod store;
pub mod timestamp;
pub mod value;

pub use config::{Config, CreationRule};
pub use env::Env;
pub use file::{FileError, OpenFile, PlainFile, SealedFile};
pub use key_path::{Aad, KeyPath, Step, TreePath};
pub use keyring::Keyring;
pub use metadata::Metadata;
pub use provider::{KeyGroup, MasterKey, Session};
pub use secret::{DataKey, KeyPart, SecretBytes, SecretText};
pub use selection::{CommentStack, Selection, SelectionRule};
pub use value::{Kind, Plaintext, Tree};
