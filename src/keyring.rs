//! Key groups unlocked and wrapped: which key is tried when, and what to say when none helps.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::audit::{EventLog, Events};
use crate::provider::{
    GroupKey, KeyGroup, MasterKey, PROVIDERS, ProviderError, ProviderId, Session, SourceReport, WrappedKey,
};
use crate::secret::{DATA_KEY_LEN, DataKey, KeyPart};
use crate::shamir::{self, CombineError, SplitError};
use crate::timestamp::Timestamp;

/// Wraps and unwraps for any master key: in this process, or by asking another one.
pub trait KeyService: Send + Sync {
    /// Wraps `part` with `key`.
    fn wrap(&self, key: &MasterKey, part: &KeyPart) -> Result<WrappedKey, ProviderError>;

    /// Unwraps; `Ok(None)` when there is no credential for `key`.
    fn unwrap(&self, key: &MasterKey, wrapped: &WrappedKey) -> Result<Option<KeyPart>, ProviderError>;

    /// Whether a credential for `key` lies ready, as far as that can be told without unwrapping anything.
    fn holds(&self, _key: &MasterKey) -> bool {
        false
    }

    /// Where credentials were looked for so far.
    fn sources(&self) -> Vec<SourceReport> {
        Vec::new()
    }
}

impl KeyService for Session {
    fn wrap(&self, key: &MasterKey, part: &KeyPart) -> Result<WrappedKey, ProviderError> {
        key.wrap(part, self)
    }

    fn unwrap(&self, key: &MasterKey, wrapped: &WrappedKey) -> Result<Option<KeyPart>, ProviderError> {
        key.unwrap(wrapped, self)
    }

    fn holds(&self, key: &MasterKey) -> bool {
        matches!(key, MasterKey::Age(recipient) if recipient.is_held_in(self))
    }

    fn sources(&self) -> Vec<SourceReport> {
        Session::sources(self)
    }
}

/// The means to get at data keys: key services, asked in order, and the order in which keys are tried.
///
/// One keyring serves any number of files, also from several threads.
pub struct Keyring {
    services: Arc<Vec<Box<dyn KeyService>>>,
    order: DecryptionOrder,
    events: Events,
}

/// The order in which the keys of a group are tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecryptionOrder {
    names: Vec<String>,
}

/// A key type stands twice in a decryption order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("duplicate decryption key type: {name}")]
pub struct DuplicateKeyType {
    /// Its name.
    pub name: String,
}

impl Default for DecryptionOrder {
    /// Keys that need no network first.
    fn default() -> Self {
        Self {
            names: [ProviderId::Age, ProviderId::Pgp].map(|id| id.provider().order_id.to_owned()).to_vec(),
        }
    }
}

impl DecryptionOrder {
    /// Reads a comma separated list of key types; the empty text is the default.
    ///
    /// sops: a name that is no key type is allowed and does nothing.
    pub fn parse(text: &str) -> Result<Self, DuplicateKeyType> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let mut names: Vec<String> = Vec::new();
        for name in text.split(',') {
            if names.iter().any(|known| known == name) {
                return Err(DuplicateKeyType { name: name.to_owned() });
            }
            names.push(name.to_owned());
        }
        Ok(Self { names })
    }

    /// The order of the file, as `updatekeys` and `groups` try keys.
    pub fn of_file() -> Self {
        Self { names: Vec::new() }
    }

    /// The names that are no key type: worth a warning, for they are ignored.
    pub fn unknown_names(&self) -> impl Iterator<Item = &str> {
        let is_known = |name: &str| PROVIDERS.iter().any(|provider| provider.order_id == name);
        self.names.iter().map(String::as_str).filter(move |name| !is_known(name))
    }

    fn sorted<'g>(&self, group: &'g KeyGroup) -> Vec<&'g GroupKey> {
        let place = |member: &&GroupKey| {
            let id = member.key.provider().order_id;
            self.names.iter().position(|name| name == id).unwrap_or(self.names.len())
        };
        let mut members: Vec<&GroupKey> = group.0.iter().collect();
        members.sort_by_key(place);
        members
    }
}

/// Why a data key could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnlockError {
    /// There is nobody to ask.
    #[error("no key service is enabled")]
    NoServices,
    /// There is nothing to unlock.
    #[error("there are no key groups")]
    NoGroups,
    /// Too few groups gave their part.
    #[error("{} of {} needed key groups could be unlocked", groups.iter().filter(|group| group.is_unlocked).count(), needed)]
    NotEnough {
        /// How many parts are needed.
        needed: usize,
        /// What was tried, group by group as in the file.
        groups: Vec<GroupReport>,
        /// Where credentials were looked for.
        sources: Vec<SourceReport>,
    },
    /// The parts do not fit together.
    #[error("the parts of the data key do not fit together: {0}")]
    Parts(#[source] CombineError),
}

/// What became of one key group.
#[derive(Debug)]
pub struct GroupReport {
    /// Whether the group gave its part.
    pub is_unlocked: bool,
    /// The keys that did not help, in the order in which they were tried.
    pub attempts: Vec<Attempt>,
}

/// A key that did not help, and why.
#[derive(Debug)]
pub struct Attempt {
    /// The key.
    pub key: MasterKey,
    /// Why it did not help; one reason for each key service.
    pub reasons: Vec<AttemptReason>,
}

/// Why a key did not help.
#[derive(Debug)]
#[non_exhaustive]
pub enum AttemptReason {
    /// There is no credential for this key here.
    NoCredential,
    /// The file has no wrapped data key for it.
    NotWrapped,
    /// What it unwrapped cannot be a part of a data key.
    WrongLength {
        /// How many bytes it has.
        len: usize,
    },
    /// The provider failed.
    Failed(ProviderError),
}

impl fmt::Display for AttemptReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AttemptReason::NoCredential => f.write_str("no credential for this key was found"),
            AttemptReason::NotWrapped => f.write_str("the file has no wrapped data key for it"),
            AttemptReason::WrongLength { len } => write!(f, "it unwrapped {len} bytes, which is no data key"),
            AttemptReason::Failed(error) => error.fmt(f),
        }
    }
}

/// Why a data key could not be wrapped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WrapError {
    /// There is nobody to ask.
    #[error("no key service is enabled")]
    NoServices,
    /// There are no groups to wrap for.
    #[error("no key groups provided")]
    NoGroups,
    /// A group has no key.
    #[error("empty key group provided")]
    EmptyGroup {
        /// Which one, from 0.
        group: usize,
    },
    /// The data key cannot be split among the groups.
    #[error(transparent)]
    Split(#[from] SplitError),
    /// Some keys did not wrap. All must: who is named as a recipient counts on it.
    #[error("{} of the master keys could not wrap the data key", failures.len())]
    Failed {
        /// Each key that did not, with its reasons.
        failures: Vec<WrapFailure>,
    },
}

/// A key that did not wrap.
#[derive(Debug)]
pub struct WrapFailure {
    /// The group, from 0.
    pub group: usize,
    /// The key.
    pub key: MasterKey,
    /// Why; one reason for each key service.
    pub reasons: Vec<ProviderError>,
}

impl Keyring {
    /// A keyring that works in this process, in sops' default order.
    pub fn new(session: Session) -> Self {
        Self::with_services(vec![Box::new(session)])
    }

    /// A keyring that asks `services`, one after another.
    pub fn with_services(services: Vec<Box<dyn KeyService>>) -> Self {
        Self { services: Arc::new(services), order: DecryptionOrder::default(), events: Events::default() }
    }

    /// The same keyring with one more log that hears of every file before it is opened or sealed.
    pub fn with_log(self, log: Arc<dyn EventLog>) -> Self {
        Self { events: self.events.with_log(log), ..self }
    }

    /// The same keyring for `file`, which is what its logs hear; without this they hear of the working directory.
    pub fn for_file(&self, file: &Path) -> Self {
        Self { services: self.services.clone(), order: self.order.clone(), events: self.events.of_file(file) }
    }

    /// What hears of what is done with the file.
    pub(crate) fn events(&self) -> &Events {
        &self.events
    }

    /// The same keyring with another order of keys.
    pub fn with_order(self, order: DecryptionOrder) -> Self {
        Self { order, ..self }
    }

    /// Gets the data key of a file out of its groups.
    ///
    /// `threshold` is what the file says; it counts only when there are several groups, and 0 then means all.
    /// Stops at the first groups that suffice.
    pub fn unlock(&self, groups: &[KeyGroup], threshold: usize) -> Result<DataKey, UnlockError> {
        if self.services.is_empty() {
            return Err(UnlockError::NoServices);
        }
        let (needed, part_len) = match groups.len() {
            0 => return Err(UnlockError::NoGroups),
            1 => (1, DATA_KEY_LEN),
            all => (if threshold == 0 { all } else { threshold.max(2) }, DATA_KEY_LEN + 1),
        };
        let (mut parts, mut reports) = (Vec::new(), Vec::new());
        for group in groups {
            let (part, attempts) = self.unlock_group(group, part_len);
            reports.push(GroupReport { is_unlocked: part.is_some(), attempts });
            parts.extend(part);
            if parts.len() == needed {
                return match &parts[..] {
                    [whole] => Ok(DataKey::from_bytes(whole.expose()).expect("the length was checked")),
                    shares => shamir::combine(shares).map_err(UnlockError::Parts),
                };
            }
        }
        let sources = self.services.iter().flat_map(|service| service.sources()).collect();
        Err(UnlockError::NotEnough { needed, groups: reports, sources })
    }

    fn unlock_group(&self, group: &KeyGroup, part_len: usize) -> (Option<KeyPart>, Vec<Attempt>) {
        let mut attempts = Vec::new();
        for member in self.in_order(group) {
            match self.unlock_member(member, part_len) {
                Ok(part) => return (Some(part), attempts),
                Err(reasons) => attempts.push(Attempt { key: member.key.clone(), reasons }),
            }
        }
        (None, attempts)
    }

    /// The members of a group as they are to be tried.
    ///
    /// Among neighbours of one type those that will open come first: whoever is one of many recipients need not
    /// try the keys of all others.
    fn in_order<'g>(&self, group: &'g KeyGroup) -> Vec<&'g GroupKey> {
        let mut members = self.order.sorted(group);
        let is_held = |member: &&GroupKey| self.services.iter().any(|service| service.holds(&member.key));
        for neighbours in members.chunk_by_mut(|one, next| one.key.provider_id() == next.key.provider_id()) {
            if neighbours.len() > 1 {
                neighbours.sort_by_cached_key(|member| !is_held(member));
            }
        }
        members
    }

    fn unlock_member(&self, member: &GroupKey, part_len: usize) -> Result<KeyPart, Vec<AttemptReason>> {
        let Some(wrapped) = &member.wrapped else { return Err(vec![AttemptReason::NotWrapped]) };
        let mut reasons = Vec::new();
        for service in self.services.iter() {
            reasons.push(match service.unwrap(&member.key, wrapped) {
                Ok(Some(part)) if part.expose().len() == part_len => return Ok(part),
                Ok(Some(part)) => AttemptReason::WrongLength { len: part.expose().len() },
                Ok(None) => AttemptReason::NoCredential,
                Err(error) => AttemptReason::Failed(error),
            });
        }
        Err(reasons)
    }

    /// Wraps `key` for every key of every group, and returns the threshold to store.
    ///
    /// All keys must succeed; when one fails, `groups` stay as they were.
    pub fn wrap(&self, groups: &mut [KeyGroup], threshold: usize, key: &DataKey) -> Result<usize, WrapError> {
        if self.services.is_empty() {
            return Err(WrapError::NoServices);
        }
        if let Some(group) = groups.iter().position(|group| group.0.is_empty()) {
            return Err(WrapError::EmptyGroup { group });
        }
        let (parts, threshold) = match groups.len() {
            0 => return Err(WrapError::NoGroups),
            // sops: a threshold for a single group has no effect, but is stored.
            1 => (vec![KeyPart::whole(key)], threshold),
            all => {
                let threshold = if threshold == 0 { all } else { threshold };
                (shamir::split(key, all, threshold)?, threshold)
            }
        };
        let (mut wrapped_keys, mut failures) = (Vec::new(), Vec::new());
        for (group, (members, part)) in groups.iter().zip(&parts).enumerate() {
            for key in members.keys() {
                match self.wrap_one(key, part) {
                    Ok(wrapped) => wrapped_keys.push(wrapped),
                    Err(reasons) => failures.push(WrapFailure { group, key: key.clone(), reasons }),
                }
            }
        }
        if !failures.is_empty() {
            return Err(WrapError::Failed { failures });
        }
        let now = Timestamp::now();
        for (member, wrapped) in groups.iter_mut().flat_map(|group| &mut group.0).zip(wrapped_keys) {
            member.wrapped = Some(wrapped);
            // sops: the time tells since when the key serves, so a new data key does not change it.
            if member.created_at.is_none() && member.key.provider_id() != ProviderId::Age {
                member.created_at = Some(now.as_str().to_owned());
            }
        }
        Ok(threshold)
    }

    fn wrap_one(&self, key: &MasterKey, part: &KeyPart) -> Result<WrappedKey, Vec<ProviderError>> {
        let mut reasons = Vec::new();
        for service in self.services.iter() {
            match service.wrap(key, part) {
                Ok(wrapped) => return Ok(wrapped),
                Err(error) => reasons.push(error),
            }
        }
        Err(reasons)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cipher::{Cipher, EncryptedValue, looks_sealed};
    use crate::key_path::{Aad, KeyPath};
    use crate::mac::MacHasher;
    use crate::metadata::Metadata;
    use crate::metadata::tests::{lines, yaml};
    use crate::secret::SecretBytes;
    use crate::value::{Kind, Plaintext, Tree};
    use std::sync::{Arc, Mutex};

    /// Wraps by writing the part down in hexadecimal; holds credentials for the keys it is told.
    #[derive(Clone, Default)]
    struct FakeService {
        credentials: Vec<&'static str>,
        failing: Vec<&'static str>,
        at_hand: Vec<&'static str>,
        asked: Arc<Mutex<Vec<String>>>,
    }

    impl FakeService {
        fn with_credentials(credentials: &[&'static str]) -> Self {
            Self { credentials: credentials.to_vec(), ..Self::default() }
        }
    }

    impl KeyService for FakeService {
        fn wrap(&self, key: &MasterKey, part: &KeyPart) -> Result<WrappedKey, ProviderError> {
            if self.failing.contains(&key.to_string().as_str()) {
                return Err(ProviderError::NotAvailable { provider: "fake", key: key.to_string() });
            }
            Ok(WrappedKey::new(part.expose().iter().map(|byte| format!("{byte:02x}")).collect::<String>()))
        }

        fn unwrap(&self, key: &MasterKey, wrapped: &WrappedKey) -> Result<Option<KeyPart>, ProviderError> {
            self.asked.lock().unwrap().push(key.to_string());
            if !self.credentials.contains(&key.to_string().as_str()) {
                return Ok(None);
            }
            let hex = wrapped.as_str();
            let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
            Ok(Some(KeyPart::from_bytes((0..hex.len()).step_by(2).map(byte).collect())))
        }

        fn holds(&self, key: &MasterKey) -> bool {
            self.at_hand.contains(&key.to_string().as_str())
        }
    }

    fn key(id: ProviderId, text: &str) -> MasterKey {
        id.provider().parse_key(text).unwrap()
    }

    fn group(names: &[&str]) -> KeyGroup {
        KeyGroup::of_keys(names.iter().map(|name| key(ProviderId::Pgp, name)))
    }

    fn keyring(service: &FakeService) -> Keyring {
        Keyring::with_services(vec![Box::new(service.clone())])
    }

    fn data_key() -> DataKey {
        DataKey::from_bytes(&std::array::from_fn::<u8, 32, _>(|at| at as u8)).unwrap()
    }

    fn wrapped(names: &[&[&str]], threshold: usize) -> (Vec<KeyGroup>, usize) {
        let mut groups: Vec<KeyGroup> = names.iter().map(|names| group(names)).collect();
        let threshold = keyring(&FakeService::default()).wrap(&mut groups, threshold, &data_key()).unwrap();
        (groups, threshold)
    }

    #[test]
    fn any_key_of_a_single_group_gives_the_data_key() {
        let (groups, threshold) = wrapped(&[&["A", "B", "C"]], 0);
        assert_eq!(threshold, 0);
        for name in ["A", "B", "C"] {
            let unlocked =
                keyring(&FakeService::with_credentials(&[name])).unlock(&groups, threshold).unwrap();
            assert_eq!(unlocked.expose(), data_key().expose());
        }
    }

    #[test]
    fn several_groups_need_as_many_as_the_threshold_says() {
        let (groups, threshold) = wrapped(&[&["A", "B"], &["C"], &["D"]], 2);
        assert_eq!(threshold, 2);
        let unlock =
            |names: &[&'static str]| keyring(&FakeService::with_credentials(names)).unlock(&groups, 2);
        assert_eq!(unlock(&["B", "D"]).unwrap().expose(), data_key().expose());
        let Err(UnlockError::NotEnough { needed: 2, groups: reports, .. }) = unlock(&["A", "B"]) else {
            panic!("one group must not suffice")
        };
        assert_eq!(reports.iter().map(|report| report.is_unlocked).collect::<Vec<_>>(), [true, false, false]);
        assert_eq!(reports[1].attempts[0].key.to_string(), "C");
        assert!(matches!(reports[1].attempts[0].reasons[..], [AttemptReason::NoCredential]));
    }

    #[test]
    fn without_a_threshold_all_groups_are_needed_and_that_is_stored() {
        let (groups, threshold) = wrapped(&[&["A"], &["B"], &["C"]], 0);
        assert_eq!(threshold, 3);
        let unlock =
            |names: &[&'static str]| keyring(&FakeService::with_credentials(names)).unlock(&groups, 0);
        assert!(unlock(&["A", "B"]).is_err());
        assert_eq!(unlock(&["A", "B", "C"]).unwrap().expose(), data_key().expose());
    }

    #[test]
    fn no_key_is_asked_for_once_the_threshold_is_reached() {
        let (groups, _) = wrapped(&[&["A"], &["B"], &["C"]], 2);
        let service = FakeService::with_credentials(&["A", "B", "C"]);
        keyring(&service).unlock(&groups, 2).unwrap();
        assert_eq!(*service.asked.lock().unwrap(), ["A", "B"]);
    }

    #[test]
    fn keys_are_tried_in_the_decryption_order_and_then_in_that_of_the_file() {
        let mut mixed = KeyGroup::of_keys([
            key(ProviderId::Kms, "K1"),
            key(ProviderId::GcpKms, "G"),
            key(ProviderId::Kms, "K2"),
            key(ProviderId::Pgp, "P"),
            MasterKey::Age(crate::provider::age::Recipient::of_file("ssh-ed25519 A")),
        ]);
        for member in &mut mixed.0 {
            member.wrapped = Some(WrappedKey::new("00"));
        }
        let tried = |order: DecryptionOrder| {
            let service = FakeService::default();
            assert!(keyring(&service).with_order(order).unlock(std::slice::from_ref(&mixed), 0).is_err());
            service.asked.lock().unwrap().join(" ")
        };
        assert_eq!(tried(DecryptionOrder::default()), "ssh-ed25519 A P K1 G K2");
        assert_eq!(tried(DecryptionOrder::parse("gcp_kms,x,kms").unwrap()), "G K1 K2 P ssh-ed25519 A");
        assert_eq!(tried(DecryptionOrder::of_file()), "K1 G K2 P ssh-ed25519 A");
    }

    #[test]
    fn among_neighbours_of_one_type_the_keys_at_hand_are_tried_first() {
        let mut mixed = KeyGroup::of_keys([
            key(ProviderId::Pgp, "A"),
            key(ProviderId::Pgp, "B"),
            key(ProviderId::Kms, "K1"),
            key(ProviderId::Kms, "K2"),
            key(ProviderId::Pgp, "C"),
        ]);
        for member in &mut mixed.0 {
            member.wrapped = Some(WrappedKey::new("00"));
        }
        let tried = |order: DecryptionOrder| {
            let service = FakeService { at_hand: vec!["B", "C", "K2"], ..FakeService::default() };
            assert!(keyring(&service).with_order(order).unlock(std::slice::from_ref(&mixed), 0).is_err());
            service.asked.lock().unwrap().join(" ")
        };
        assert_eq!(tried(DecryptionOrder::default()), "B C A K2 K1");
        assert_eq!(tried(DecryptionOrder::of_file()), "B A K2 K1 C");
    }

    #[test]
    fn the_recipients_of_an_identity_at_hand_are_known_without_unwrapping() {
        let recipient_of = |key_file: &str| {
            let line = key_file.lines().find_map(|line| line.strip_prefix("# public key: ")).unwrap();
            key(ProviderId::Age, line)
        };
        let secret = TEST_KEY.lines().find(|line| line.starts_with("AGE-")).unwrap();
        let session = Session::new(crate::Env::from_iter([("SOPS_AGE_KEY", secret)]));
        assert!(session.holds(&recipient_of(TEST_KEY)));
        assert!(!session.holds(&recipient_of(OTHER_KEY)));
        assert!(!session.holds(&key(ProviderId::Pgp, "A")));
    }

    #[test]
    fn a_decryption_order_names_each_type_once() {
        assert_eq!(DecryptionOrder::parse("age,kms,age"), Err(DuplicateKeyType { name: "age".to_owned() }));
        assert_eq!(DecryptionOrder::parse("").unwrap(), DecryptionOrder::default());
        let order = DecryptionOrder::parse("pgp, age").unwrap();
        assert_eq!(order.unknown_names().collect::<Vec<_>>(), [" age"]);
    }

    #[test]
    fn every_key_must_wrap_or_nothing_changes() {
        let (mut groups, _) = wrapped(&[&["A", "B"]], 0);
        let before: Vec<_> = groups[0].0.iter().map(|member| member.wrapped.clone()).collect();
        let service = FakeService { failing: vec!["B"], ..FakeService::default() };
        let other = DataKey::from_bytes(&[9; 32]).unwrap();
        let Err(WrapError::Failed { failures }) = keyring(&service).wrap(&mut groups, 0, &other) else {
            panic!("a key that cannot wrap must stop it")
        };
        assert_eq!(failures.iter().map(|failure| failure.key.to_string()).collect::<Vec<_>>(), ["B"]);
        assert_eq!(groups[0].0.iter().map(|member| member.wrapped.clone()).collect::<Vec<_>>(), before);
    }

    #[test]
    fn the_next_service_is_asked_when_one_fails() {
        let failing = FakeService { failing: vec!["A"], ..FakeService::default() };
        let helping = FakeService::with_credentials(&["A"]);
        let keyring = Keyring::with_services(vec![Box::new(failing), Box::new(helping)]);
        let mut groups = [group(&["A"])];
        keyring.wrap(&mut groups, 0, &data_key()).unwrap();
        assert_eq!(keyring.unlock(&groups, 0).unwrap().expose(), data_key().expose());
    }

    #[test]
    fn a_wrapping_time_is_set_once() {
        let (mut groups, _) = wrapped(&[&["A"]], 0);
        let created_at = groups[0].0[0].created_at.clone().unwrap();
        assert!(Timestamp::parse(&created_at).is_ok());
        groups[0].0[0].created_at = Some("2020-01-01T00:00:00Z".to_owned());
        keyring(&FakeService::default()).wrap(&mut groups, 0, &data_key()).unwrap();
        assert_eq!(groups[0].0[0].created_at.as_deref(), Some("2020-01-01T00:00:00Z"));
    }

    #[test]
    fn missing_groups_keys_and_services_are_told_apart() {
        let ring = keyring(&FakeService::default());
        let key = data_key();
        let text = |result: Result<usize, WrapError>| result.unwrap_err().to_string();
        assert_eq!(text(ring.wrap(&mut [], 0, &key)), "no key groups provided");
        assert_eq!(text(ring.wrap(&mut [group(&["A"]), group(&[])], 0, &key)), "empty key group provided");
        assert!(matches!(ring.wrap(&mut [group(&["A"]), group(&["B"])], 3, &key), Err(WrapError::Split(_))));
        assert!(matches!(ring.unlock(&[], 0), Err(UnlockError::NoGroups)));
        let nobody = Keyring::with_services(Vec::new());
        assert!(matches!(nobody.wrap(&mut [group(&["A"])], 0, &key), Err(WrapError::NoServices)));
        assert!(matches!(nobody.unlock(&[group(&["A"])], 0), Err(UnlockError::NoServices)));
    }

    #[test]
    fn a_share_is_not_taken_for_a_data_key() {
        let (groups, _) = wrapped(&[&["A"], &["B"]], 2);
        let alone = std::slice::from_ref(&groups[0]);
        let Err(UnlockError::NotEnough { groups: reports, .. }) =
            keyring(&FakeService::with_credentials(&["A"])).unlock(alone, 0)
        else {
            panic!("33 bytes are no data key")
        };
        assert!(matches!(reports[0].attempts[0].reasons[..], [AttemptReason::WrongLength { len: 33 }]));
    }

    #[test]
    fn providers_of_later_builds_say_so_only_when_used() {
        let ring = Keyring::new(Session::new(crate::Env::default()));
        let mut groups = [KeyGroup::of_keys([key(ProviderId::HcKms, "r:k")])];
        let Err(WrapError::Failed { failures }) = ring.wrap(&mut groups, 0, &data_key()) else {
            panic!("HuaweiCloud KMS is not in this build")
        };
        let reason = failures[0].reasons[0].to_string();
        assert_eq!(reason, "HuaweiCloud KMS is not available in this build, so key r:k cannot be used");
    }

    const OF_SOPS: &str = include_str!("../testdata/vectors/sops-3.13.3-values.yaml");
    const OF_SOPS_TWO_GROUPS: &str = include_str!("../testdata/vectors/sops-3.13.3-two-groups.yaml");
    const TEST_KEY: &str = include_str!("../testdata/keys/age-test.txt");
    const OTHER_KEY: &str = include_str!("../testdata/keys/age-other.txt");

    fn keyring_with(key_file: &str) -> Keyring {
        let secrets = key_file.lines().filter(|line| line.starts_with("AGE-")).collect::<Vec<_>>().join("\n");
        Keyring::new(Session::new(crate::Env::from_iter([("SOPS_AGE_KEY", secrets)])))
    }

    /// Opens every sealed leaf below `tree`, hashes all, and writes them down as `path kind text`.
    fn open_leaves(
        tree: &Tree,
        path: &mut KeyPath,
        cipher: &Cipher,
        mac: &mut MacHasher,
        out: &mut Vec<String>,
    ) {
        match tree {
            Tree::Null => {}
            Tree::List(items) => items.iter().for_each(|item| open_leaves(item, path, cipher, mac, out)),
            Tree::Map(entries) => {
                for (key, value) in entries.iter().filter(|(key, _)| key != "sops") {
                    path.push(key);
                    open_leaves(value, path, cipher, mac, out);
                    path.pop();
                }
            }
            Tree::Leaf(leaf) if looks_sealed(leaf.expose()) => {
                let opened = EncryptedValue::parse(leaf.expose()).unwrap().open(cipher, &path.aad()).unwrap();
                mac.update(&opened);
                let text = std::str::from_utf8(opened.expose()).unwrap();
                out.push(format!(
                    "{} {} {text}",
                    path.components().collect::<Vec<_>>().join("."),
                    opened.kind().name()
                ));
            }
            Tree::Leaf(leaf) => mac.update(leaf),
        }
    }

    #[test]
    fn a_file_of_sops_opens_for_each_recipient_and_its_mac_holds() {
        let tree = yaml(OF_SOPS);
        let metadata = Metadata::from_tree(tree.entry("sops").unwrap()).unwrap();
        for key_file in [TEST_KEY, OTHER_KEY] {
            let key = keyring_with(key_file).unlock(&metadata.key_groups, metadata.shamir_threshold).unwrap();
            let (cipher, mut mac, mut leaves) = (Cipher::new(&key), MacHasher::new(false), Vec::new());
            open_leaves(&tree, &mut KeyPath::root(), &cipher, &mut mac, &mut leaves);
            let expected = [
                "text str hello",
                "app.port int 8080",
                "app.ratio float 1.5",
                "app.debug bool True",
                "app.when time 2024-01-01T00:00:00Z",
                "list str a",
                "list.b str ünïcode",
            ];
            assert_eq!(leaves, expected);
            mac.finish().verify(&metadata.mac, &cipher, &metadata.last_modified.aad()).unwrap();
            for (line, aad, text) in [(0, ":", " top"), (3, "app:", " in app")] {
                let comment = OF_SOPS.lines().nth(line).unwrap().trim().strip_prefix('#').unwrap();
                let comment = EncryptedValue::parse(comment.as_bytes()).unwrap();
                let opened = comment.open(&cipher, &Aad::of_text(aad)).unwrap();
                assert!(opened == Plaintext::new(Kind::Comment, SecretBytes::copy_of(text.as_bytes())));
            }
        }
    }

    #[test]
    fn a_file_of_sops_with_two_groups_opens_with_both_keys_only() {
        let tree = yaml(OF_SOPS_TWO_GROUPS);
        let metadata = Metadata::from_tree(tree.entry("sops").unwrap()).unwrap();
        let unlock = |keys: &str| keyring_with(keys).unlock(&metadata.key_groups, metadata.shamir_threshold);
        let Err(UnlockError::NotEnough { sources, .. }) = unlock(TEST_KEY) else {
            panic!("one key must not suffice")
        };
        assert!(sources.iter().any(|report| report.place == "SOPS_AGE_KEY"));
        let cipher = Cipher::new(&unlock(&format!("{TEST_KEY}\n{OTHER_KEY}")).unwrap());
        let a = EncryptedValue::parse(
            OF_SOPS_TWO_GROUPS.lines().next().unwrap().strip_prefix("a: ").unwrap().as_bytes(),
        );
        let opened = a.unwrap().open(&cipher, &Aad::of_text("a:")).unwrap();
        assert!(opened == Plaintext::text("x"));
        let mut mac = MacHasher::new(metadata.mac_only_encrypted);
        mac.update(&opened);
        mac.finish().verify(&metadata.mac, &cipher, &metadata.last_modified.aad()).unwrap();
    }

    #[test]
    fn the_metadata_of_a_file_of_sops_is_written_back_as_it_was() {
        for text in [OF_SOPS, OF_SOPS_TWO_GROUPS] {
            let tree = yaml(text);
            let block = tree.entry("sops").unwrap();
            assert_eq!(lines(&Metadata::from_tree(block).unwrap().to_tree()), lines(block));
        }
    }

    #[test]
    fn what_this_keyring_wraps_each_recipient_unwraps() {
        let mut metadata = Metadata::from_tree(yaml(OF_SOPS_TWO_GROUPS).entry("sops").unwrap()).unwrap();
        let both = keyring_with(&format!("{TEST_KEY}\n{OTHER_KEY}"));
        let threshold = both.wrap(&mut metadata.key_groups, 2, &data_key()).unwrap();
        assert_eq!(both.unlock(&metadata.key_groups, threshold).unwrap().expose(), data_key().expose());
        assert!(metadata.key_groups.iter().all(|group| group.0[0].created_at.is_none()));
    }
}
