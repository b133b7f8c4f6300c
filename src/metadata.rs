//! The `sops` block of a file: read leniently, as sops reads it, and written in its one form.
//!
//! What this version does not know is kept and written back.

use std::collections::BTreeMap;
use std::time::SystemTime;

use crate::key_path::Aad;
use crate::provider::{
    GroupKey, KeyGroup, KeyTextError, MasterKey, PROVIDERS, Provider, ProviderId, WrappedKey, age, aws,
    azure, gcp, huawei, pgp, vault,
};
use crate::secret::SecretBytes;
use crate::selection::SelectionRule;
use crate::timestamp::{NotATimestamp, Timestamp};
use crate::value::{Kind, Plaintext, Tree};

/// The sops version that new files name.
pub const FORMAT_VERSION: &str = "3.13.3";

/// What a file says about its encryption.
pub struct Metadata {
    /// Who can open the file.
    pub key_groups: Vec<KeyGroup>,
    /// How many groups are needed; 0 when the file does not say.
    pub shamir_threshold: usize,
    /// Which leaves are sealed.
    pub selection: SelectionRule,
    /// Whether the MAC is over sealed leaves only.
    pub mac_only_encrypted: bool,
    /// When the values last changed; the MAC is bound to it.
    pub last_modified: LastModified,
    /// The sealed MAC, an `ENC[…]` text.
    pub mac: String,
    /// The version of sops that the file names; see [`check_version`].
    pub version: String,
    /// Fields that this version does not know.
    pub extra: Vec<(String, Tree)>,
}

/// When a file's values last changed, kept as the file spells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastModified(Timestamp);

/// Why a block is not the metadata of a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MetadataError {
    /// The entry is not a map.
    #[error("the sops entry is not a map")]
    NotAMap,
    /// A field holds another type than it should.
    #[error("{field} is not {expected}")]
    WrongType {
        /// Where the field stands.
        field: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A field is not a time in RFC 3339.
    #[error("{field} is not a time in RFC 3339")]
    NotATime {
        /// Where the field stands.
        field: String,
    },
    /// A key has a name that its provider does not know.
    #[error(transparent)]
    Key(#[from] KeyTextError),
    /// More than one field says which leaves are sealed.
    #[error("both {first} and {second} say which values are encrypted")]
    SeveralSelections {
        /// The first such field.
        first: &'static str,
        /// The second.
        second: &'static str,
    },
    /// Nobody can open the file.
    #[error("no keys found in file")]
    NoKeys,
}

/// Why the `version` of a file is none that sops accepts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VersionError {
    /// There is none.
    #[error("the version in the metadata is empty")]
    Empty,
    /// It is not a semantic version.
    #[error("the version {version:?} in the metadata is not of the form x.y.z")]
    Malformed {
        /// The version.
        version: String,
    },
}

impl LastModified {
    /// Reads a time in RFC 3339.
    pub fn parse(text: &str) -> Result<Self, NotATimestamp> {
        Timestamp::parse(text).map(Self)
    }

    /// The time now.
    pub fn now() -> Self {
        Self(Timestamp::now())
    }

    /// `time`, in UTC and whole seconds.
    pub fn at(time: SystemTime) -> Self {
        Self(Timestamp::at(time))
    }

    /// The text as the file has it.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// What the MAC is bound to: the time in whole seconds, without the colon that a path has.
    pub fn aad(&self) -> Aad {
        Aad::of_text(&self.0.with_seconds())
    }
}

/// Whether a file with this `version` may be opened.
///
/// sops: a strict semantic version, or anything that starts like one of the Python program.
pub fn check_version(version: &str) -> Result<(), VersionError> {
    match version {
        "" => Err(VersionError::Empty),
        _ if version.starts_with("1.") || is_semantic(version.strip_prefix('v').unwrap_or(version)) => Ok(()),
        _ => Err(VersionError::Malformed { version: version.to_owned() }),
    }
}

fn is_semantic(version: &str) -> bool {
    let (version, build) = version.split_once('+').map_or((version, None), |(v, build)| (v, Some(build)));
    let (numbers, pre) = version.split_once('-').map_or((version, None), |(v, pre)| (v, Some(pre)));
    let is_number = |text: &str| {
        !text.is_empty()
            && text.bytes().all(|b| b.is_ascii_digit())
            && (text == "0" || !text.starts_with('0'))
    };
    let is_word =
        |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let is_pre_word =
        |text: &str| is_word(text) && (!text.bytes().all(|b| b.is_ascii_digit()) || is_number(text));
    numbers.split('.').count() == 3
        && numbers.split('.').all(is_number)
        && pre.is_none_or(|pre| pre.split('.').all(is_pre_word))
        && build.is_none_or(|build| build.split('.').all(is_word))
}

impl Metadata {
    /// The metadata of a new file, of which the keys wrapped nothing yet and the MAC is to come.
    pub fn new(key_groups: Vec<KeyGroup>, selection: SelectionRule) -> Self {
        Self {
            key_groups,
            shamir_threshold: 0,
            selection,
            mac_only_encrypted: false,
            last_modified: LastModified::now(),
            mac: String::new(),
            version: FORMAT_VERSION.to_owned(),
            extra: Vec::new(),
        }
    }

    /// Reads the value of a file's `sops` entry.
    ///
    /// sops: names match whatever their case, null is absent, numbers and booleans may stand as text and the
    /// other way round, and a single entry may stand for a list of one.
    pub fn from_tree(tree: &Tree) -> Result<Self, MetadataError> {
        let Tree::Map(entries) = tree else { return Err(MetadataError::NotAMap) };
        let mut fields = Fields::new("", entries);
        let last_modified = fields.text("lastmodified")?;
        let last_modified = LastModified::parse(&last_modified)
            .map_err(|_| MetadataError::NotATime { field: "lastmodified".to_owned() })?;
        Ok(Self {
            key_groups: read_key_groups(&mut fields)?,
            shamir_threshold: fields.number("shamir_threshold")?,
            selection: read_selection(&mut fields)?,
            mac_only_encrypted: fields.boolean("mac_only_encrypted")?,
            last_modified,
            mac: fields.text("mac")?,
            version: fields.text("version")?,
            extra: fields.rest(),
        })
    }

    /// Writes the value of a file's `sops` entry: keys in the order of their bytes, empty fields left out.
    pub fn to_tree(&self) -> Tree {
        let mut fields: Vec<(String, Tree)> = copy_entries(&self.extra);
        let mut put = |name: &str, value: Tree| fields.push((name.to_owned(), value));
        match &self.key_groups[..] {
            [] => {}
            [group] => {
                for provider in PROVIDERS.iter().filter(|provider| has_keys_of(group, provider.id)) {
                    put(provider.section, write_keys(group, provider));
                }
                copy_entries(&group.1).into_iter().for_each(|(name, value)| put(&name, value));
            }
            groups => put("key_groups", Tree::List(groups.iter().map(write_group).collect())),
        }
        if let Some((name, text)) = self.selection.option() {
            put(name, Tree::text(text));
        }
        if self.shamir_threshold != 0 {
            put("shamir_threshold", leaf(Kind::Int, &self.shamir_threshold.to_string()));
        }
        if self.mac_only_encrypted {
            put("mac_only_encrypted", leaf(Kind::Bool, "True"));
        }
        put("lastmodified", Tree::text(self.last_modified.as_str()));
        put("mac", Tree::text(&self.mac));
        put("version", Tree::text(&self.version));
        sorted_map(fields)
    }
}

fn read_key_groups(fields: &mut Fields<'_>) -> Result<Vec<KeyGroup>, MetadataError> {
    let flat = read_keys(fields)?;
    let groups = fields.list("key_groups");
    if !flat.is_empty() {
        return Ok(vec![KeyGroup(flat, Vec::new())]);
    }
    if groups.is_empty() {
        return Err(MetadataError::NoKeys);
    }
    let read_group = |(at, group): (usize, &Tree)| {
        let mut fields = Fields::of_map(format!("key_groups[{at}]"), group)?;
        Ok(KeyGroup(read_keys(&mut fields)?, fields.rest()))
    };
    groups.into_iter().enumerate().map(read_group).collect()
}

/// The keys of all providers, in the table's order; what order they had between them is not recorded.
fn read_keys(fields: &mut Fields<'_>) -> Result<Vec<GroupKey>, MetadataError> {
    let mut keys = Vec::new();
    for provider in &PROVIDERS {
        for (at, entry) in fields.list(provider.section).into_iter().enumerate() {
            let place = fields.place(&format!("{}[{at}]", provider.section));
            keys.push(read_key(provider, Fields::of_map(place, entry)?)?);
        }
    }
    Ok(keys)
}

fn read_key(provider: &Provider, mut fields: Fields<'_>) -> Result<GroupKey, MetadataError> {
    let key = match provider.id {
        ProviderId::Age => MasterKey::Age(age::Recipient::of_file(&fields.text("recipient")?)),
        ProviderId::Pgp => MasterKey::Pgp(pgp::Fingerprint { text: fields.text("fp")? }),
        ProviderId::Kms => MasterKey::Kms(aws::KmsKey {
            arn: fields.text("arn")?,
            role: fields.text("role")?,
            context: fields.context("context")?,
            aws_profile: fields.text("aws_profile")?,
        }),
        ProviderId::GcpKms => MasterKey::GcpKms(gcp::KmsKey { resource_id: fields.text("resource_id")? }),
        ProviderId::HcKms => MasterKey::HcKms(huawei::KmsKey::parse(&fields.text("key_id")?)?),
        ProviderId::AzureKv => MasterKey::AzureKv(azure::VaultKey {
            vault_url: fields.text("vault_url")?,
            name: fields.text("name")?,
            version: fields.text("version")?,
        }),
        ProviderId::HcVault => MasterKey::HcVault(vault::TransitKey {
            vault_address: fields.text("vault_address")?,
            engine_path: fields.text("engine_path")?,
            key_name: fields.text("key_name")?,
        }),
    };
    let created_at = if provider.id == ProviderId::Age { None } else { Some(fields.time("created_at")?) };
    let wrapped = Some(fields.text("enc")?).filter(|text| !text.is_empty()).map(WrappedKey::new);
    Ok(GroupKey { key, wrapped, created_at, extra: fields.rest() })
}

fn read_selection(fields: &mut Fields<'_>) -> Result<SelectionRule, MetadataError> {
    let mut found: Option<(&'static str, SelectionRule)> = None;
    for (name, rule) in SELECTION_FIELDS {
        let text = fields.text(name)?;
        if text.is_empty() {
            continue;
        }
        if let Some((first, _)) = found {
            return Err(MetadataError::SeveralSelections { first, second: name });
        }
        found = Some((name, rule(text)));
    }
    let default = SelectionRule::default;
    Ok(found.map_or_else(default, |(_, rule)| rule))
}

type SelectionOf = fn(String) -> SelectionRule;

const SELECTION_FIELDS: [(&str, SelectionOf); 6] = [
    ("unencrypted_suffix", SelectionRule::UnencryptedSuffix),
    ("encrypted_suffix", SelectionRule::EncryptedSuffix),
    ("unencrypted_regex", SelectionRule::UnencryptedRegex),
    ("encrypted_regex", SelectionRule::EncryptedRegex),
    ("unencrypted_comment_regex", SelectionRule::UnencryptedCommentRegex),
    ("encrypted_comment_regex", SelectionRule::EncryptedCommentRegex),
];

fn has_keys_of(group: &KeyGroup, id: ProviderId) -> bool {
    group.keys().any(|key| key.provider_id() == id)
}

fn write_group(group: &KeyGroup) -> Tree {
    // sops: these two are there even when empty.
    let always = [ProviderId::Age, ProviderId::HcVault];
    let is_written = |id| always.contains(&id) || has_keys_of(group, id);
    let written = PROVIDERS.iter().filter(|provider| is_written(provider.id));
    let mut fields: Vec<_> = written.map(|row| (row.section.to_owned(), write_keys(group, row))).collect();
    fields.extend(copy_entries(&group.1));
    sorted_map(fields)
}

fn write_keys(group: &KeyGroup, provider: &Provider) -> Tree {
    Tree::List(
        group.0.iter().filter(|member| member.key.provider_id() == provider.id).map(write_key).collect(),
    )
}

fn write_key(member: &GroupKey) -> Tree {
    let mut fields = copy_entries(&member.extra);
    let mut put = |name: &str, text: &str| fields.push((name.to_owned(), Tree::text(text)));
    put("enc", member.wrapped.as_ref().map_or("", WrappedKey::as_str));
    if let Some(created_at) = &member.created_at {
        put("created_at", created_at);
    }
    match &member.key {
        MasterKey::Age(key) => put("recipient", &key.to_string()),
        MasterKey::Pgp(key) => put("fp", &key.text),
        MasterKey::GcpKms(key) => put("resource_id", &key.resource_id),
        MasterKey::HcKms(key) => put("key_id", &key.key_id),
        MasterKey::AzureKv(key) => {
            put("vault_url", &key.vault_url);
            put("name", &key.name);
            put("version", &key.version);
        }
        MasterKey::HcVault(key) => {
            put("vault_address", &key.vault_address);
            put("engine_path", &key.engine_path);
            put("key_name", &key.key_name);
        }
        MasterKey::Kms(key) => {
            put("arn", &key.arn);
            put("aws_profile", &key.aws_profile);
            if !key.role.is_empty() {
                put("role", &key.role);
            }
            if !key.context.is_empty() {
                let value = |text: &Option<String>| text.as_deref().map_or(Tree::Null, Tree::text);
                let entries = key.context.iter().map(|(name, text)| (name.clone(), value(text))).collect();
                fields.push(("context".to_owned(), Tree::Map(entries)));
            }
        }
    }
    sorted_map(fields)
}

fn sorted_map(mut fields: Vec<(String, Tree)>) -> Tree {
    fields.sort_by(|(left, _), (right, _)| left.cmp(right));
    Tree::Map(fields)
}

fn leaf(kind: Kind, text: &str) -> Tree {
    Tree::Leaf(Plaintext::new(kind, SecretBytes::copy_of(text.as_bytes())))
}

/// A tree has no `Clone`, for it may hold secrets; the metadata block holds none.
fn copy(tree: &Tree) -> Tree {
    match tree {
        Tree::Null => Tree::Null,
        Tree::Leaf(value) => Tree::Leaf(Plaintext::new(value.kind(), SecretBytes::copy_of(value.expose()))),
        Tree::List(items) => Tree::List(items.iter().map(copy).collect()),
        Tree::Map(entries) => Tree::Map(copy_entries(entries)),
    }
}

fn copy_entries(entries: &[(String, Tree)]) -> Vec<(String, Tree)> {
    entries.iter().map(|(name, value)| (name.clone(), copy(value))).collect()
}

/// The entries of one map, read field by field; what nobody asked for is left over.
struct Fields<'t> {
    place: String,
    entries: Vec<&'t (String, Tree)>,
}

impl<'t> Fields<'t> {
    fn new(place: impl Into<String>, entries: &'t [(String, Tree)]) -> Self {
        Self { place: place.into(), entries: entries.iter().collect() }
    }

    fn of_map(place: String, tree: &'t Tree) -> Result<Self, MetadataError> {
        match tree {
            Tree::Map(entries) => Ok(Self::new(place, entries)),
            _ => Err(MetadataError::WrongType { field: place, expected: "a map" }),
        }
    }

    /// The name of a field with the place of its map before it.
    fn place(&self, name: &str) -> String {
        if self.place.is_empty() { name.to_owned() } else { format!("{}.{name}", self.place) }
    }

    fn take(&mut self, name: &str) -> Option<&'t Tree> {
        let exact = self.entries.iter().position(|(key, _)| key == name);
        let at = exact.or_else(|| self.entries.iter().position(|(key, _)| key.eq_ignore_ascii_case(name)))?;
        match &self.entries.remove(at).1 {
            Tree::Null => None,
            value => Some(value),
        }
    }

    fn wrong<T>(&self, name: &str, expected: &'static str) -> Result<T, MetadataError> {
        Err(MetadataError::WrongType { field: self.place(name), expected })
    }

    fn text(&mut self, name: &str) -> Result<String, MetadataError> {
        match self.take(name) {
            None => Ok(String::new()),
            Some(value) => text_of(value).map_or_else(|| self.wrong(name, "a text"), Ok),
        }
    }

    fn time(&mut self, name: &str) -> Result<String, MetadataError> {
        let text = self.text(name)?;
        match Timestamp::parse(&text) {
            Ok(_) => Ok(text),
            Err(NotATimestamp) => Err(MetadataError::NotATime { field: self.place(name) }),
        }
    }

    fn number(&mut self, name: &str) -> Result<usize, MetadataError> {
        match self.take(name) {
            None => Ok(0),
            Some(value) => number_of(value).map_or_else(|| self.wrong(name, "a whole number from 0"), Ok),
        }
    }

    fn boolean(&mut self, name: &str) -> Result<bool, MetadataError> {
        match self.take(name) {
            None => Ok(false),
            Some(value) => boolean_of(value).map_or_else(|| self.wrong(name, "true or false"), Ok),
        }
    }

    fn list(&mut self, name: &str) -> Vec<&'t Tree> {
        match self.take(name) {
            None => Vec::new(),
            Some(Tree::List(items)) => items.iter().filter(|item| !matches!(item, Tree::Null)).collect(),
            Some(Tree::Map(entries)) if entries.is_empty() => Vec::new(),
            Some(single) => vec![single],
        }
    }

    fn context(&mut self, name: &str) -> Result<BTreeMap<String, Option<String>>, MetadataError> {
        let mut context = BTreeMap::new();
        for map in self.list(name) {
            let Tree::Map(entries) = map else { return self.wrong(name, "a map") };
            for (key, value) in entries {
                let text = match value {
                    Tree::Null => None,
                    value => Some(text_of(value).map_or_else(|| self.wrong(name, "a map of texts"), Ok)?),
                };
                context.insert(key.clone(), text);
            }
        }
        Ok(context)
    }

    fn rest(self) -> Vec<(String, Tree)> {
        self.entries.into_iter().map(|(name, value)| (name.clone(), copy(value))).collect()
    }
}

fn text_of(value: &Tree) -> Option<String> {
    let Tree::Leaf(value) = value else { return None };
    match (value.kind(), value.expose()) {
        (Kind::Bool, b"True") => Some("1".to_owned()),
        (Kind::Bool, _) => Some("0".to_owned()),
        // sops: a time that the file does not quote is no text.
        (Kind::Time | Kind::Comment, _) => None,
        (_, bytes) => String::from_utf8(bytes.to_vec()).ok(),
    }
}

fn number_of(value: &Tree) -> Option<usize> {
    let text = text_of(value)?;
    let Tree::Leaf(value) = value else { return None };
    match value.kind() {
        Kind::Float => text.split('.').next()?.parse().ok(),
        Kind::Str if text.is_empty() => Some(0),
        Kind::Str => prefixed_number(&text),
        _ => text.parse().ok(),
    }
}

/// sops: a number in text may have one of Go's base prefixes.
fn prefixed_number(text: &str) -> Option<usize> {
    let text = text.to_ascii_lowercase();
    let (radix, digits) = match text.split_at_checked(2) {
        Some(("0x", digits)) => (16, digits),
        Some(("0o", digits)) => (8, digits),
        Some(("0b", digits)) => (2, digits),
        _ if text.len() > 1 && text.starts_with('0') => (8, &text[1..]),
        _ => (10, &text[..]),
    };
    usize::from_str_radix(digits, radix).ok()
}

fn boolean_of(value: &Tree) -> Option<bool> {
    let text = text_of(value)?;
    let Tree::Leaf(value) = value else { return None };
    match (value.kind(), text.as_str()) {
        (Kind::Int | Kind::Float, number) => Some(number.parse::<f64>().ok()? != 0.0),
        (_, "1" | "t" | "T" | "TRUE" | "true" | "True") => Some(true),
        (_, "0" | "f" | "F" | "FALSE" | "false" | "False" | "") => Some(false),
        _ => None,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Reads YAML as these tests write it: enough of it to say what a block looks like.
    pub(crate) fn yaml(text: &str) -> Tree {
        fn tree(value: &serde_yaml::Value) -> Tree {
            match value {
                serde_yaml::Value::Null => Tree::Null,
                serde_yaml::Value::Bool(true) => leaf(Kind::Bool, "True"),
                serde_yaml::Value::Bool(false) => leaf(Kind::Bool, "False"),
                serde_yaml::Value::Number(number) if number.is_f64() => {
                    leaf(Kind::Float, &number.to_string())
                }
                serde_yaml::Value::Number(number) => leaf(Kind::Int, &number.to_string()),
                serde_yaml::Value::String(text) => Tree::text(text),
                serde_yaml::Value::Sequence(items) => Tree::List(items.iter().map(tree).collect()),
                serde_yaml::Value::Mapping(entries) => Tree::Map(
                    entries
                        .iter()
                        .map(|(key, value)| (key.as_str().unwrap().to_owned(), tree(value)))
                        .collect(),
                ),
                serde_yaml::Value::Tagged(_) => panic!("tests use no tags"),
            }
        }
        tree(&serde_yaml::from_str(text).unwrap())
    }

    /// Writes a tree as the tests compare it: one line a leaf, kinds other than text named.
    pub(crate) fn lines(tree: &Tree) -> String {
        fn walk(tree: &Tree, path: &str, out: &mut Vec<String>) {
            match tree {
                Tree::Null => out.push(format!("{path} null")),
                Tree::Leaf(value) => {
                    let kind = if value.kind() == Kind::Str { "" } else { value.kind().name() };
                    out.push(format!("{path} {kind}{:?}", std::str::from_utf8(value.expose()).unwrap()));
                }
                Tree::List(items) if items.is_empty() => out.push(format!("{path} []")),
                Tree::List(items) => {
                    items.iter().enumerate().for_each(|(at, item)| walk(item, &format!("{path}[{at}]"), out));
                }
                Tree::Map(entries) => {
                    entries.iter().for_each(|(key, value)| walk(value, &format!("{path}.{key}"), out));
                }
            }
        }
        let mut out = Vec::new();
        walk(tree, "", &mut out);
        out.join("\n")
    }

    const TAIL: &str = "lastmodified: '2026-01-02T03:04:05Z'\nmac: ENC[x]\nversion: 3.13.3\n";

    fn read(text: &str) -> Result<Metadata, MetadataError> {
        Metadata::from_tree(&yaml(&format!("{text}{TAIL}")))
    }

    fn rewritten(text: &str) -> String {
        let without_tail = |line: &&str| {
            !["lastmodified", "mac", "version"].iter().any(|name| line.starts_with(&format!(".{name} ")))
        };
        lines(&read(text).unwrap().to_tree()).lines().filter(without_tail).collect::<Vec<_>>().join("\n")
    }

    const AGE: &str = "age: [{recipient: age1x, enc: A}]\n";

    #[test]
    fn a_block_is_written_in_the_order_of_its_names() {
        let text = "version: 3.9.0\nmac: ENC[x]\nlastmodified: '2026-01-02T03:04:05+00:00'\nage:\n- {recipient: age1x, enc: A}\n- {recipient: age1y, enc: B}\nencrypted_regex: ^a$\nmac_only_encrypted: true\nshamir_threshold: 1\n";
        let metadata = Metadata::from_tree(&yaml(text)).unwrap();
        assert_eq!(
            lines(&metadata.to_tree()),
            ".age[0].enc \"A\"\n.age[0].recipient \"age1x\"\n.age[1].enc \"B\"\n.age[1].recipient \"age1y\"\n\
             .encrypted_regex \"^a$\"\n.lastmodified \"2026-01-02T03:04:05+00:00\"\n.mac \"ENC[x]\"\n\
             .mac_only_encrypted bool\"True\"\n.shamir_threshold int\"1\"\n.version \"3.9.0\""
        );
        assert_eq!(metadata.last_modified.aad(), Aad::of_text("2026-01-02T03:04:05Z"));
        assert_eq!(metadata.selection, SelectionRule::EncryptedRegex("^a$".to_owned()));
    }

    #[test]
    fn every_provider_keeps_its_fields() {
        let at = "created_at: '2020-01-01T00:00:00Z', enc: E";
        let text = format!(
            "azure_kv: [{{vault_url: u, name: n, version: v, {at}}}]\ngcp_kms: [{{resource_id: r, {at}}}]\n\
             hc_vault: [{{vault_address: a, engine_path: e, key_name: k, {at}}}]\nhckms: [{{key_id: 'r:u', {at}}}]\n\
             kms: [{{arn: a, role: r, aws_profile: '', context: {{b: x, a: null}}, {at}}}, {{arn: b, {at}}}]\n\
             pgp: [{{fp: F, {at}}}]\n{AGE}"
        );
        let created = |section: &str| format!(".{section}[0].created_at \"2020-01-01T00:00:00Z\"");
        let expected = [
            ".age[0].enc \"A\"".to_owned(),
            ".age[0].recipient \"age1x\"".to_owned(),
            created("azure_kv"),
            ".azure_kv[0].enc \"E\"\n.azure_kv[0].name \"n\"\n.azure_kv[0].vault_url \"u\"\n.azure_kv[0].version \"v\"".to_owned(),
            created("gcp_kms"),
            ".gcp_kms[0].enc \"E\"\n.gcp_kms[0].resource_id \"r\"".to_owned(),
            created("hc_vault"),
            ".hc_vault[0].enc \"E\"\n.hc_vault[0].engine_path \"e\"\n.hc_vault[0].key_name \"k\"\n.hc_vault[0].vault_address \"a\"".to_owned(),
            created("hckms"),
            ".hckms[0].enc \"E\"\n.hckms[0].key_id \"r:u\"".to_owned(),
            ".kms[0].arn \"a\"\n.kms[0].aws_profile \"\"\n.kms[0].context.a null\n.kms[0].context.b \"x\"".to_owned(),
            created("kms"),
            ".kms[0].enc \"E\"\n.kms[0].role \"r\"".to_owned(),
            ".kms[1].arn \"b\"\n.kms[1].aws_profile \"\"\n.kms[1].created_at \"2020-01-01T00:00:00Z\"\n.kms[1].enc \"E\"".to_owned(),
            created("pgp"),
            ".pgp[0].enc \"E\"\n.pgp[0].fp \"F\"".to_owned(),
            ".unencrypted_suffix \"_unencrypted\"".to_owned(),
        ];
        assert_eq!(rewritten(&text), expected.join("\n"));
        let order: Vec<_> =
            read(&text).unwrap().key_groups[0].keys().map(|key| key.provider().section).collect();
        assert_eq!(order, ["kms", "kms", "gcp_kms", "hckms", "azure_kv", "hc_vault", "pgp", "age"]);
    }

    #[test]
    fn several_groups_stand_in_key_groups() {
        let at = "created_at: '2020-01-01T00:00:00Z', enc: E";
        let text = format!(
            "key_groups: [{{pgp: [{{fp: F, {at}}}]}}, {{{}}}]\nshamir_threshold: '0x2'\n",
            AGE.trim()
        );
        assert_eq!(
            rewritten(&text),
            ".key_groups[0].age []\n.key_groups[0].hc_vault []\n\
             .key_groups[0].pgp[0].created_at \"2020-01-01T00:00:00Z\"\n.key_groups[0].pgp[0].enc \"E\"\n\
             .key_groups[0].pgp[0].fp \"F\"\n.key_groups[1].age[0].enc \"A\"\n\
             .key_groups[1].age[0].recipient \"age1x\"\n.key_groups[1].hc_vault []\n\
             .shamir_threshold int\"2\"\n.unencrypted_suffix \"_unencrypted\""
        );
    }

    #[test]
    fn flat_lists_beat_key_groups_and_one_group_is_written_flat() {
        let beaten = format!("{AGE}key_groups: [{{age: [{{recipient: age1other, enc: B}}]}}]\n");
        assert_eq!(rewritten(&beaten), rewritten(AGE));
        assert_eq!(rewritten("key_groups: [{age: [{recipient: age1x, enc: A}]}]\n"), rewritten(AGE));
    }

    #[test]
    fn lenient_spellings_are_read() {
        for text in [
            "AGE: {Recipient: age1x, ENC: A}\n",
            "age: [{recipient: age1x, enc: A, }, null]\nkms: null\npgp: []\ngcp_kms: {}\n",
            "age: [{recipient: age1x, enc: A}]\nshamir_threshold: ''\nmac_only_encrypted: 'false'\nencrypted_regex: null\n",
            "age: [{recipient: age1x, enc: A}]\nshamir_threshold: false\nmac_only_encrypted: 0\nencrypted_suffix: ''\n",
        ] {
            assert_eq!(rewritten(text), rewritten(AGE), "{text}");
        }
        let numbers =
            read(&format!("{AGE}shamir_threshold: 2.0\nmac_only_encrypted: 'T'\nencrypted_regex: 5\n"))
                .unwrap();
        assert_eq!(numbers.shamir_threshold, 2);
        assert!(numbers.mac_only_encrypted);
        assert_eq!(numbers.selection, SelectionRule::EncryptedRegex("5".to_owned()));
    }

    #[test]
    fn unknown_fields_are_kept_at_every_level() {
        let text = "age: [{recipient: age1x, enc: A, created_at: x}]\nattention: [1, {a: null}]\nnew_kms: [{enc: N}]\n";
        assert_eq!(
            rewritten(text),
            ".age[0].created_at \"x\"\n.age[0].enc \"A\"\n.age[0].recipient \"age1x\"\n.attention[0] int\"1\"\n\
             .attention[1].a null\n.new_kms[0].enc \"N\"\n.unencrypted_suffix \"_unencrypted\""
        );
        let groups = "key_groups: [{new_kms: [{enc: N}], age: []}, {age: [{recipient: age1x, enc: A}]}]\n";
        assert!(rewritten(groups).contains(".key_groups[0].new_kms[0].enc \"N\""));
    }

    #[test]
    fn what_is_no_metadata_is_refused() {
        let error = |text: &str| read(text).err().unwrap().to_string();
        assert_eq!(error(""), "no keys found in file");
        assert_eq!(error("age: []\nkey_groups: []\n"), "no keys found in file");
        assert_eq!(error("age: x\n"), "age[0] is not a map");
        assert_eq!(error("pgp: [{fp: F, enc: E}]\n"), "pgp[0].created_at is not a time in RFC 3339");
        assert_eq!(
            error("key_groups: [{hckms: {key_id: [x]}}]\n"),
            "key_groups[0].hckms[0].key_id is not a text"
        );
        assert!(error("hckms: [{key_id: x}]\n").contains("region:uuid"));
        assert_eq!(
            error(&format!("{AGE}shamir_threshold: -1\n")),
            "shamir_threshold is not a whole number from 0"
        );
        assert_eq!(
            error(&format!("{AGE}mac_only_encrypted: yes!\n")),
            "mac_only_encrypted is not true or false"
        );
        assert_eq!(
            error(&format!("{AGE}encrypted_regex: a\nunencrypted_suffix: b\n")),
            "both unencrypted_suffix and encrypted_regex say which values are encrypted"
        );
        let whole = |text: &str| Metadata::from_tree(&yaml(text)).err().unwrap();
        assert_eq!(whole("[1]"), MetadataError::NotAMap);
        assert_eq!(whole(AGE), MetadataError::NotATime { field: "lastmodified".to_owned() });
        assert_eq!(
            whole(&format!("{AGE}lastmodified: yesterday\n")),
            MetadataError::NotATime { field: "lastmodified".to_owned() }
        );
        let unquoted = Tree::Map(vec![("lastmodified".to_owned(), leaf(Kind::Time, "2026-01-02T03:04:05Z"))]);
        assert!(matches!(Metadata::from_tree(&unquoted), Err(MetadataError::WrongType { .. })));
    }

    #[test]
    fn a_new_block_without_a_selection_names_none() {
        let recipient = MasterKey::Age(age::Recipient::of_file("ssh-ed25519 A"));
        let mut metadata = Metadata::new(vec![KeyGroup::of_keys([recipient])], SelectionRule::All);
        metadata.last_modified = LastModified::at(std::time::UNIX_EPOCH);
        assert_eq!(
            lines(&metadata.to_tree()),
            ".age[0].enc \"\"\n.age[0].recipient \"ssh-ed25519 A\"\n.lastmodified \"1970-01-01T00:00:00Z\"\n\
             .mac \"\"\n.version \"3.13.3\""
        );
    }

    #[test]
    fn versions_are_checked_as_sops_does() {
        for version in ["3.13.3", "v3.9.0", "1.13", "1.", "3.0.0-rc.1+build.05", "3.10.0"] {
            assert_eq!(check_version(version), Ok(()), "{version}");
        }
        assert_eq!(check_version(""), Err(VersionError::Empty));
        for version in
            ["3.13", "3", "03.1.0", "3.13.3 ", "3.1.0-", "3.1.0-01", "3.1.0+", "x", "3.1.0.0", "vv3.1.0"]
        {
            assert!(matches!(check_version(version), Err(VersionError::Malformed { .. })), "{version}");
        }
    }
}
