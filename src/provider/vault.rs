//! Transit keys of HashiCorp Vault.

use std::fmt;

use super::{
    KeyTextError, ProviderError, ProviderId, Session, WrapKey, WrappedKey, malformed, not_available,
};
use crate::secret::KeyPart;

/// A key of Vault's transit engine.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TransitKey {
    /// The server, `https://vault.example:8200`.
    pub vault_address: String,
    /// Where the engine is mounted.
    pub engine_path: String,
    /// The key's name.
    pub key_name: String,
}

impl TransitKey {
    /// Reads `https://vault.example:8200/v1/engine/keys/name`.
    pub fn parse(text: &str) -> Result<Self, KeyTextError> {
        let refuse = |reason| Err(malformed(ProviderId::HcVault, text, reason));
        let Some((scheme, rest)) = text.split_once("://").filter(|(scheme, _)| !scheme.is_empty()) else {
            return refuse("it has no scheme such as https://");
        };
        if rest.contains(['?', '#']) {
            return refuse("it has a query or a fragment");
        }
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let steps: Vec<&str> = path.split('/').filter(|step| !step.is_empty()).collect();
        // sops: three steps must follow the API version, and nothing may go before it.
        let is_version = |step: &str| step.strip_prefix('v').is_some_and(is_digits);
        match (0..steps.len().saturating_sub(3)).rev().find(|&at| is_version(steps[at])) {
            Some(0) => {}
            Some(_) => return refuse("a path before the API version is not possible"),
            None => return refuse("it is not of the form https://host/v1/engine/keys/name"),
        }
        let (engine, name) = steps[1..].split_at(steps.len() - 3);
        Ok(Self {
            vault_address: format!("{scheme}://{host}"),
            engine_path: engine.join("/"),
            key_name: name[1].to_owned(),
        })
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

impl fmt::Display for TransitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/v1/{}/keys/{}", self.vault_address, self.engine_path, self.key_name)
    }
}

impl WrapKey for TransitKey {
    fn wrap(&self, _part: &KeyPart, _session: &Session) -> Result<WrappedKey, ProviderError> {
        not_available(ProviderId::HcVault, self)
    }

    fn unwrap(&self, _wrapped: &WrappedKey, _session: &Session) -> Result<Option<KeyPart>, ProviderError> {
        not_available(ProviderId::HcVault, self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engine_is_what_stands_between_the_version_and_the_last_two_steps() {
        let key = TransitKey::parse("https://vault.me.com:8200/v1/super42/bestmarket/keys/slig").unwrap();
        assert_eq!(key.vault_address, "https://vault.me.com:8200");
        assert_eq!(key.engine_path, "super42/bestmarket");
        assert_eq!(key.key_name, "slig");
        assert_eq!(key.to_string(), "https://vault.me.com:8200/v1/super42/bestmarket/keys/slig");
        assert_eq!(TransitKey::parse("http://h/v1/transit/keys/k/").unwrap().engine_path, "transit");
    }

    #[test]
    fn other_addresses_are_refused() {
        for text in [
            "",
            "vault.me.com/v1/a/keys/b",
            "https://h/v1/a/b",
            "https://h/prefix/v1/a/keys/b",
            "https://h/x1/a/keys/b",
        ] {
            assert!(TransitKey::parse(text).is_err(), "{text}");
        }
    }
}
