//! Keys of HuaweiCloud KMS.

use std::fmt;

use super::{
    KeyTextError, ProviderError, ProviderId, Session, WrapKey, WrappedKey, malformed, not_available,
};
use crate::secret::KeyPart;

/// A key of HuaweiCloud KMS.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KmsKey {
    /// `region:uuid`.
    pub key_id: String,
}

impl KmsKey {
    /// Reads `region:uuid`.
    pub fn parse(text: &str) -> Result<Self, KeyTextError> {
        let key = Self { key_id: text.trim().to_owned() };
        match key.key_id.split_once(':') {
            Some((region, uuid)) if !region.trim().is_empty() && !uuid.trim().is_empty() => Ok(key),
            _ => Err(malformed(ProviderId::HcKms, text, "it is not of the form region:uuid")),
        }
    }
}

impl fmt::Display for KmsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key_id)
    }
}

impl WrapKey for KmsKey {
    fn wrap(&self, _part: &KeyPart, _session: &Session) -> Result<WrappedKey, ProviderError> {
        not_available(ProviderId::HcKms, self)
    }

    fn unwrap(&self, _wrapped: &WrappedKey, _session: &Session) -> Result<Option<KeyPart>, ProviderError> {
        not_available(ProviderId::HcKms, self)
    }
}
