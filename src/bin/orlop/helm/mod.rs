//! The helm wrapper: which words name values files, how helm gets their plaintext, and the start of helm.
//!
//! [`args`] is pure and knows helm's grammar, [`channel`] knows what the operating system offers for
//! handing over a text that is in no file, [`run`] puts the two together.

pub(crate) mod args;
pub(crate) mod channel;
pub(crate) mod run;

pub(crate) use args::Use;
pub(crate) use run::{Found, HelmError, Surroundings, run};
