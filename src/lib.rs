//! Reads and writes files in the format of sops 3.13, changing only the bytes that must change.
#![forbid(unsafe_code)]
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod key_path;
pub mod secret;
pub mod span;
pub mod store;
pub mod value;

pub use key_path::{Aad, KeyPath, Step, TreePath};
pub use secret::{DataKey, KeyPart, SecretBytes, SecretText};
pub use value::{Kind, Plaintext, Tree};
