//! Master keys: what wraps a key part, by whom, and how they are named in flags, configs and files.
//!
//! A provider is one file, one variant of [`MasterKey`] and one row of [`PROVIDERS`]. age and PGP are in
//! this build; keys of the others are read, shown and written back, and refuse to wrap or unwrap.

pub mod age;
pub mod aws;
pub mod azure;
pub mod gcp;
pub mod huawei;
pub mod pgp;
pub mod vault;

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::env::Env;
use crate::prompts::{PassphraseRequest, PromptError, Prompts};
use crate::secret::{KeyPart, SecretText};
use crate::value::Tree;

/// A key that can wrap a key part, and unwrap it for whoever holds the credential.
pub trait WrapKey {
    /// Wraps `part`, so that it may stand in a file.
    fn wrap(&self, part: &KeyPart, session: &Session) -> Result<WrappedKey, ProviderError>;

    /// Unwraps what [`WrapKey::wrap`] made.
    ///
    /// `Ok(None)`: no credential for this key here; not an error, the next key is tried.
    fn unwrap(&self, wrapped: &WrappedKey, session: &Session) -> Result<Option<KeyPart>, ProviderError>;
}

/// A key at a provider, as its public name says; equal keys have equal names.
///
/// Its `Display` is the identity that sops shows, compares and removes keys by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum MasterKey {
    /// A recipient of age.
    Age(age::Recipient),
    /// A PGP key by its fingerprint.
    Pgp(pgp::Fingerprint),
    /// A key of AWS KMS.
    Kms(aws::KmsKey),
    /// A key of GCP KMS.
    GcpKms(gcp::KmsKey),
    /// A key of Azure Key Vault.
    AzureKv(azure::VaultKey),
    /// A transit key of HashiCorp Vault or OpenBao.
    HcVault(vault::TransitKey),
    /// A key of HuaweiCloud KMS.
    HcKms(huawei::KmsKey),
}

/// Names a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProviderId {
    /// AWS KMS.
    Kms,
    /// GCP KMS.
    GcpKms,
    /// HuaweiCloud KMS.
    HcKms,
    /// Azure Key Vault.
    AzureKv,
    /// HashiCorp Vault transit.
    HcVault,
    /// PGP.
    Pgp,
    /// age.
    Age,
}

/// Everything by which a provider is called, said once.
#[derive(Debug)]
pub struct Provider {
    /// Which provider the row is about.
    pub id: ProviderId,
    /// The name people use.
    pub human_name: &'static str,
    /// The long flag without dashes; `--add-` and `--rm-` go before the same word.
    pub flag: &'static str,
    /// The short flag.
    pub short_flag: Option<char>,
    /// The variable that stands in for the flag.
    pub env_var: &'static str,
    /// The field of a creation rule.
    pub rule_field: &'static str,
    /// The field of a rule's `key_groups` entry.
    pub group_field: &'static str,
    /// The list in the `sops` block of a file.
    pub section: &'static str,
    /// The name in `--decryption-order`.
    pub order_id: &'static str,
    /// The short help of the flag.
    pub help: &'static str,
    parse: fn(&str) -> Result<MasterKey, KeyTextError>,
}

/// Every provider, in the order in which sops puts the keys of a group that it reads from a file.
pub const PROVIDERS: [Provider; 7] = [
    Provider {
        id: ProviderId::Kms,
        human_name: "AWS KMS",
        flag: "kms",
        short_flag: Some('k'),
        env_var: "SOPS_KMS_ARN",
        rule_field: "kms",
        group_field: "kms",
        section: "kms",
        order_id: "kms",
        help: "comma separated list of KMS ARNs",
        parse: |text| aws::KmsKey::parse(text).map(MasterKey::Kms),
    },
    Provider {
        id: ProviderId::GcpKms,
        human_name: "GCP KMS",
        flag: "gcp-kms",
        short_flag: None,
        env_var: "SOPS_GCP_KMS_IDS",
        rule_field: "gcp_kms",
        group_field: "gcp_kms",
        section: "gcp_kms",
        order_id: "gcp_kms",
        help: "comma separated list of GCP KMS resource IDs",
        parse: |text| gcp::KmsKey::parse(text).map(MasterKey::GcpKms),
    },
    Provider {
        id: ProviderId::HcKms,
        human_name: "HuaweiCloud KMS",
        flag: "hckms",
        short_flag: None,
        env_var: "SOPS_HUAWEICLOUD_KMS_IDS",
        rule_field: "hckms",
        group_field: "hckms",
        section: "hckms",
        order_id: "hckms",
        help: "comma separated list of HuaweiCloud KMS key IDs (region:key-uuid)",
        parse: |text| huawei::KmsKey::parse(text).map(MasterKey::HcKms),
    },
    Provider {
        id: ProviderId::AzureKv,
        human_name: "Azure Key Vault",
        flag: "azure-kv",
        short_flag: None,
        env_var: "SOPS_AZURE_KEYVAULT_URLS",
        rule_field: "azure_keyvault",
        group_field: "azure_keyvault",
        section: "azure_kv",
        order_id: "azure_kv",
        help: "comma separated list of Azure Key Vault key URLs",
        parse: |text| azure::VaultKey::parse(text).map(MasterKey::AzureKv),
    },
    Provider {
        id: ProviderId::HcVault,
        human_name: "HashiCorp Vault",
        flag: "hc-vault-transit",
        short_flag: None,
        env_var: "SOPS_VAULT_URIS",
        rule_field: "hc_vault_transit_uri",
        group_field: "hc_vault",
        section: "hc_vault",
        order_id: "hc_vault",
        help: "comma separated list of Vault transit key URIs",
        parse: |text| vault::TransitKey::parse(text).map(MasterKey::HcVault),
    },
    Provider {
        id: ProviderId::Pgp,
        human_name: "PGP",
        flag: "pgp",
        short_flag: Some('p'),
        env_var: "SOPS_PGP_FP",
        rule_field: "pgp",
        group_field: "pgp",
        section: "pgp",
        order_id: "pgp",
        help: "comma separated list of PGP fingerprints",
        parse: |text| pgp::Fingerprint::parse(text).map(MasterKey::Pgp),
    },
    Provider {
        id: ProviderId::Age,
        human_name: "age",
        flag: "age",
        short_flag: Some('a'),
        env_var: "SOPS_AGE_RECIPIENTS",
        rule_field: "age",
        group_field: "age",
        section: "age",
        order_id: "age",
        help: "comma separated list of age recipients",
        parse: |text| age::Recipient::parse(text).map(MasterKey::Age),
    },
];

impl Provider {
    /// Reads one key, as an element of the flag or of a config list spells it.
    ///
    /// The role of an AWS key comes with the text (`arn+arn`), its context and profile do not.
    pub fn parse_key(&self, text: &str) -> Result<MasterKey, KeyTextError> {
        (self.parse)(text)
    }

    /// Reads a comma separated list of keys; the empty text is the empty list.
    ///
    /// Empty elements are refused, except for the two Vault and Huawei lists, where sops skips them.
    pub fn parse_keys(&self, text: &str) -> Result<Vec<MasterKey>, KeyTextError> {
        let skips_empty = matches!(self.id, ProviderId::HcVault | ProviderId::HcKms);
        let is_skipped = |element: &str| element.trim().is_empty() && (skips_empty || text.is_empty());
        text.split(',')
            .filter(|element| !is_skipped(element))
            .map(|element| self.parse_key(element))
            .collect()
    }
}

impl ProviderId {
    /// The row of this provider.
    pub fn provider(self) -> &'static Provider {
        PROVIDERS.iter().find(|row| row.id == self).expect("every provider has its row")
    }
}

impl MasterKey {
    /// The provider of this key.
    pub fn provider_id(&self) -> ProviderId {
        match self {
            MasterKey::Age(_) => ProviderId::Age,
            MasterKey::Pgp(_) => ProviderId::Pgp,
            MasterKey::Kms(_) => ProviderId::Kms,
            MasterKey::GcpKms(_) => ProviderId::GcpKms,
            MasterKey::AzureKv(_) => ProviderId::AzureKv,
            MasterKey::HcVault(_) => ProviderId::HcVault,
            MasterKey::HcKms(_) => ProviderId::HcKms,
        }
    }

    /// The row of this key's provider.
    pub fn provider(&self) -> &'static Provider {
        self.provider_id().provider()
    }
}

impl Deref for MasterKey {
    type Target = dyn WrapKey;

    fn deref(&self) -> &Self::Target {
        match self {
            MasterKey::Age(key) => key,
            MasterKey::Pgp(key) => key,
            MasterKey::Kms(key) => key,
            MasterKey::GcpKms(key) => key,
            MasterKey::AzureKv(key) => key,
            MasterKey::HcVault(key) => key,
            MasterKey::HcKms(key) => key,
        }
    }
}

impl fmt::Display for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MasterKey::Age(key) => key.fmt(f),
            MasterKey::Pgp(key) => key.fmt(f),
            MasterKey::Kms(key) => key.fmt(f),
            MasterKey::GcpKms(key) => key.fmt(f),
            MasterKey::AzureKv(key) => key.fmt(f),
            MasterKey::HcVault(key) => key.fmt(f),
            MasterKey::HcKms(key) => key.fmt(f),
        }
    }
}

/// A wrapped key part: the `enc` text of a key in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrappedKey(String);

impl WrappedKey {
    /// Takes the text as it stands in a file, or as a provider gave it.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Master keys of which any one gives the group's part of the data key.
///
/// Beside the keys stand the fields of a file's group that this version does not know, such as the keys of
/// a provider that sops learns later; they are kept to be written back.
#[derive(Default)]
pub struct KeyGroup(pub Vec<GroupKey>, pub Vec<(String, Tree)>);

impl KeyGroup {
    /// A group of `keys` that have wrapped nothing yet; a key named twice is taken once.
    pub fn of_keys(keys: impl IntoIterator<Item = MasterKey>) -> Self {
        let mut group = Self::default();
        for key in keys {
            if !group.has(&key) {
                group.0.push(GroupKey::new(key));
            }
        }
        group
    }

    /// The keys, in order.
    pub fn keys(&self) -> impl Iterator<Item = &MasterKey> {
        self.0.iter().map(|member| &member.key)
    }

    /// Whether `key` is in the group.
    pub fn has(&self, key: &MasterKey) -> bool {
        self.keys().any(|member| member == key)
    }
}

/// A master key as a member of a group.
pub struct GroupKey {
    /// The key.
    pub key: MasterKey,
    /// What it wrapped; `None` until [`WrapKey::wrap`] was called.
    pub wrapped: Option<WrappedKey>,
    /// When it wrapped that, in RFC 3339; age keys have no such field.
    pub created_at: Option<String>,
    /// Fields of the file that this version does not know, kept to be written back.
    pub extra: Vec<(String, Tree)>,
}

impl GroupKey {
    /// A member that has wrapped nothing yet.
    pub fn new(key: MasterKey) -> Self {
        Self { key, wrapped: None, created_at: None, extra: Vec::new() }
    }
}

/// What wrapping and unwrapping need from outside: the environment, and credentials once they were loaded.
///
/// One session serves any number of files and threads; key sources are read once, when first needed.
pub struct Session {
    env: Env,
    age: age::Identities,
    prompts: Option<Arc<dyn Prompts>>,
}

impl Session {
    /// A session in the environment `env`, in which nobody can be asked.
    pub fn new(env: Env) -> Self {
        Self { env, age: age::Identities::default(), prompts: None }
    }

    /// The same session with somebody to ask for passphrases, and for what plugins want to know.
    ///
    /// Each question is asked once; the answer serves for as long as the session lives, also a wrong one.
    pub fn with_prompts(self, prompts: Arc<dyn Prompts>) -> Self {
        Self { prompts: Some(prompts), ..self }
    }

    /// Who can be asked.
    pub fn prompts(&self) -> Option<&Arc<dyn Prompts>> {
        self.prompts.as_ref()
    }

    fn ask_passphrase(&self, request: &PassphraseRequest<'_>) -> Result<SecretText, PromptError> {
        self.prompts.as_ref().ok_or(PromptError::Nobody)?.ask_passphrase(request)
    }

    fn forget_passphrase(&self, request: &PassphraseRequest<'_>) {
        if let Some(prompts) = &self.prompts {
            prompts.forget_passphrase(request);
        }
    }

    /// The environment.
    pub fn env(&self) -> &Env {
        &self.env
    }

    /// Where credentials were looked for so far, and what was found there.
    pub fn sources(&self) -> Vec<SourceReport> {
        self.age.reports()
    }
}

/// What became of one place where credentials may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceReport {
    /// The variable or file.
    pub place: String,
    /// What was found.
    pub outcome: SourceOutcome,
}

/// What was found at a place where credentials may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceOutcome {
    /// So many credentials; none is possible.
    Loaded(usize),
    /// A file that a passphrase protects, which there was no need to open.
    Locked,
    /// The variable is not set, or there is no such file.
    Absent,
    /// It could not be used.
    Rejected {
        /// Why, without any secret.
        reason: String,
    },
}

/// Why a text does not name a master key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyTextError {
    /// The text has not the form that the provider's keys have.
    #[error("{text:?} does not name a key of {provider}: {reason}")]
    Malformed {
        /// The provider's name.
        provider: &'static str,
        /// The text.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A secret key stands where a public one belongs. The text is not repeated.
    #[error("a secret key of {provider} stands where a recipient is expected")]
    Secret {
        /// The provider's name.
        provider: &'static str,
    },
}

/// Why a provider did not wrap or unwrap.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProviderError {
    /// Keys of this provider cannot be used by this build.
    #[error("{provider} is not available in this build, so key {key} cannot be used")]
    NotAvailable {
        /// The provider's name.
        provider: &'static str,
        /// The key's identity.
        key: String,
    },
    /// The key's text is not one that the provider understands.
    #[error(transparent)]
    Key(#[from] KeyTextError),
    /// The wrapped text is not what the provider makes.
    #[error("the wrapped data key of {key} is damaged: {reason}")]
    Damaged {
        /// The key's identity.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Unwrapping failed although there may be a credential.
    #[error("{provider} failed to unwrap with {key}: {reason}")]
    UnwrapFailed {
        /// The provider's name.
        provider: &'static str,
        /// The key's identity.
        key: String,
        /// What went wrong.
        reason: String,
    },
    /// Wrapping failed.
    #[error("{provider} failed to wrap for {key}: {reason}")]
    WrapFailed {
        /// The provider's name.
        provider: &'static str,
        /// The key's identity.
        key: String,
        /// What went wrong.
        reason: String,
    },
    /// Nothing here opens what is for the key.
    #[error("no credential for {key} was found")]
    NoCredential {
        /// The key's identity.
        key: String,
    },
    /// A key service of another process did not do it.
    #[error("the key service {address} did not help with {key}: {reason}")]
    Remote {
        /// The address of the service.
        address: String,
        /// The key's identity.
        key: String,
        /// What went wrong.
        reason: String,
    },
}

/// The answer of a provider that is read and written but cannot act yet.
fn not_available<T>(id: ProviderId, key: &dyn fmt::Display) -> Result<T, ProviderError> {
    Err(ProviderError::NotAvailable { provider: id.provider().human_name, key: key.to_string() })
}

/// A text without its blanks, as sops takes ARNs, resource names and fingerprints.
fn without_blanks(text: &str) -> String {
    text.chars().filter(|&c| c != ' ').collect()
}

fn malformed(id: ProviderId, text: &str, reason: impl Into<String>) -> KeyTextError {
    KeyTextError::Malformed {
        provider: id.provider().human_name,
        text: text.to_owned(),
        reason: reason.into(),
    }
}
