//! Somebody who can be asked: how the library gets at a passphrase without a terminal of its own.

use crate::secret::SecretText;

/// Asks a person, or a program that knows the person's answers.
///
/// The library itself writes and reads nothing; who uses it gives a session one of these, or none: then whatever
/// would have to be asked fails, and the error says what it was about.
pub trait Prompts: Send + Sync {
    /// Shows a message, such as "touch your key now".
    fn show(&self, message: &str);

    /// Lets the person choose between `yes` and `no`; without a `no`, between `yes` and giving up.
    fn confirm(&self, question: &str, yes: &str, no: Option<&str>) -> Result<bool, PromptError>;

    /// Asks for a text that is no secret.
    fn ask(&self, question: &str) -> Result<String, PromptError>;

    /// Asks for a passphrase.
    fn ask_passphrase(&self, request: &PassphraseRequest<'_>) -> Result<SecretText, PromptError>;

    /// Says that what was answered to `request` is wrong, so that no agent keeps it.
    fn forget_passphrase(&self, _request: &PassphraseRequest<'_>) {}
}

/// A question for a passphrase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassphraseRequest<'r> {
    /// The whole question, which names what the passphrase opens.
    pub question: &'r str,
    /// The name under which an agent may keep the answer; without one, nobody may.
    pub cache_id: Option<&'r str>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PromptError {
    /// There is no terminal, or the session has nobody to ask.
    #[error("there is nobody to ask")]
    Nobody,
    /// The person does not want to answer.
    #[error("the question was cancelled")]
    Cancelled,
    /// Asking failed.
    #[error("asking failed: {reason}")]
    Failed {
        /// Why, without any answer.
        reason: String,
    },
}
