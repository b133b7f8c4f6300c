//! `age-plugin-*` programs: found on PATH, spoken to by the age crate, and their questions passed on.
//!
//! A plugin sees the environment and the PATH of this process. With `AGEDEBUG=plugin` the age crate would show all that
//! is said, keys and PINs too, so no plugin runs then.

use std::sync::{Arc, Mutex, PoisonError};

use ::age::plugin::{Identity, IdentityPluginV1, Recipient, RecipientPluginV1};
use ::age::secrecy::SecretString;
use ::age::{Callbacks, DecryptError, EncryptError};
use age_core::format::{FileKey, Stanza};

use super::identity::{Trouble, secret_string};
use crate::prompts::{PassphraseRequest, PromptError, Prompts};
use crate::provider::Session;

/// The program of a plugin that was to wrap.
pub(super) fn wrapper(text: &str, session: &Session) -> Result<Wrapper, String> {
    let recipient: Recipient = text.parse().map_err(str::to_owned)?;
    forbid_eavesdropping(session)?;
    let asking = Asking::new(recipient.plugin(), session);
    let inner =
        RecipientPluginV1::new(recipient.plugin(), std::slice::from_ref(&recipient), &[], asking.clone())
            .map_err(|error| match error {
                EncryptError::MissingPlugin { binary_name } => missing(&binary_name),
                error => super::one_line(&error),
            })?;
    Ok(Wrapper { inner, asking })
}

/// A plugin that wraps.
pub(super) struct Wrapper {
    inner: RecipientPluginV1<Asking>,
    asking: Asking,
}

impl Wrapper {
    /// The plugin as the age crate takes it.
    pub(super) fn recipient(&self) -> &dyn ::age::Recipient {
        &self.inner
    }

    /// What to say of a failure.
    pub(super) fn reason(&self, error: String) -> String {
        self.asking.reason(error)
    }
}

/// Whether a text is well made for a recipient of a plugin.
pub(super) fn check_recipient(text: &str) -> Result<(), &'static str> {
    text.parse::<Recipient>().map(drop)
}

/// Asks the plugin of `identity` to unwrap.
pub(super) fn unwrap(
    identity: &Identity,
    stanzas: &[Stanza],
    session: &Session,
) -> Option<Result<FileKey, Trouble>> {
    if let Err(reason) = forbid_eavesdropping(session) {
        return Some(Err(Trouble::Failed(reason)));
    }
    let asking = Asking::new(identity.plugin(), session);
    let plugin =
        match IdentityPluginV1::new(identity.plugin(), std::slice::from_ref(identity), asking.clone()) {
            Ok(plugin) => plugin,
            Err(DecryptError::MissingPlugin { binary_name }) => {
                return Some(Err(Trouble::Failed(missing(&binary_name))));
            }
            Err(error) => return Some(Err(Trouble::Failed(super::one_line(&error)))),
        };
    let result = ::age::Identity::unwrap_stanzas(&plugin, stanzas)?;
    Some(result.map_err(|error| Trouble::Failed(asking.reason(super::one_line(&error)))))
}

fn forbid_eavesdropping(session: &Session) -> Result<(), String> {
    match session.env().text("AGEDEBUG") {
        Some("plugin") => Err("AGEDEBUG=plugin would print keys and PINs; unset it".to_owned()),
        _ => Ok(()),
    }
}

fn missing(program: &str) -> String {
    format!("{program} is not installed: no such program on PATH")
}

/// Passes a plugin's questions on, and remembers why one had no answer.
#[derive(Clone)]
struct Asking {
    program: String,
    prompts: Option<Arc<dyn Prompts>>,
    unanswered: Arc<Mutex<Option<PromptError>>>,
}

impl Asking {
    fn new(plugin: &str, session: &Session) -> Self {
        Self {
            program: format!("age-plugin-{plugin}"),
            prompts: session.prompts().cloned(),
            unanswered: Arc::default(),
        }
    }

    fn asked<T>(&self, ask: impl FnOnce(&dyn Prompts) -> Result<T, PromptError>) -> Option<T> {
        let answer = self.prompts.as_deref().ok_or(PromptError::Nobody).and_then(ask);
        let missed = |error| *self.unanswered.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        answer.map_err(missed).ok()
    }

    fn reason(&self, error: String) -> String {
        let unanswered = self.unanswered.lock().unwrap_or_else(PoisonError::into_inner);
        match &*unanswered {
            Some(why) => format!("{} has a question, and {why}", self.program),
            None => format!("{}: {error}", self.program),
        }
    }

    fn question(&self, text: &str) -> String {
        format!("{}: {}", self.program, super::printable(text))
    }
}

impl Callbacks for Asking {
    fn display_message(&self, message: &str) {
        if let Some(prompts) = &self.prompts {
            prompts.show(&self.question(message));
        }
    }

    fn confirm(&self, message: &str, yes: &str, no: Option<&str>) -> Option<bool> {
        let no = no.map(super::printable);
        self.asked(|prompts| prompts.confirm(&self.question(message), &super::printable(yes), no.as_deref()))
    }

    fn request_public_string(&self, description: &str) -> Option<String> {
        self.asked(|prompts| prompts.ask(&self.question(description)))
    }

    fn request_passphrase(&self, description: &str) -> Option<SecretString> {
        let question = self.question(description);
        let request = PassphraseRequest { question: &question, cache_id: None };
        let answer = self.asked(|prompts| prompts.ask_passphrase(&request))?;
        secret_string(&answer).ok()
    }
}
