//! Reads and writes files in the format of sops 3.13, changing only the bytes that must change.
#![cfg_attr(not(test), forbid(unsafe_code))]
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod cipher;
pub mod config;
pub mod document;
pub mod env;
pub mod explain;
pub mod file;
pub mod go_regex;
pub mod key_path;
pub mod keyring;
pub mod mac;
pub mod manual;
pub mod metadata;
pub mod provider;
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
