//! `orlop helm …`: the real helm, with sealed values files opened in memory.

use std::ffi::OsString;
use std::path::Path;

use orlop::simple::{self, MacCheck, SimpleError};
use orlop::store::{Format, Store, toml};
use orlop::{Env, Keyring, SecretText};

use crate::args::Services;
use crate::argv;
use crate::context::keyring;
use crate::error::{CommandError, Kind};
use crate::helm::{self, Found, HelmError, Surroundings, Use};
use crate::io;

/// Hands the command line over to helm.
///
/// Helm's words are not parsed with the rest of orlop's command line: they are helm's own, in any encoding.
/// On Linux only an error comes back, elsewhere also helm's exit code.
pub(crate) fn run(words: Vec<OsString>, env: &Env) -> Result<u8, CommandError> {
    // Helm's words hold no flags of ours; what sops' own variables say counts here as well.
    let services = services_of(env)?;
    let keyring = keyring(env, &services, env.text("SOPS_DECRYPTION_ORDER"))?;
    helm::run(words, &Surroundings::of_this_process(), |file, purpose| open(file, purpose, &keyring))
        .map_err(described)
}

/// The key services that the variables name.
fn services_of(env: &Env) -> Result<Services, CommandError> {
    let list = env.text("SOPS_KEYSERVICE").unwrap_or_default();
    let uris = list.split(',').map(str::trim).filter(|uri| !uri.is_empty());
    // sops: a variable that is there and empty is a no.
    let enable_local_keyservice = match env.text("SOPS_ENABLE_LOCAL_KEYSERVICE") {
        None => true,
        Some("") => false,
        Some(value) => argv::boolean(value).ok_or_else(|| {
            let what = "is neither true nor false";
            CommandError::usage(format!("SOPS_ENABLE_LOCAL_KEYSERVICE is {value:?}, which {what}"))
        })?,
    };
    Ok(Services { enable_local_keyservice, keyservice: uris.map(str::to_owned).collect() })
}

/// Opens `file` if it is sealed.
fn open(file: &Path, purpose: Use, keyring: &Keyring) -> Result<Found, CommandError> {
    let text = io::read(file)?;
    let store = match (purpose, Format::of_path(file)) {
        (Use::Values, _) => Format::Yaml.store(),
        (Use::Verbatim, Format::Toml) if toml::is_envelope(text.expose()) => Format::Binary.store(),
        (Use::Verbatim, format) => format.store(),
    };
    // Most files are plain, and most of those do not even hold the word.
    if !contains(text.expose(), b"sops") {
        return Ok(Found::Plain);
    }
    let copy = SecretText::copy_of(text.expose());
    match simple::decrypt(text, store, &keyring.for_file(file), MacCheck::Required) {
        Ok(plain) => Ok(Found::Opened(plain)),
        Err(SimpleError::Sealed(_)) if !is_sealed(copy, store) => Ok(Found::Plain),
        Err(error) => Err(CommandError::from(error)),
    }
}

/// Whether a text that cannot be read as a sealed file is meant to be one: at its top there is a map `sops` with a
/// `mac`, as there is no chart of that shape.
///
/// A text that helm's reader may take but ours does not is left to helm, unless it looks sealed.
fn is_sealed(text: SecretText, store: &'static dyn Store) -> bool {
    // A binary file may be anything, unless it begins like an envelope.
    let is_of_format = store.envelope().is_none() || text.expose().trim_ascii_start().starts_with(b"{");
    let looks_sealed = contains(text.expose(), b"ENC[") && is_of_format;
    match store.parse(text) {
        Ok(document) => match store.metadata(&document) {
            Ok(metadata) => metadata.is_some_and(|block| block.entry("mac").is_some()),
            Err(_) => looks_sealed,
        },
        Err(_) => looks_sealed,
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
