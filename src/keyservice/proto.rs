//! The messages of sops' key service (proto3 without a package), and master keys as they stand in them.
//!
//! Those that hold a key part wipe it when they are dropped and cannot be printed. The buffers in which the gRPC library
//! carries their encoded form are out of reach.

use std::collections::BTreeMap;
use std::fmt;

use prost::{Message, Oneof};

use crate::provider::{MasterKey, age, aws, azure, gcp, huawei, pgp, vault};
use crate::secret;

/// The full names of the two methods.
pub(super) const ENCRYPT: &str = "/KeyService/Encrypt";
pub(super) const DECRYPT: &str = "/KeyService/Decrypt";

#[derive(Message)]
#[prost(skip_debug)]
pub(super) struct EncryptRequest {
    #[prost(message, optional, tag = "1")]
    pub(super) key: Option<Key>,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) plaintext: Vec<u8>,
}

#[derive(Message)]
pub(super) struct EncryptResponse {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) ciphertext: Vec<u8>,
}

#[derive(Message)]
pub(super) struct DecryptRequest {
    #[prost(message, optional, tag = "1")]
    pub(super) key: Option<Key>,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) ciphertext: Vec<u8>,
}

#[derive(Message)]
#[prost(skip_debug)]
pub(super) struct DecryptResponse {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) plaintext: Vec<u8>,
}

impl Drop for EncryptRequest {
    fn drop(&mut self) {
        secret::wipe(&mut self.plaintext);
    }
}

impl Drop for DecryptResponse {
    fn drop(&mut self) {
        secret::wipe(&mut self.plaintext);
    }
}

impl fmt::Debug for EncryptRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptRequest").field("key", &self.key).finish_non_exhaustive()
    }
}

impl fmt::Debug for DecryptResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecryptResponse").finish_non_exhaustive()
    }
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Key {
    #[prost(oneof = "KeyType", tags = "1, 2, 3, 4, 5, 6, 7")]
    pub(super) key_type: Option<KeyType>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum KeyType {
    #[prost(message, tag = "1")]
    Kms(KmsKey),
    #[prost(message, tag = "2")]
    Pgp(PgpKey),
    #[prost(message, tag = "3")]
    GcpKms(GcpKmsKey),
    #[prost(message, tag = "4")]
    AzureKeyvault(AzureKeyVaultKey),
    #[prost(message, tag = "5")]
    Vault(VaultKey),
    #[prost(message, tag = "6")]
    Age(AgeKey),
    #[prost(message, tag = "7")]
    Hckms(HckmsKey),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct PgpKey {
    #[prost(string, tag = "1")]
    fingerprint: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct KmsKey {
    #[prost(string, tag = "1")]
    arn: String,
    #[prost(string, tag = "2")]
    role: String,
    #[prost(btree_map = "string, string", tag = "3")]
    context: BTreeMap<String, String>,
    #[prost(string, tag = "4")]
    aws_profile: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct GcpKmsKey {
    #[prost(string, tag = "1")]
    resource_id: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct AzureKeyVaultKey {
    #[prost(string, tag = "1")]
    vault_url: String,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(string, tag = "3")]
    version: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct VaultKey {
    #[prost(string, tag = "1")]
    vault_address: String,
    #[prost(string, tag = "2")]
    engine_path: String,
    #[prost(string, tag = "3")]
    key_name: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct AgeKey {
    #[prost(string, tag = "1")]
    recipient: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct HckmsKey {
    #[prost(string, tag = "1")]
    key_id: String,
}

impl Key {
    /// The key as it is sent.
    pub(super) fn of(key: &MasterKey) -> Self {
        let key_type = match key.clone() {
            MasterKey::Age(key) => KeyType::Age(AgeKey { recipient: key.to_string() }),
            MasterKey::Pgp(key) => KeyType::Pgp(PgpKey { fingerprint: key.text }),
            MasterKey::Kms(key) => KeyType::Kms(KmsKey {
                arn: key.arn,
                role: key.role,
                context: key
                    .context
                    .into_iter()
                    .map(|(name, value)| (name, value.unwrap_or_default()))
                    .collect(),
                aws_profile: key.aws_profile,
            }),
            MasterKey::GcpKms(key) => KeyType::GcpKms(GcpKmsKey { resource_id: key.resource_id }),
            MasterKey::AzureKv(key) => KeyType::AzureKeyvault(AzureKeyVaultKey {
                vault_url: key.vault_url,
                name: key.name,
                version: key.version,
            }),
            MasterKey::HcVault(key) => KeyType::Vault(VaultKey {
                vault_address: key.vault_address,
                engine_path: key.engine_path,
                key_name: key.key_name,
            }),
            MasterKey::HcKms(key) => KeyType::Hckms(HckmsKey { key_id: key.key_id }),
        };
        Self { key_type: Some(key_type) }
    }

    /// The key that was sent; `None` if there is none, or one of a kind that is not known.
    pub(super) fn master_key(self) -> Option<MasterKey> {
        Some(match self.key_type? {
            KeyType::Age(key) => MasterKey::Age(age::Recipient::of_file(&key.recipient)),
            KeyType::Pgp(key) => MasterKey::Pgp(pgp::Fingerprint { text: key.fingerprint }),
            KeyType::Kms(key) => MasterKey::Kms(aws::KmsKey {
                arn: key.arn,
                role: key.role,
                context: key.context.into_iter().map(|(name, value)| (name, Some(value))).collect(),
                aws_profile: key.aws_profile,
            }),
            KeyType::GcpKms(key) => MasterKey::GcpKms(gcp::KmsKey { resource_id: key.resource_id }),
            KeyType::AzureKeyvault(key) => MasterKey::AzureKv(azure::VaultKey {
                vault_url: key.vault_url,
                name: key.name,
                version: key.version,
            }),
            KeyType::Vault(key) => MasterKey::HcVault(vault::TransitKey {
                vault_address: key.vault_address,
                engine_path: key.engine_path,
                key_name: key.key_name,
            }),
            KeyType::Hckms(key) => MasterKey::HcKms(huawei::KmsKey { key_id: key.key_id }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::PROVIDERS;

    #[test]
    fn a_key_of_every_provider_comes_back_as_it_was_sent() {
        let texts = [
            "arn:aws:kms:eu-west-1:1:key/k+arn:aws:iam::1:role/r",
            "projects/p/locations/global/keyRings/r/cryptoKeys/k",
            "eu-west-1:0000",
            "https://v.vault.azure.net/keys/k/1",
            "https://vault:8200/v1/transit/keys/k",
            "85D77543B3D624B63CEA9E6DBC17301B491B3F21",
            "age1yt3tfqlfrwdwx0z0ynwplcr6qxcxfaqycuprpmy89nr83ltx74tqdpszlw",
        ];
        for (provider, text) in PROVIDERS.iter().zip(texts) {
            let key = match provider.parse_key(text).unwrap() {
                MasterKey::Kms(key) => {
                    MasterKey::Kms(key.with(aws::parse_context("app:one,zone:two").unwrap(), "profile"))
                }
                key => key,
            };
            let sent = Key::of(&key).encode_to_vec();
            assert_eq!(Key::decode(&*sent).unwrap().master_key(), Some(key), "{text}");
        }
    }

    #[test]
    fn a_key_of_a_later_version_is_no_key() {
        // Field 8, a message without fields.
        assert_eq!(Key::decode(&[0x42, 0x00][..]).unwrap().master_key(), None);
        assert_eq!(Key::default().master_key(), None);
    }

    #[test]
    fn messages_have_the_field_numbers_of_the_protocol() {
        let request = EncryptRequest {
            key: Some(Key { key_type: Some(KeyType::Age(AgeKey { recipient: "r".into() })) }),
            plaintext: b"p".to_vec(),
        };
        // key 1 { age_key 6 { recipient 1 "r" } }, plaintext 2 "p"
        assert_eq!(request.encode_to_vec(), [0x0a, 0x05, 0x32, 0x03, 0x0a, 0x01, b'r', 0x12, 0x01, b'p']);
    }

    #[test]
    fn key_parts_are_not_printed() {
        let request = EncryptRequest { key: None, plaintext: b"canary".to_vec() };
        let response = DecryptResponse { plaintext: b"canary".to_vec() };
        let printed = format!("{request:?} {response:?}");
        assert!(!printed.contains("canary") && !printed.contains(&format!("{:?}", b"canary")), "{printed}");
    }
}
