//! The audit log: what is done with which file, written down elsewhere before it is done.
//!
//! [`Keyring`](crate::Keyring) carries the log, and [`simple`](crate::simple) writes to it, so that no command can open
//! or seal a file past it.

#[cfg(feature = "audit-postgres")]
mod connection;
#[cfg(feature = "audit-postgres")]
mod postgres;

use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

#[cfg(feature = "audit-postgres")]
pub use connection::ConnectionError;
#[cfg(feature = "audit-postgres")]
pub use postgres::PostgresLog;

/// What is done with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Its values are decrypted.
    Decrypt,
    /// Its values are encrypted.
    Encrypt,
    /// It gets a new data key; it is decrypted and encrypted as well.
    Rotate,
}

impl fmt::Display for Action {
    /// The word that sops writes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Action::Decrypt => "decrypt",
            Action::Encrypt => "encrypt",
            Action::Rotate => "rotate",
        })
    }
}

/// Where events are written down.
pub trait EventLog: Send + Sync {
    /// Writes down that `action` is about to be done with `file`, an absolute path.
    ///
    /// When this fails, the action is not done.
    fn record(&self, action: Action, file: &Path) -> Result<(), AuditError>;
}

/// Why an event could not be written down. It holds no password.
#[derive(Debug, thiserror::Error)]
#[error("the audit log cannot be written: {reason}")]
pub struct AuditError {
    /// What is wrong.
    pub reason: String,
}

impl AuditError {
    /// An error for `reason`.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }
}

/// The logs that hear of what is done with one file; none in most processes.
#[derive(Clone, Default)]
pub(crate) struct Events {
    logs: Vec<Arc<dyn EventLog>>,
    file: PathBuf,
}

impl Events {
    pub(crate) fn with_log(mut self, log: Arc<dyn EventLog>) -> Self {
        self.logs.push(log);
        self
    }

    pub(crate) fn of_file(&self, file: &Path) -> Self {
        Self { logs: self.logs.clone(), file: file.to_owned() }
    }

    pub(crate) fn record(&self, action: Action) -> Result<(), AuditError> {
        if self.logs.is_empty() {
            return Ok(());
        }
        // sops: what comes from stdin counts as the working directory, which is what the empty path is.
        let absolute = match self.file.as_os_str().is_empty() {
            true => std::env::current_dir(),
            false => std::path::absolute(&self.file).map(|path| without_dots(&path)),
        };
        let file = absolute.map_err(|_| AuditError::new("the working directory cannot be told"))?;
        self.logs.iter().try_for_each(|log| log.record(action, &file))
    }
}

/// `path` without `.` and `..`, by the text alone, as Go makes paths absolute.
fn without_dots(path: &Path) -> PathBuf {
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

/// The config file of the audit log, as sops has it.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct AuditConfig {
    backends: Option<Backends>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Backends {
    postgres: Option<Vec<PostgresEntry>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PostgresEntry {
    connection_string: String,
}

/// Why the config file of the audit log cannot be used. It repeats nothing of the file, which holds passwords.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it is not of the form `backends: {{postgres: [{{connection_string: \"postgres://…\"}}]}}`{place}")]
pub struct AuditConfigError {
    place: String,
}

impl AuditConfig {
    /// Reads the file; keys that are not known do not count.
    pub fn parse(text: &str) -> Result<Self, AuditConfigError> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let config: Option<Self> = serde_yaml::from_str(text).map_err(|error| AuditConfigError {
            place: error.location().map_or_else(String::new, |place| format!(" (line {})", place.line())),
        })?;
        Ok(config.unwrap_or_default())
    }

    /// The connection strings of the databases, all of which must hear of every event.
    pub fn postgres(&self) -> Vec<&str> {
        let entries = self.backends.as_ref().and_then(|backends| backends.postgres.as_deref());
        entries.unwrap_or_default().iter().map(|entry| entry.connection_string.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn the_config_file_names_databases() {
        let config = AuditConfig::parse(
            "backends:\n  other: 1\n  postgres:\n    - connection_string: postgres://a\n    - connection_string: b\n",
        );
        assert_eq!(config.unwrap().postgres(), ["postgres://a", "b"]);
        for empty in ["", "# nothing\n", "null\n", "backends:\n", "backends:\n  postgres:\n", "x: 1\n"] {
            assert!(AuditConfig::parse(empty).unwrap().postgres().is_empty(), "{empty:?}");
        }
    }

    #[test]
    fn a_config_file_that_cannot_be_used_is_not_repeated() {
        for text in [
            "backends:\n  postgres: postgres://u:canary@h\n",
            "backends:\n  postgres:\n    - canary\n",
            "backends: canary\n",
            "backends: {canary",
        ] {
            let error = AuditConfig::parse(text).err().unwrap().to_string();
            assert!(!error.contains("canary") && error.contains("connection_string"), "{error}");
        }
    }

    #[derive(Default)]
    struct Memory(Mutex<Vec<(Action, PathBuf)>>);

    impl EventLog for Memory {
        fn record(&self, action: Action, file: &Path) -> Result<(), AuditError> {
            self.0.lock().unwrap().push((action, file.to_owned()));
            if action == Action::Rotate { Err(AuditError::new("full")) } else { Ok(()) }
        }
    }

    #[test]
    fn every_log_hears_of_the_file_and_any_of_them_can_fail() {
        let logs = [Arc::new(Memory::default()), Arc::new(Memory::default())];
        let events = logs.iter().fold(Events::default(), |events, log| events.with_log(log.clone()));
        events.of_file(Path::new("/a/b.yaml")).record(Action::Decrypt).unwrap();
        events.record(Action::Encrypt).unwrap();
        let expected = [
            (Action::Decrypt, PathBuf::from("/a/b.yaml")),
            (Action::Encrypt, std::env::current_dir().unwrap()),
        ];
        for log in &logs {
            assert_eq!(*log.0.lock().unwrap(), expected);
        }
        assert!(events.record(Action::Rotate).is_err());
        Events::default().record(Action::Rotate).unwrap();
    }
}
