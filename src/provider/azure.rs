//! Keys of Azure Key Vault.

use std::fmt;

use super::{
    KeyTextError, ProviderError, ProviderId, Session, WrapKey, WrappedKey, malformed, not_available,
};
use crate::secret::KeyPart;

/// A key of Azure Key Vault.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct VaultKey {
    /// The vault, `https://name.vault.azure.net`.
    pub vault_url: String,
    /// The key's name.
    pub name: String,
    /// The key's version; empty as long as the newest one was not looked up.
    pub version: String,
}

impl VaultKey {
    /// Reads `https://vault/keys/name/version`; the version may be missing.
    pub fn parse(text: &str) -> Result<Self, KeyTextError> {
        let not_a_key =
            || malformed(ProviderId::AzureKv, text, "it is not of the form https://vault/keys/name/version");
        let url = text.trim();
        let host =
            url.strip_prefix("https://").and_then(|rest| rest.split('/').next()).ok_or_else(not_a_key)?;
        let (vault_url, path) = url.split_at("https://".len() + host.len());
        let mut steps = path.split('/').skip(1);
        match (steps.next(), steps.next(), steps.next(), steps.next()) {
            (Some("keys"), Some(name), version, None) if !host.is_empty() && !name.is_empty() => Ok(Self {
                vault_url: vault_url.to_owned(),
                name: name.to_owned(),
                version: version.unwrap_or_default().to_owned(),
            }),
            _ => Err(not_a_key()),
        }
    }
}

impl fmt::Display for VaultKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/keys/{}/{}", self.vault_url, self.name, self.version)
    }
}

impl WrapKey for VaultKey {
    fn wrap(&self, _part: &KeyPart, _session: &Session) -> Result<WrappedKey, ProviderError> {
        not_available(ProviderId::AzureKv, self)
    }

    fn unwrap(&self, _wrapped: &WrappedKey, _session: &Session) -> Result<Option<KeyPart>, ProviderError> {
        not_available(ProviderId::AzureKv, self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_url_has_a_vault_a_name_and_perhaps_a_version() {
        let key = VaultKey::parse(" https://v.vault.azure.net/keys/k/1234 ").unwrap();
        assert_eq!((&*key.vault_url, &*key.name, &*key.version), ("https://v.vault.azure.net", "k", "1234"));
        assert_eq!(key.to_string(), "https://v.vault.azure.net/keys/k/1234");
        for without_version in ["https://v/keys/k", "https://v/keys/k/"] {
            assert_eq!(VaultKey::parse(without_version).unwrap().version, "", "{without_version}");
        }
    }

    #[test]
    fn other_urls_are_refused() {
        for text in [
            "",
            "http://v/keys/k/1",
            "https:///keys/k/1",
            "https://v/secrets/k/1",
            "https://v/keys//1",
            "https://v/keys/k/1/2",
        ] {
            assert!(VaultKey::parse(text).is_err(), "{text}");
        }
    }
}
