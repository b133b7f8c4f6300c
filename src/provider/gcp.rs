//! Keys of GCP KMS.

use std::fmt;

use super::{
    KeyTextError, ProviderError, ProviderId, Session, WrapKey, WrappedKey, malformed, not_available,
    without_blanks,
};
use crate::secret::KeyPart;

/// A key of GCP KMS.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KmsKey {
    /// `projects/…/locations/…/keyRings/…/cryptoKeys/…`; looked at only when the key is used, as in sops.
    pub resource_id: String,
}

impl KmsKey {
    /// Reads a resource id. Blanks are dropped.
    pub fn parse(text: &str) -> Result<Self, KeyTextError> {
        match without_blanks(text) {
            empty if empty.is_empty() => Err(malformed(ProviderId::GcpKms, text, "it is empty")),
            resource_id => Ok(Self { resource_id }),
        }
    }
}

impl fmt::Display for KmsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.resource_id)
    }
}

impl WrapKey for KmsKey {
    fn wrap(&self, _part: &KeyPart, _session: &Session) -> Result<WrappedKey, ProviderError> {
        not_available(ProviderId::GcpKms, self)
    }

    fn unwrap(&self, _wrapped: &WrappedKey, _session: &Session) -> Result<Option<KeyPart>, ProviderError> {
        not_available(ProviderId::GcpKms, self)
    }
}
