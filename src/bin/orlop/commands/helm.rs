//! `orlop helm …`: the real helm, with sealed values files opened in memory.

use std::ffi::OsString;
use std::path::Path;

use orlop::simple::{self, MacCheck};
use orlop::store::{Format, Store};
use orlop::{Env, Keyring, SecretText, Session};

use crate::error::{CommandError, Kind};
use crate::helm::{self, Found, HelmError, Surroundings, Use};
use crate::io;

/// Hands the command line over to helm.
///
/// Helm's words are not parsed with the rest of orlop's command line: they are helm's own, in any encoding.
/// On Linux only an error comes back, elsewhere also helm's exit code.
pub(crate) fn run(words: Vec<OsString>, env: &Env) -> Result<u8, CommandError> {
    let keyring = Keyring::new(Session::new(env.clone()));
    helm::run(words, &Surroundings::of_this_process(), |file, purpose| open(file, purpose, &keyring))
        .map_err(described)
}

/// Opens `file` if it is sealed.
fn open(file: &Path, purpose: Use, keyring: &Keyring) -> Result<Found, CommandError> {
    let store = match purpose {
        Use::Values => Format::Yaml.store(),
        Use::Verbatim => Format::of_path(file).store(),
    };
    let Some(store) = store else { return Ok(Found::Plain) };
    let text = io::read(file)?;
    if !is_sealed(&text, store) {
        return Ok(Found::Plain);
    }
    match simple::decrypt(text, store, keyring, MacCheck::Required) {
        Ok(plain) => Ok(Found::Opened(plain)),
        Err(error) => Err(CommandError::from(error)),
    }
}

/// Whether a text is meant to be sealed: at its top there is a map `sops` with a `mac`.
///
/// A text that helm's reader may take but ours does not is left to helm, unless it looks sealed.
fn is_sealed(text: &SecretText, store: &'static dyn Store) -> bool {
    if !contains(text.expose(), b"sops") || !contains(text.expose(), b"mac") {
        return false;
    }
    match store.parse(SecretText::copy_of(text.expose())) {
        Ok(document) => match store.metadata(&document) {
            Ok(metadata) => metadata.is_some_and(|block| block.entry("mac").is_some()),
            Err(_) => document.has_metadata(),
        },
        Err(_) => contains(text.expose(), b"ENC["),
    }
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|window| window == word)
}

fn described(error: HelmError<CommandError>) -> CommandError {
    let text = error.to_string();
    match error {
        HelmError::Sealed { failures } => sealed(text, failures),
        HelmError::NoHelm => {
            CommandError::new(Kind::Generic, text).hint("install helm, or name it in HELM_SECRETS_HELM_PATH")
        }
        HelmError::Loop => {
            CommandError::new(Kind::Generic, text).hint("name the real helm in HELM_SECRETS_HELM_PATH")
        }
        HelmError::Channel { source, .. } => CommandError::new(Kind::Generic, format!("{text}: {source}")),
        HelmError::CoreDumps { source } | HelmError::Start { source, .. } => {
            CommandError::new(Kind::Generic, format!("{text}: {source}"))
        }
        _ => CommandError::new(Kind::Generic, text),
    }
}

/// One error out of those of several files; the first decides the exit code.
fn sealed(message: String, failures: Vec<(std::path::PathBuf, CommandError)>) -> CommandError {
    let kind = failures.first().map_or(Kind::Generic, |(_, error)| error.kind);
    let mut all = CommandError::new(kind, format!("{message}; helm was not started"));
    for (file, error) in failures {
        all.details.push(format!("{}: {}", file.display(), error.message));
        all.details.extend(error.details.into_iter().map(|line| format!("  {line}")));
        for hint in error.hints {
            if !all.hints.contains(&hint) {
                all.hints.push(hint);
            }
        }
    }
    all
}
