//! Keys of AWS KMS.

use std::collections::BTreeMap;
use std::fmt;

use super::{
    KeyTextError, ProviderError, ProviderId, Session, WrapKey, WrappedKey, malformed, not_available,
    without_blanks,
};
use crate::secret::KeyPart;

/// A key of AWS KMS.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct KmsKey {
    /// The key's ARN.
    pub arn: String,
    /// The role to assume for it; empty for none.
    pub role: String,
    /// The encryption context; a value may be null in a file.
    pub context: BTreeMap<String, Option<String>>,
    /// The profile to take credentials from; empty for none.
    pub aws_profile: String,
}

impl KmsKey {
    /// Reads `arn` or `arn+arn-of-role`. Blanks are dropped.
    pub fn parse(text: &str) -> Result<Self, KeyTextError> {
        let arn = without_blanks(text);
        // A key's path may hold a plus but no colon, so `+arn:` can only start the role.
        let (arn, role) = match arn.find("+arn:") {
            Some(at) if at > 0 => (arn[..at].to_owned(), arn[at + 1..].to_owned()),
            _ => (arn, String::new()),
        };
        if arn.is_empty() {
            return Err(malformed(ProviderId::Kms, text, "it is empty"));
        }
        Ok(Self { arn, role, ..Self::default() })
    }

    /// The same key with an encryption context and a profile.
    pub fn with(self, context: BTreeMap<String, Option<String>>, aws_profile: &str) -> Self {
        Self { context, aws_profile: aws_profile.to_owned(), ..self }
    }
}

/// Reads an encryption context, `name:value,name:value`.
pub fn parse_context(text: &str) -> Result<BTreeMap<String, Option<String>>, KeyTextError> {
    // sops drops the whole context with a warning when one item is wrong; that would weaken the binding.
    let item = |item: &str| match item.split_once(':') {
        Some((name, value)) if !value.contains(':') => Ok((name.to_owned(), Some(value.to_owned()))),
        _ => Err(malformed(ProviderId::Kms, item, "an encryption context is name:value,name:value")),
    };
    if text.is_empty() { Ok(BTreeMap::new()) } else { text.split(',').map(item).collect() }
}

impl fmt::Display for KmsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.arn)?;
        if !self.role.is_empty() {
            write!(f, "+{}", self.role)?;
        }
        if self.context.is_empty() && self.aws_profile.is_empty() {
            return Ok(());
        }
        f.write_str("|")?;
        for (at, (name, value)) in self.context.iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            write!(f, "{comma}{name}:{}", value.as_deref().unwrap_or_default())?;
        }
        if self.aws_profile.is_empty() { Ok(()) } else { write!(f, "|{}", self.aws_profile) }
    }
}

impl WrapKey for KmsKey {
    fn wrap(&self, _part: &KeyPart, _session: &Session) -> Result<WrappedKey, ProviderError> {
        not_available(ProviderId::Kms, self)
    }

    fn unwrap(&self, _wrapped: &WrappedKey, _session: &Session) -> Result<Option<KeyPart>, ProviderError> {
        not_available(ProviderId::Kms, self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_follows_a_plus() {
        let key = KmsKey::parse(" arn:aws:kms:us-east-1:1:key/a+b + arn:aws:iam::1:role/r").unwrap();
        assert_eq!(key.arn, "arn:aws:kms:us-east-1:1:key/a+b");
        assert_eq!(key.role, "arn:aws:iam::1:role/r");
        assert_eq!(KmsKey::parse("arn:x+y").unwrap().role, "");
    }

    #[test]
    fn the_identity_says_role_context_and_profile() {
        let key = |role: &str, context: &str, profile: &str| {
            KmsKey { arn: "foo".into(), role: role.into(), ..KmsKey::default() }
                .with(parse_context(context).unwrap(), profile)
                .to_string()
        };
        assert_eq!(key("", "", ""), "foo");
        assert_eq!(key("", "", "bar"), "foo||bar");
        assert_eq!(key("123", "", ""), "foo+123");
        assert_eq!(key("123", "baz:bam", "bar"), "foo+123|baz:bam|bar");
        assert_eq!(key("", "z:1,a:2", ""), "foo|a:2,z:1");
    }

    #[test]
    fn a_broken_context_is_an_error_not_an_empty_context() {
        for text in ["a", "a:b:c", "a:b,", ","] {
            assert!(parse_context(text).is_err(), "{text}");
        }
    }
}
