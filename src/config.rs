//! `.sops.yaml`: for which files which keys, and which of their values are sealed.
//!
//! Reading is pure; [`discover`] alone looks at the file system.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Component, Path, PathBuf};

use serde::de::{self, DeserializeOwned, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::go_regex::{GoRegex, GoRegexError};
use crate::provider::{GroupKey, KeyGroup, KeyTextError, MasterKey, ProviderId, aws, azure};
use crate::selection::{SelectionError, SelectionOptions, SelectionRule};

/// The name a config file must have to be found.
pub const CONFIG_FILE_NAME: &str = ".sops.yaml";
/// The name that people give it by mistake.
const IGNORED_FILE_NAME: &str = ".sops.yml";
/// So many folders are looked into, from the first upwards.
const MAX_DEPTH: usize = 100;

/// What [`discover`] saw.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// The nearest config file; it may still be unreadable, or a folder.
    pub config: Option<PathBuf>,
    /// Files named `.sops.yml` on the way to it, which are not read; nearest first.
    pub ignored_sops_yml: Vec<PathBuf>,
}

/// Looks for a config file in the folder `start` and those above it.
///
/// `start` must be absolute.
pub fn discover(start: &Path) -> Found {
    let mut found = Found::default();
    for folder in cleaned(start).ancestors().take(MAX_DEPTH) {
        let config = folder.join(CONFIG_FILE_NAME);
        if config.exists() {
            found.config = Some(config);
            break;
        }
        let ignored = folder.join(IGNORED_FILE_NAME);
        if ignored.exists() {
            found.ignored_sops_yml.push(ignored);
        }
    }
    found
}

/// A config file that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    path: PathBuf,
    text: String,
    creation_rules: Option<Vec<CreationRule>>,
    destination_rules: Vec<DestinationRule>,
    stores: Stores,
}

/// Why a config file, or a rule of it, cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The text is not YAML, or not of the shape of a config file.
    #[error("{} is not a valid config file: {reason}", path.display())]
    Invalid {
        /// The config file.
        path: PathBuf,
        /// What is wrong, and where.
        reason: String,
    },
    /// No creation rule matches.
    #[error("no creation rule of {} matches {file}", path.display())]
    NoMatchingRule {
        /// The config file.
        path: PathBuf,
        /// The file, as the rules see it: relative to the config file when it is below it.
        file: String,
    },
    /// No destination rule matches.
    #[error("no destination rule of {} matches {file}", path.display())]
    NoMatchingDestination {
        /// The config file.
        path: PathBuf,
        /// The file as it was named.
        file: String,
    },
    /// A destination rule names more than one destination.
    #[error("{place} names more than one destination")]
    MoreThanOneDestination {
        /// The rule, such as `destination_rules[0]`.
        place: String,
    },
    /// A `path_regex` that had to be asked does not compile.
    #[error("path_regex {pattern:?} of {place} is not a valid regular expression: {source}")]
    InvalidPathRegex {
        /// The rule, such as `creation_rules[0]`.
        place: String,
        /// The expression.
        pattern: String,
        /// What is wrong with it.
        source: GoRegexError,
    },
    /// A list of keys that is neither a text nor a list of texts.
    #[error("{field} of {place} must be a text or a list of texts, not {found}")]
    InvalidKeyList {
        /// The rule.
        place: String,
        /// The option.
        field: &'static str,
        /// What stands there.
        found: &'static str,
    },
    /// A text that does not name a key.
    #[error("{place}: {source}")]
    InvalidKey {
        /// The rule.
        place: String,
        /// What is wrong with the key.
        source: KeyTextError,
    },
    /// The rule does not say which values are sealed, but contradicts itself.
    #[error("{place}: {source}")]
    Selection {
        /// The rule.
        place: String,
        /// What is wrong.
        source: SelectionError,
    },
}

impl Config {
    /// Reads the config file's text. `path` is where it stands, and must be absolute.
    ///
    /// Unknown keys are ignored; a key that occurs twice and a value of the wrong type are errors.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let path = cleaned(path);
        let file: ConfigFile = read_yaml(text).map_err(|error| ConfigError::Invalid {
            path: path.clone(),
            reason: without_secret(error.to_string()),
        })?;
        let mut config = Self {
            path,
            text: text.to_owned(),
            creation_rules: file.creation_rules,
            destination_rules: file.destination_rules,
            stores: file.stores,
        };
        for (index, rule) in config.creation_rules.iter_mut().flatten().enumerate() {
            rule.place = format!("creation_rules[{index}]");
        }
        for (index, rule) in config.destination_rules.iter_mut().enumerate() {
            rule.place = format!("destination_rules[{index}]");
            rule.recreation_rule.place = format!("recreation_rule of {}", rule.place);
        }
        Ok(config)
    }

    /// Where the config file stands.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The text as it was read.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The creation rules in order; none when the config has no `creation_rules` at all.
    pub fn creation_rules(&self) -> &[CreationRule] {
        self.creation_rules.as_deref().unwrap_or_default()
    }

    /// How files are laid out.
    pub fn stores(&self) -> Stores {
        self.stores
    }

    /// The first creation rule whose `path_regex` is missing, empty, or found in the path of `file`, which
    /// must be absolute. A file below the config file's folder is matched by its path from there.
    ///
    /// `None` when the config has no `creation_rules` at all: it counts as absent then.
    pub fn rule_for(&self, file: &Path) -> Result<Option<&CreationRule>, ConfigError> {
        let Some(rules) = &self.creation_rules else { return Ok(None) };
        let file = self.as_rules_see(file);
        for rule in rules {
            if path_matches(&rule.path_regex, &file, &rule.place)? {
                return Ok(Some(rule));
            }
        }
        Err(ConfigError::NoMatchingRule { path: self.path.clone(), file })
    }

    /// The first destination rule for `file`, which is matched as the user named it.
    ///
    /// An invalid `path_regex` is an error; sops passes the rule over and may publish somewhere else.
    pub fn destination_for(&self, file: &str) -> Result<&DestinationRule, ConfigError> {
        for rule in &self.destination_rules {
            if path_matches(&rule.path_regex, file, &rule.place)? {
                let named = [&rule.s3_bucket, &rule.gcs_bucket, &rule.vault_path];
                return match named.iter().filter(|name| !name.is_empty()).count() {
                    0 | 1 => Ok(rule),
                    _ => Err(ConfigError::MoreThanOneDestination { place: rule.place.clone() }),
                };
            }
        }
        Err(ConfigError::NoMatchingDestination { path: self.path.clone(), file: file.to_owned() })
    }

    /// The path of `file`, which must be absolute, as `path_regex` is tried on it: from the config file's folder
    /// when it is below it.
    pub fn as_rules_see(&self, file: &Path) -> String {
        let file = cleaned(file).to_string_lossy().into_owned();
        let folder = self.path.parent().unwrap_or(Path::new("/")).to_string_lossy();
        // sops: beside a config file in `/` the prefix is `//`, and paths stay absolute.
        match file.strip_prefix(&*folder).and_then(|rest| rest.strip_prefix(std::path::MAIN_SEPARATOR)) {
            Some(relative) if folder != "/" => relative.to_owned(),
            _ => file,
        }
    }
}

fn path_matches(pattern: &str, path: &str, place: &str) -> Result<bool, ConfigError> {
    if pattern.is_empty() {
        return Ok(true);
    }
    let regex = GoRegex::new(pattern).map_err(|source| ConfigError::InvalidPathRegex {
        place: place.to_owned(),
        pattern: pattern.to_owned(),
        source,
    })?;
    // A config file is shared between systems that write paths differently.
    let separator = std::path::MAIN_SEPARATOR;
    Ok(regex.is_match(path) || (separator != '/' && regex.is_match(&path.replace(separator, "/"))))
}

/// `path` without `.` and `..`, by the text alone.
fn cleaned(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                clean.pop();
            }
            other => clean.push(other),
        }
    }
    clean
}

/// How new files, and those a creation rule matches, get their keys and their selection.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct CreationRule {
    #[serde(skip)]
    place: String,
    #[serde(deserialize_with = "or_default")]
    path_regex: String,
    kms: KeyList,
    #[serde(deserialize_with = "or_default")]
    aws_profile: String,
    age: KeyList,
    pgp: KeyList,
    gcp_kms: KeyList,
    #[serde(deserialize_with = "list")]
    hckms: Vec<String>,
    azure_keyvault: KeyList,
    hc_vault_transit_uri: KeyList,
    #[serde(deserialize_with = "list")]
    key_groups: Vec<GroupEntry>,
    #[serde(deserialize_with = "or_default")]
    shamir_threshold: i64,
    unencrypted_suffix: Option<String>,
    encrypted_suffix: Option<String>,
    unencrypted_regex: Option<String>,
    encrypted_regex: Option<String>,
    unencrypted_comment_regex: Option<String>,
    encrypted_comment_regex: Option<String>,
    #[serde(deserialize_with = "yaml_1_1_bool")]
    mac_only_encrypted: bool,
}

impl CreationRule {
    /// Where the rule stands, for messages: `creation_rules[0]`.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// The expression that the path must match; empty for all paths.
    pub fn path_regex(&self) -> &str {
        &self.path_regex
    }

    /// The key groups, their keys in the order in which sops writes them.
    ///
    /// Without `key_groups` there is one group, of the keys that stand in the rule itself. It may be empty:
    /// the rule then only says which values are sealed.
    pub fn key_groups(&self) -> Result<Vec<KeyGroup>, ConfigError> {
        self.key_groups_in_context(&BTreeMap::new())
    }

    /// As [`key_groups`](Self::key_groups), with an encryption context for the AWS keys that stand in the
    /// rule itself. Keys in `key_groups` have their own.
    pub fn key_groups_in_context(
        &self,
        context: &BTreeMap<String, Option<String>>,
    ) -> Result<Vec<KeyGroup>, ConfigError> {
        if self.key_groups.is_empty() {
            return self.own_keys(context).map(|group| vec![group]);
        }
        let group = |entry: &GroupEntry| entry.keys().map(KeyGroup::of_keys);
        self.key_groups
            .iter()
            .map(group)
            .collect::<Result<_, _>>()
            .map_err(|source| ConfigError::InvalidKey { place: self.place.clone(), source })
    }

    /// How many groups are needed to open the file; `None` for all of them.
    pub fn shamir_threshold(&self) -> Option<i64> {
        (self.shamir_threshold != 0).then_some(self.shamir_threshold)
    }

    /// The rule by which values are chosen; `None` when the default is to be used.
    pub fn selection(&self) -> Result<Option<SelectionRule>, ConfigError> {
        SelectionRule::from_options(SelectionOptions {
            unencrypted_suffix: self.unencrypted_suffix.clone(),
            encrypted_suffix: self.encrypted_suffix.clone(),
            unencrypted_regex: self.unencrypted_regex.clone(),
            encrypted_regex: self.encrypted_regex.clone(),
            unencrypted_comment_regex: self.unencrypted_comment_regex.clone(),
            encrypted_comment_regex: self.encrypted_comment_regex.clone(),
        })
        .map_err(|source| ConfigError::Selection { place: self.place.clone(), source })
    }

    /// Whether the MAC covers sealed values only.
    pub fn mac_only_encrypted(&self) -> bool {
        self.mac_only_encrypted
    }

    /// The keys beside `path_regex`. A key named twice stays so, as in sops.
    fn own_keys(&self, context: &BTreeMap<String, Option<String>>) -> Result<KeyGroup, ConfigError> {
        let hckms = KeyList::Keys(self.hckms.clone());
        let lists = [
            (ProviderId::Age, &self.age),
            (ProviderId::Pgp, &self.pgp),
            (ProviderId::Kms, &self.kms),
            (ProviderId::GcpKms, &self.gcp_kms),
            (ProviderId::HcKms, &hckms),
            (ProviderId::AzureKv, &self.azure_keyvault),
            (ProviderId::HcVault, &self.hc_vault_transit_uri),
        ];
        let mut group = KeyGroup::default();
        for (id, list) in lists {
            let keys = match list {
                KeyList::Keys(keys) => keys,
                KeyList::Invalid(found) => {
                    return Err(ConfigError::InvalidKeyList {
                        place: self.place.clone(),
                        field: id.provider().rule_field,
                        found,
                    });
                }
            };
            // sops: an element of a list may be a comma separated list itself.
            let keys = id
                .provider()
                .parse_keys(&keys.join(","))
                .map_err(|source| ConfigError::InvalidKey { place: self.place.clone(), source })?;
            group.0.extend(keys.into_iter().map(|key| match key {
                MasterKey::Kms(key) => {
                    GroupKey::new(MasterKey::Kms(key.with(context.clone(), &self.aws_profile)))
                }
                other => GroupKey::new(other),
            }));
        }
        Ok(group)
    }
}

/// Where `publish` puts a file, and how it is sealed there.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct DestinationRule {
    #[serde(skip)]
    place: String,
    #[serde(deserialize_with = "or_default")]
    path_regex: String,
    /// The S3 bucket; empty for none.
    #[serde(deserialize_with = "or_default")]
    pub s3_bucket: String,
    /// What is put before the name in the S3 bucket.
    #[serde(deserialize_with = "or_default")]
    pub s3_prefix: String,
    /// The bucket of Google Cloud Storage; empty for none.
    #[serde(deserialize_with = "or_default")]
    pub gcs_bucket: String,
    /// What is put before the name in that bucket.
    #[serde(deserialize_with = "or_default")]
    pub gcs_prefix: String,
    /// The path in Vault; empty for none.
    #[serde(deserialize_with = "or_default")]
    pub vault_path: String,
    /// Vault's address; empty for that of the environment.
    #[serde(deserialize_with = "or_default")]
    pub vault_address: String,
    /// Where Vault's key-value engine is mounted; empty for the default.
    #[serde(deserialize_with = "or_default")]
    pub vault_kv_mount_name: String,
    /// The version of that engine; 0 for the default.
    #[serde(deserialize_with = "or_default")]
    pub vault_kv_version: i64,
    /// The keys and the selection at the destination.
    #[serde(deserialize_with = "or_default")]
    pub recreation_rule: CreationRule,
    /// Whether the file's extension is left out of its name.
    #[serde(deserialize_with = "yaml_1_1_bool")]
    pub omit_extensions: bool,
}

/// How deep each format is indented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stores {
    /// Spaces for JSON; -1 for a tab.
    pub json_indent: i64,
    /// Spaces for the JSON around a binary file; -1 for a tab.
    pub json_binary_indent: i64,
    /// Spaces for YAML; 0 for its default.
    pub yaml_indent: i64,
}

impl Default for Stores {
    fn default() -> Self {
        Self { json_indent: -1, json_binary_indent: -1, yaml_indent: 0 }
    }
}

/// A config file as it is written.
#[derive(Default, Deserialize)]
#[serde(default)]
struct ConfigFile {
    #[serde(deserialize_with = "optional_list")]
    creation_rules: Option<Vec<CreationRule>>,
    #[serde(deserialize_with = "list")]
    destination_rules: Vec<DestinationRule>,
    #[serde(deserialize_with = "or_default")]
    stores: Stores,
}

/// A group of `key_groups`.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
struct GroupEntry {
    #[serde(deserialize_with = "list")]
    merge: Vec<GroupEntry>,
    #[serde(deserialize_with = "list")]
    kms: Vec<KmsEntry>,
    #[serde(deserialize_with = "list")]
    gcp_kms: Vec<GcpKmsEntry>,
    #[serde(deserialize_with = "list")]
    hckms: Vec<HcKmsEntry>,
    #[serde(deserialize_with = "list")]
    azure_keyvault: Vec<AzureEntry>,
    #[serde(deserialize_with = "list")]
    hc_vault: Vec<String>,
    #[serde(deserialize_with = "list")]
    age: Vec<String>,
    #[serde(deserialize_with = "list")]
    pgp: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
struct KmsEntry {
    #[serde(deserialize_with = "or_default")]
    arn: String,
    #[serde(deserialize_with = "or_default")]
    role: String,
    #[serde(deserialize_with = "or_default")]
    context: BTreeMap<String, Option<String>>,
    #[serde(deserialize_with = "or_default")]
    aws_profile: String,
}

#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
struct GcpKmsEntry {
    #[serde(deserialize_with = "or_default")]
    resource_id: String,
}

#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
struct HcKmsEntry {
    #[serde(deserialize_with = "or_default")]
    key_id: String,
}

#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
struct AzureEntry {
    #[serde(rename = "vaultUrl", deserialize_with = "or_default")]
    vault_url: String,
    #[serde(deserialize_with = "or_default")]
    key: String,
    #[serde(deserialize_with = "or_default")]
    version: String,
}

impl GroupEntry {
    /// The keys, those of merged groups first.
    fn keys(&self) -> Result<Vec<MasterKey>, KeyTextError> {
        let mut keys = Vec::new();
        for merged in &self.merge {
            keys.extend(merged.keys()?);
        }
        for list in &self.age {
            keys.extend(ProviderId::Age.provider().parse_keys(list)?);
        }
        for fingerprint in &self.pgp {
            keys.push(ProviderId::Pgp.provider().parse_key(fingerprint)?);
        }
        for entry in &self.kms {
            keys.push(entry.key()?);
        }
        for entry in &self.gcp_kms {
            keys.push(ProviderId::GcpKms.provider().parse_key(&entry.resource_id)?);
        }
        for entry in &self.hckms {
            keys.push(ProviderId::HcKms.provider().parse_key(&entry.key_id)?);
        }
        for entry in &self.azure_keyvault {
            keys.push(entry.key()?);
        }
        for uri in &self.hc_vault {
            keys.push(ProviderId::HcVault.provider().parse_key(uri)?);
        }
        Ok(keys)
    }
}

impl KmsEntry {
    fn key(&self) -> Result<MasterKey, KeyTextError> {
        let mut key = aws::KmsKey::parse(&self.arn)?.with(self.context.clone(), &self.aws_profile);
        if !self.role.is_empty() {
            key.role.clone_from(&self.role);
        }
        Ok(MasterKey::Kms(key))
    }
}

impl AzureEntry {
    fn key(&self) -> Result<MasterKey, KeyTextError> {
        if self.vault_url.is_empty() || self.key.is_empty() {
            // Neither has a default; the provider's own message says what is expected.
            return ProviderId::AzureKv.provider().parse_key(&self.vault_url);
        }
        Ok(MasterKey::AzureKv(azure::VaultKey {
            vault_url: self.vault_url.clone(),
            name: self.key.clone(),
            version: self.version.clone(),
        }))
    }
}

/// Keys of one provider, written as a comma separated text or as a list.
#[derive(Debug, Clone, PartialEq, Eq)]
enum KeyList {
    Keys(Vec<String>),
    /// Neither of them. sops: an error only when the rule is used.
    Invalid(&'static str),
}

impl Default for KeyList {
    fn default() -> Self {
        Self::Keys(Vec::new())
    }
}

impl<'de> Deserialize<'de> for KeyList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyListVisitor;

        impl<'de> Visitor<'de> for KeyListVisitor {
            type Value = KeyList;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of texts")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<KeyList, E> {
                let keys = text.split(',').map(str::trim).filter(|key| !key.is_empty());
                Ok(KeyList::Keys(keys.map(str::to_owned).collect()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<KeyList, A::Error> {
                let (mut keys, mut invalid) = (Vec::new(), None);
                while let Some(item) = list.next_element::<serde_yaml::Value>()? {
                    match item {
                        serde_yaml::Value::String(key) => keys.push(key),
                        _ => invalid = Some(KeyList::Invalid("a list of something else")),
                    }
                }
                Ok(invalid.unwrap_or(KeyList::Keys(keys)))
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<KeyList, A::Error> {
                while map.next_entry::<de::IgnoredAny, de::IgnoredAny>()?.is_some() {}
                Ok(KeyList::Invalid("a map"))
            }

            fn visit_unit<E>(self) -> Result<KeyList, E> {
                Ok(KeyList::default())
            }

            fn visit_bool<E>(self, _: bool) -> Result<KeyList, E> {
                Ok(KeyList::Invalid("a boolean"))
            }

            fn visit_i64<E>(self, _: i64) -> Result<KeyList, E> {
                Ok(KeyList::Invalid("a number"))
            }

            fn visit_u64<E>(self, _: u64) -> Result<KeyList, E> {
                Ok(KeyList::Invalid("a number"))
            }

            fn visit_i128<E>(self, _: i128) -> Result<KeyList, E> {
                Ok(KeyList::Invalid("a number"))
            }

            fn visit_u128<E>(self, _: u128) -> Result<KeyList, E> {
                Ok(KeyList::Invalid("a number"))
            }

            fn visit_f64<E>(self, _: f64) -> Result<KeyList, E> {
                Ok(KeyList::Invalid("a number"))
            }
        }

        deserializer.deserialize_any(KeyListVisitor)
    }
}

impl<'de> Deserialize<'de> for Stores {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Indented {
            indent: Option<i64>,
        }
        #[derive(Default, Deserialize)]
        struct Empty {}
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct File {
            json: Option<Indented>,
            json_binary: Option<Indented>,
            yaml: Option<Indented>,
            // Read only to refuse what is no map: these two have no options yet.
            #[serde(rename = "dotenv")]
            _dotenv: Option<Empty>,
            #[serde(rename = "ini")]
            _ini: Option<Empty>,
        }
        let (file, default) = (File::deserialize(deserializer)?, Stores::default());
        let indent =
            |store: Option<Indented>, default| store.and_then(|store| store.indent).unwrap_or(default);
        Ok(Self {
            json_indent: indent(file.json, default.json_indent),
            json_binary_indent: indent(file.json_binary, default.json_binary_indent),
            yaml_indent: indent(file.yaml, default.yaml_indent),
        })
    }
}

/// A value whose `null` is its default.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Option::deserialize(from).map(Option::unwrap_or_default)
}

/// A list whose `null` is empty.
fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Vec<T>, D::Error> {
    optional_list(from).map(Option::unwrap_or_default)
}

/// A list, or `null`. sops: an element that is `null` does not count.
fn optional_list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    from: D,
) -> Result<Option<Vec<T>>, D::Error> {
    let list: Option<Vec<Option<T>>> = Option::deserialize(from)?;
    Ok(list.map(|elements| elements.into_iter().flatten().collect()))
}

/// A boolean, which YAML 1.1 also spells with these words. sops takes them where it expects a boolean.
fn yaml_1_1_bool<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Spelled {
        Bool(bool),
        Word(String),
        Null(()),
    }
    match Spelled::deserialize(from).map_err(|_| de::Error::custom("expected a boolean"))? {
        Spelled::Bool(value) => Ok(value),
        Spelled::Null(()) => Ok(false),
        Spelled::Word(word) => match word.as_str() {
            "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Ok(true),
            "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Ok(false),
            _ => Err(de::Error::custom("expected a boolean")),
        },
    }
}

/// Reads the first document of `text`; nothing at all is the default.
fn read_yaml<T: DeserializeOwned + Default>(text: &str) -> Result<T, serde_yaml::Error> {
    // The parser takes a byte order mark for the start of the first key.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let Some(document) = serde_yaml::Deserializer::from_str(text).next() else { return Ok(T::default()) };
    // The untyped tree refuses any key that occurs twice; the typed reader passes over unknown ones.
    let mut tree = serde_yaml::Value::deserialize(document)?;
    if tree.is_null() {
        return Ok(T::default());
    }
    if text.contains("<<") {
        tree.apply_merge()?;
        return serde_yaml::from_value(tree);
    }
    // Read again from the text, whose errors know their line, and where `007` is still that text.
    match serde_yaml::Deserializer::from_str(text).next() {
        Some(document) => T::deserialize(document),
        None => Ok(T::default()),
    }
}

/// A parser's message, unless it repeats a secret key that was pasted in the wrong place.
fn without_secret(message: String) -> String {
    let upper = message.to_ascii_uppercase();
    match ["SECRET-KEY", "PRIVATE KEY", "AGE-PLUGIN-"].iter().any(|mark| upper.contains(mark)) {
        true => "a secret key stands where it does not belong".to_owned(),
        false => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: &str = "age1ctm2j5ncvfn72kdmdwuuv5qzkugl42fdllu0zs5rdkfc6jxqyeasell9gc";
    const BOB: &str = "age1j3d9cwus0g64nxm5r7k7k33mx5lhafv7r37r7cg2uhlg3exehssq55cxm4";
    const FINGERPRINT: &str = "FBC7B9E2A4F9289AC0C1D4843D16CEE4A27381B4";

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(text, Path::new("/repo/.sops.yaml"))
    }

    /// The config whose one rule has these fields, each on its line.
    fn rule(fields: &str) -> CreationRule {
        let fields = fields.replace('\n', "\n    ");
        let config = parse(&format!("creation_rules:\n  - path_regex: ''\n    {fields}\n")).unwrap();
        config.rule_for(Path::new("/repo/x")).unwrap().unwrap().clone()
    }

    fn names(groups: &[KeyGroup]) -> Vec<Vec<String>> {
        groups.iter().map(|group| group.keys().map(ToString::to_string).collect()).collect()
    }

    #[track_caller]
    fn matched(config: &str, file: &str) -> String {
        match parse(config).unwrap().rule_for(Path::new(file)) {
            Ok(Some(rule)) => rule.aws_profile.clone(),
            Ok(None) => "no config".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn the_first_rule_found_in_the_path_from_the_config_file_is_used() {
        let config = r"
creation_rules:
  - {path_regex: '^prod/', aws_profile: prod}
  - {path_regex: '\.enc\.', aws_profile: enc}
  - {path_regex: '^/repo', aws_profile: below}
  - {path_regex: '^/other/', aws_profile: beside}
";
        assert_eq!(matched(config, "/repo/prod/a.enc.yaml"), "prod");
        assert_eq!(matched(config, "/repo/x/prod/a.enc.yaml"), "enc");
        assert_eq!(matched(config, "/other/a.yaml"), "beside");
        assert_eq!(matched(config, "/repo/x/../prod/./a.yaml"), "prod");
        assert_eq!(matched(config, "/repository/a.yaml"), "below", "only whole folders are taken off");
        assert_eq!(matched(config, "/repo/x.yaml"), "no creation rule of /repo/.sops.yaml matches x.yaml");
    }

    #[test]
    fn a_missing_or_empty_path_regex_matches_everything() {
        assert_eq!(matched("creation_rules: [{aws_profile: all}]", "/repo/a"), "all");
        assert_eq!(matched("creation_rules: [{path_regex: '', aws_profile: all}]", "/elsewhere/a"), "all");
        assert_eq!(matched("creation_rules: [{path_regex: null, aws_profile: all}]", "/repo/a"), "all");
    }

    #[test]
    fn a_config_without_creation_rules_counts_as_absent() {
        for text in
            ["", "# nothing\n", "creation_rules:\n", "stores: {yaml: {indent: 2}}", "other: 1", "---\n"]
        {
            assert_eq!(matched(text, "/repo/a"), "no config", "{text:?}");
        }
        assert_eq!(
            matched("creation_rules: []", "/repo/a"),
            "no creation rule of /repo/.sops.yaml matches a"
        );
    }

    #[test]
    fn a_broken_path_regex_matters_only_when_it_is_asked() {
        let config = "creation_rules: [{path_regex: ^a$, aws_profile: first}, {path_regex: '('}]";
        assert_eq!(matched(config, "/repo/a"), "first");
        assert_eq!(
            matched(config, "/repo/b"),
            "path_regex \"(\" of creation_rules[1] is not a valid regular expression: missing closing )"
        );
    }

    #[test]
    fn beside_a_config_in_the_root_folder_paths_stay_absolute() {
        let config =
            Config::parse("creation_rules: [{path_regex: ^/etc}]", Path::new("/.sops.yaml")).unwrap();
        assert!(config.rule_for(Path::new("/etc/x")).is_ok());
    }

    #[test]
    fn keys_are_written_as_a_text_or_as_a_list() {
        let comma = rule(&format!("age: ' {ALICE} , {BOB},'"));
        let list = rule(&format!("age:\n  - {ALICE}\n  - {BOB}"));
        let both = rule(&format!("age:\n  - {ALICE},{BOB}"));
        for rule in [comma, list, both] {
            assert_eq!(names(&rule.key_groups().unwrap()), [[ALICE, BOB]]);
        }
    }

    #[test]
    fn keys_of_a_rule_come_in_the_order_of_sops_and_are_not_deduplicated() {
        let rule = rule(&format!(
            "hc_vault_transit_uri: https://v.example/v1/transit/keys/k
azure_keyvault: https://a.vault.azure.net/keys/k/1
hckms: ['r:uuid']
gcp_kms: projects/p
kms: arn:aws:kms:x
aws_profile: me
pgp: {FINGERPRINT}
age: {ALICE},{ALICE}"
        ));
        assert_eq!(
            names(&rule.key_groups().unwrap()),
            [[
                ALICE,
                ALICE,
                FINGERPRINT,
                "arn:aws:kms:x||me",
                "projects/p",
                "r:uuid",
                "https://a.vault.azure.net/keys/k/1",
                "https://v.example/v1/transit/keys/k"
            ]]
        );
    }

    #[test]
    fn an_encryption_context_is_for_the_keys_of_the_rule_itself() {
        let context = BTreeMap::from([("app".to_owned(), Some("x".to_owned()))]);
        let own = rule("kms: arn:aws:kms:x");
        assert_eq!(names(&own.key_groups_in_context(&context).unwrap()), [["arn:aws:kms:x|app:x"]]);
        let grouped = rule("key_groups: [{kms: [{arn: arn:aws:kms:x, context: {own: y}}]}]");
        assert_eq!(names(&grouped.key_groups_in_context(&context).unwrap()), [["arn:aws:kms:x|own:y"]]);
    }

    #[test]
    fn groups_take_merged_keys_first_and_each_key_once() {
        let rule = rule(&format!(
            "age: {BOB}
key_groups:
  - hc_vault: [https://v.example/v1/transit/keys/k]
    azure_keyvault: [{{vaultUrl: https://a.vault.azure.net, key: k, version: '1'}}]
    hckms: [{{key_id: r:uuid}}]
    gcp_kms: [{{resource_id: projects/p}}]
    kms: [{{arn: arn:aws:kms:x, role: arn:aws:iam:r, context: {{a: b}}, aws_profile: me}}]
    pgp: [{FINGERPRINT}]
    age: ['{ALICE}, {BOB}']
    merge:
      - pgp: [AAAA]
        merge: [{{age: [{BOB}]}}]
      - pgp: [{FINGERPRINT}]
  - age: [{ALICE}]"
        ));
        assert_eq!(
            names(&rule.key_groups().unwrap()),
            [
                vec![
                    BOB,
                    "AAAA",
                    FINGERPRINT,
                    ALICE,
                    "arn:aws:kms:x+arn:aws:iam:r|a:b|me",
                    "projects/p",
                    "r:uuid",
                    "https://a.vault.azure.net/keys/k/1",
                    "https://v.example/v1/transit/keys/k"
                ],
                vec![ALICE]
            ]
        );
    }

    #[test]
    fn empty_key_groups_count_as_absent() {
        let rule = rule(&format!("key_groups: []\nage: {ALICE}"));
        assert_eq!(names(&rule.key_groups().unwrap()), [[ALICE]]);
    }

    #[test]
    fn a_rule_without_keys_has_one_empty_group() {
        assert_eq!(names(&rule("encrypted_suffix: _x").key_groups().unwrap()), [Vec::<String>::new()]);
    }

    #[test]
    fn key_lists_of_the_wrong_type_are_errors_of_the_rule_that_is_used() {
        for (fields, expected) in [
            ("age: 5", "age of creation_rules[0] must be a text or a list of texts, not a number"),
            ("pgp: true", "pgp of creation_rules[0] must be a text or a list of texts, not a boolean"),
            ("kms: {a: b}", "kms of creation_rules[0] must be a text or a list of texts, not a map"),
            (
                "gcp_kms: [1]",
                "gcp_kms of creation_rules[0] must be a text or a list of texts, not a list of something else",
            ),
        ] {
            assert_eq!(rule(fields).key_groups().err().unwrap().to_string(), expected);
        }
    }

    #[test]
    fn a_key_that_is_none_is_named_with_its_rule() {
        let error = rule("age: age1oops").key_groups().err().unwrap().to_string();
        assert!(error.starts_with("creation_rules[0]: \"age1oops\" does not name a key of age"), "{error}");
    }

    #[test]
    fn a_secret_key_is_not_repeated_wherever_it_was_put() {
        let secret = "AGE-SECRET-KEY-1QQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQ";
        let in_a_list = rule(&format!("age: {secret}")).key_groups().err().unwrap().to_string();
        let elsewhere = parse(&format!("creation_rules: {secret}")).unwrap_err().to_string();
        let as_number =
            parse(&format!("creation_rules: [{{shamir_threshold: {secret}}}]")).unwrap_err().to_string();
        for message in [in_a_list, elsewhere, as_number] {
            assert!(message.contains("secret key") && !message.contains("QQQ"), "{message}");
        }
    }

    #[test]
    fn wrong_types_and_keys_that_occur_twice_are_refused() {
        for text in [
            "creation_rules: 5",
            "creation_rules: {a: b}",
            "creation_rules: [5]",
            "- a",
            "text",
            "creation_rules: [{hckms: 'r:uuid'}]",
            "creation_rules: [{shamir_threshold: two}]",
            "creation_rules: [{shamir_threshold: '2'}]",
            "creation_rules: [{mac_only_encrypted: maybe}]",
            "creation_rules: [{mac_only_encrypted: 'true'}]",
            "creation_rules: [{mac_only_encrypted: 1}]",
            "creation_rules: [{path_regex: [a]}]",
            "creation_rules: [{key_groups: {age: []}}]",
            "creation_rules: [{key_groups: [{age: text}]}]",
            "destination_rules: 1",
            "stores: 1",
            "stores: {yaml: {indent: wide}}",
            "stores: {ini: 1}",
            "creation_rules: []\ncreation_rules: []",
            "unknown: 1\nunknown: 2",
            "creation_rules: [{age: a, age: b}]",
            "creation_rules: [{unknown: a, unknown: b}]",
            "creation_rules: [",
        ] {
            let error = parse(text).map(|_| text).unwrap_err().to_string();
            assert!(error.starts_with("/repo/.sops.yaml is not a valid config file: "), "{error}");
        }
    }

    #[test]
    fn errors_name_the_line() {
        let error =
            parse("creation_rules:\n  - age: x\n    shamir_threshold: many\n").unwrap_err().to_string();
        assert!(error.contains("shamir_threshold") && error.contains("line 3"), "{error}");
    }

    #[test]
    fn unknown_keys_are_ignored_and_anchors_are_followed() {
        let rule = parse(&format!(
            "keys: [&alice {ALICE}, &bob {BOB}]
creation_rules:
  - age: [*alice, *bob]
    note: {{a: 1}}
"
        ))
        .unwrap()
        .creation_rules
        .unwrap()
        .remove(0);
        assert_eq!(names(&rule.key_groups().unwrap()), [[ALICE, BOB]]);
    }

    #[test]
    fn merge_keys_of_yaml_are_followed() {
        let text = format!(
            "base: &base {{age: {ALICE}, shamir_threshold: 3, encrypted_suffix: _s}}
creation_rules:
  - <<: *base
    shamir_threshold: 2
"
        );
        let config = parse(&text).unwrap();
        let rule = config.rule_for(Path::new("/repo/a")).unwrap().unwrap();
        assert_eq!(names(&rule.key_groups().unwrap()), [[ALICE]]);
        assert_eq!(rule.shamir_threshold(), Some(2));
        assert_eq!(rule.selection().unwrap(), Some(SelectionRule::EncryptedSuffix("_s".into())));
    }

    #[test]
    fn elements_that_are_null_do_not_count() {
        let text = "creation_rules:\n  -\n  - {aws_profile: second}\n";
        assert_eq!(matched(text, "/repo/a"), "second");
        assert_eq!(
            matched("creation_rules: [~]", "/repo/a"),
            "no creation rule of /repo/.sops.yaml matches a"
        );
        let rule = rule(&format!("key_groups:\n  - age: [{ALICE}, ~]\n  - ~"));
        assert_eq!(names(&rule.key_groups().unwrap()), [[ALICE]]);
    }

    #[test]
    fn a_byte_order_mark_does_not_hide_the_first_key() {
        assert_eq!(matched("\u{feff}creation_rules: [{aws_profile: all}]", "/repo/a"), "all");
        assert_eq!(matched("\u{feff}", "/repo/a"), "no config");
    }

    #[test]
    fn only_the_first_document_is_read() {
        assert_eq!(
            matched("creation_rules: [{aws_profile: all}]\n---\ncreation_rules: 5\n", "/repo/a"),
            "all"
        );
    }

    #[test]
    fn a_text_option_keeps_the_spelling_of_a_number() {
        assert_eq!(rule("aws_profile: 007").aws_profile, "007");
        assert_eq!(rule("encrypted_suffix: 0x10").encrypted_suffix.as_deref(), Some("0x10"));
    }

    #[test]
    fn booleans_have_the_words_of_yaml_1_1() {
        for (word, expected) in [
            ("true", true),
            ("yes", true),
            ("ON", true),
            ("y", true),
            ("no", false),
            ("Off", false),
            ("~", false),
        ] {
            assert_eq!(rule(&format!("mac_only_encrypted: {word}")).mac_only_encrypted(), expected, "{word}");
        }
    }

    #[test]
    fn a_rule_chooses_at_most_one_selection() {
        assert_eq!(rule("age: ''").selection().unwrap(), None);
        assert_eq!(
            rule("encrypted_regex: ^x$\nunencrypted_suffix: ''").selection().unwrap(),
            Some(SelectionRule::EncryptedRegex("^x$".into()))
        );
        let error = rule("encrypted_regex: x\nunencrypted_suffix: y").selection().unwrap_err().to_string();
        assert!(error.starts_with("creation_rules[0]: cannot use more than one of"), "{error}");
    }

    #[test]
    fn stores_have_the_defaults_of_sops() {
        assert_eq!(
            parse("").unwrap().stores(),
            Stores { json_indent: -1, json_binary_indent: -1, yaml_indent: 0 }
        );
        let text = "stores: {json: {indent: 3}, json_binary: {}, yaml: {indent: 2}, dotenv: {}, ini: }";
        assert_eq!(
            parse(text).unwrap().stores(),
            Stores { json_indent: 3, json_binary_indent: -1, yaml_indent: 2 }
        );
    }

    #[test]
    fn destinations_are_matched_by_the_path_as_typed() {
        let config = parse(&format!(
            "destination_rules:
  - {{path_regex: '^a/', s3_bucket: b, omit_extensions: yes, recreation_rule: {{age: {BOB}}}}}
  - {{path_regex: '^two/', s3_bucket: b, vault_path: v}}
  - {{path_regex: '^broken/('}}
"
        ))
        .unwrap();
        let rule = config.destination_for("a/x.yaml").unwrap();
        assert_eq!((rule.s3_bucket.as_str(), rule.omit_extensions), ("b", true));
        assert_eq!(names(&rule.recreation_rule.key_groups().unwrap()), [[BOB]]);
        let error = |file: &str| config.destination_for(file).unwrap_err().to_string();
        assert_eq!(error("two/x"), "destination_rules[1] names more than one destination");
        assert!(error("/repo/a/x.yaml").starts_with("path_regex \"^broken/(\" of destination_rules[2]"));
        let none = parse("destination_rules: [{path_regex: ^x$}]").unwrap();
        assert_eq!(
            none.destination_for("y").unwrap_err().to_string(),
            "no destination rule of /repo/.sops.yaml matches y"
        );
    }

    #[test]
    fn the_nearest_config_is_found_and_its_misspelt_neighbours_are_noticed() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let deep = root.join("a/b/c");
        std::fs::create_dir_all(&deep).unwrap();
        for name in [".sops.yaml", ".sops.yml", "a/.sops.yaml", "a/b/.sops.yml"] {
            std::fs::write(root.join(name), "").unwrap();
        }
        assert_eq!(
            discover(&deep),
            Found {
                config: Some(root.join("a/.sops.yaml")),
                ignored_sops_yml: vec![root.join("a/b/.sops.yml")]
            }
        );
        assert_eq!(discover(&root), Found { config: Some(root.join(".sops.yaml")), ..Found::default() });
        assert_eq!(discover(&deep.join("../../../x")).config, Some(root.join(".sops.yaml")));
    }

    const EXAMPLE: &str = include_str!("../.sops.yaml.example");

    /// The paths that the example's comments name behind `# marker:`.
    fn examples(marker: &str) -> Vec<&'static str> {
        let marker = format!("# {marker}: ");
        EXAMPLE.lines().filter_map(|line| line.trim().strip_prefix(marker.as_str())).collect()
    }

    #[test]
    fn every_rule_of_the_example_matches_its_path_and_is_valid() {
        let config = parse(EXAMPLE).unwrap();
        let (paths, rules) = (examples("matches"), config.creation_rules.as_deref().unwrap());
        assert_eq!(paths.len(), rules.len(), "each rule names one path");
        for (path, rule) in paths.into_iter().zip(rules) {
            let found = config.rule_for(&Path::new("/repo").join(path)).unwrap().unwrap();
            assert_eq!(found.place(), rule.place(), "{path}");
            assert!(rule.key_groups().unwrap().iter().all(|group| !group.0.is_empty()), "{path}");
            crate::Selection::compile(&rule.selection().unwrap().unwrap_or_default()).unwrap();
        }
        let paths = examples("publishes");
        assert_eq!(paths.len(), config.destination_rules.len(), "each rule names one path");
        for (path, rule) in paths.into_iter().zip(&config.destination_rules) {
            assert_eq!(config.destination_for(path).unwrap().place, rule.place, "{path}");
            rule.recreation_rule.key_groups().unwrap();
        }
    }

    #[test]
    fn the_example_shows_every_key_there_is() {
        let fields_of = |name: &str| {
            let source = include_str!("config.rs");
            let body =
                source.split_once(&format!("struct {name} {{\n")).unwrap().1.split_once("\n}").unwrap().0;
            let field = |line: &str| {
                let name = line.trim().trim_start_matches("pub ").split_once(':')?.0;
                name.chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
                    .then(|| name.to_owned())
            };
            body.lines().filter_map(field).filter(|name| name != "place").collect::<Vec<_>>()
        };
        let structs = [
            "ConfigFile",
            "CreationRule",
            "DestinationRule",
            "GroupEntry",
            "KmsEntry",
            "GcpKmsEntry",
            "HcKmsEntry",
        ];
        let mut fields: Vec<String> = structs.into_iter().flat_map(fields_of).collect();
        assert!(fields.len() > 45, "the fields were found: {fields:?}");
        fields.extend(
            ["vaultUrl", "key", "version", "json", "json_binary", "yaml", "indent", "dotenv", "ini"]
                .map(String::from),
        );
        for field in fields {
            let shown = EXAMPLE
                .lines()
                .any(|line| line.trim_start().trim_start_matches("- ").starts_with(&format!("{field}:")));
            assert!(shown, "{field}");
        }
    }
}
