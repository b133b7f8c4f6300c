//! PGP keys.

use std::fmt;

use super::{
    KeyTextError, ProviderError, ProviderId, Session, WrapKey, WrappedKey, malformed, not_available,
    without_blanks,
};
use crate::secret::KeyPart;

/// A PGP key by its fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Fingerprint {
    /// The fingerprint, without blanks; a `!` at its end forces a subkey.
    pub text: String,
}

impl Fingerprint {
    /// Reads a fingerprint. Blanks are dropped, the rest is kept as it is.
    pub fn parse(text: &str) -> Result<Self, KeyTextError> {
        match without_blanks(text) {
            empty if empty.is_empty() => Err(malformed(ProviderId::Pgp, text, "it is empty")),
            text => Ok(Self { text }),
        }
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl WrapKey for Fingerprint {
    fn wrap(&self, _part: &KeyPart, _session: &Session) -> Result<WrappedKey, ProviderError> {
        not_available(ProviderId::Pgp, self)
    }

    fn unwrap(&self, _wrapped: &WrappedKey, _session: &Session) -> Result<Option<KeyPart>, ProviderError> {
        not_available(ProviderId::Pgp, self)
    }
}
