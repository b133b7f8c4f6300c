//! The places where sops looks for identities, read when a wrapped key is first met.

use std::collections::HashMap;
use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::Recipient;
use super::identity::{Identity, NOT_TEXT, PerLine, parse};
use super::ssh;
use crate::env::Env;
use crate::provider::{SourceOutcome, SourceReport};
use crate::secret::SecretText;

pub(super) const KEY: &str = "SOPS_AGE_KEY";
pub(super) const KEY_FILE: &str = "SOPS_AGE_KEY_FILE";
pub(super) const KEY_CMD: &str = "SOPS_AGE_KEY_CMD";
pub(super) const SSH_FILE: &str = "SOPS_AGE_SSH_PRIVATE_KEY_FILE";
pub(super) const SSH_CMD: &str = "SOPS_AGE_SSH_PRIVATE_KEY_CMD";
const RECIPIENT: &str = "SOPS_AGE_RECIPIENT";

/// Identities of one session, each place read at most once.
#[derive(Default)]
pub(in crate::provider) struct Identities {
    standing: OnceLock<Vec<Source>>,
    ssh: OnceLock<Vec<Source>>,
    commanded: Mutex<HashMap<(&'static str, String), Arc<Source>>>,
}

/// One place and the identities it gave. It holds secrets, so nothing prints it.
pub(super) struct Source {
    place: String,
    found: Result<Vec<Identity>, SourceOutcome>,
}

impl Identities {
    /// The sources that are the same for every recipient.
    pub(super) fn standing(&self, env: &Env) -> &[Source] {
        self.standing.get_or_init(|| standing_sources(env))
    }

    /// The ssh keys; to be called only for a file that is for one, as looking through `~/.ssh` takes time.
    pub(super) fn ssh(&self, env: &Env) -> &[Source] {
        self.ssh.get_or_init(|| ssh_sources(env))
    }

    /// Whether an identity of `recipient` is among those that lie ready.
    pub(super) fn holds(&self, env: &Env, recipient: &Recipient) -> bool {
        let ssh = if recipient.is_ssh() { self.ssh(env) } else { &[] };
        let sources = self.standing(env).iter().chain(ssh);
        sources.flat_map(Source::identities).any(|identity| identity.holds(recipient))
    }

    /// What the command in the variable `name` gives for `recipient`; `None` when the variable is not set.
    pub(super) fn commanded(&self, env: &Env, name: &'static str, recipient: &str) -> Option<Arc<Source>> {
        env.var(name)?;
        // Held while the command runs, so that two threads do not ask twice for one recipient.
        let mut known = self.commanded.lock().unwrap_or_else(PoisonError::into_inner);
        let source = known.entry((name, recipient.to_owned())).or_insert_with(|| {
            let output = run_key_command(env, name, recipient);
            let found = output.and_then(|text| match name {
                SSH_CMD => ssh::Key::parse(&text, SSH_CMD).map(|key| vec![key.into()]),
                _ => parse(&text, PerLine::One, name),
            });
            Arc::new(Source::new(name, found))
        });
        Some(Arc::clone(source))
    }

    pub(in crate::provider) fn reports(&self) -> Vec<SourceReport> {
        let standing = self.standing.get().into_iter().flatten();
        let mut reports: Vec<SourceReport> =
            self.ssh.get().into_iter().flatten().chain(standing).map(Source::report).collect();
        let commanded = self.commanded.lock().unwrap_or_else(PoisonError::into_inner);
        for source in commanded.values() {
            let report = source.report();
            if !reports.contains(&report) {
                reports.push(report);
            }
        }
        reports
    }
}

impl Source {
    fn new(place: impl Into<String>, found: Result<Vec<Identity>, String>) -> Self {
        let found = found.map_err(|reason| SourceOutcome::Rejected { reason });
        Self { place: place.into(), found }
    }

    fn absent(place: impl Into<String>) -> Self {
        Self { place: place.into(), found: Err(SourceOutcome::Absent) }
    }

    pub(super) fn identities(&self) -> &[Identity] {
        self.found.as_deref().unwrap_or_default()
    }

    /// The place, as messages name it.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    fn report(&self) -> SourceReport {
        let outcome = match &self.found {
            // A file with a passphrase is the only one of its source.
            Ok(identities) => match &identities[..] {
                [one] => one.outcome(),
                several => SourceOutcome::Loaded(several.len()),
            },
            Err(outcome) => outcome.clone(),
        };
        SourceReport { place: self.place.clone(), outcome }
    }
}

fn standing_sources(env: &Env) -> Vec<Source> {
    let mut sources = Vec::new();
    sources.push(match env.var(KEY) {
        Some(value) => {
            let text = value.to_str().ok_or_else(|| NOT_TEXT.to_owned());
            let text = text.map(|text| SecretText::copy_of(text.as_bytes()));
            Source::new(KEY, text.and_then(|text| parse(&text, PerLine::Several, KEY)))
        }
        None => Source::absent(KEY),
    });
    sources.push(match env.var(KEY_FILE) {
        Some(path) => {
            let text = read_key_file(path.as_ref()).map_err(|error| format!("cannot read {path:?}: {error}"));
            Source::new(KEY_FILE, text.and_then(|text| parse(&text, PerLine::One, KEY_FILE)))
        }
        None => Source::absent(KEY_FILE),
    });
    if env.var(KEY_CMD).is_none() {
        sources.push(Source::absent(KEY_CMD));
    }
    match key_files(env, Platform::THIS) {
        Ok(paths) => sources.extend(paths.into_iter().map(|path| {
            let place = path.display().to_string();
            match read_key_file(&path) {
                Ok(text) => {
                    let found = parse(&text, PerLine::One, &place);
                    Source::new(place, found)
                }
                Err(error) if error.kind() == ErrorKind::NotFound => Source::absent(place),
                Err(error) => Source::new(place, Err(format!("cannot be read: {error}"))),
            }
        })),
        Err(reason) => sources.push(Source::new("sops/age/keys.txt", Err(reason))),
    }
    sources
}

fn ssh_sources(env: &Env) -> Vec<Source> {
    let mut sources = vec![match env.text(SSH_FILE) {
        Some(path) => {
            let text = ssh::read_key(path.as_ref()).map_err(|error| format!("cannot read {path:?}: {error}"));
            let key = text.and_then(|text| ssh::Key::parse(&text, path));
            Source::new(SSH_FILE, key.map(|key| vec![key.into()]))
        }
        None if env.var(SSH_FILE).is_some() => Source::new(SSH_FILE, Err(NOT_TEXT.to_owned())),
        None => Source::absent(SSH_FILE),
    }];
    if env.var(SSH_CMD).is_none() {
        sources.push(Source::absent(SSH_CMD));
    }
    let home = if cfg!(windows) { "USERPROFILE" } else { "HOME" };
    let Some(home) = env.non_empty(home) else { return sources };
    let folder = Path::new(home).join(".ssh");
    let place = folder.display().to_string();
    match ssh::keys_in(&folder) {
        Ok(ssh::Folder { keys, rejected }) => {
            let found = keys.into_iter().map(Identity::from).collect();
            sources.push(Source::new(place, Ok(found)));
            sources.extend(rejected.into_iter().map(|(place, reason)| Source::new(place, Err(reason))));
        }
        Err(error) if error.kind() == ErrorKind::NotFound => sources.push(Source::absent(place)),
        Err(error) => sources.push(Source::new(place, Err(format!("cannot be read: {error}")))),
    }
    sources
}

/// Where users keep their settings, which differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Platform {
    Windows,
    MacOs,
    Other,
}

impl Platform {
    const THIS: Self = if cfg!(windows) {
        Self::Windows
    } else if cfg!(target_os = "macos") {
        Self::MacOs
    } else {
        Self::Other
    };
}

/// The places of `keys.txt` in the user's folders for settings.
///
/// SOPS 3.13: on macOS `XDG_CONFIG_HOME` counts, and else `~/Library/Application Support`. Every guide written on
/// Linux says `~/.config`, so that is looked at too.
pub(super) fn key_files(env: &Env, platform: Platform) -> Result<Vec<PathBuf>, String> {
    let folder = |name: &str| env.non_empty(name).map(PathBuf::from);
    let home = |below: &str| folder("HOME").map(|home| home.join(below));
    let (settings, unset) = match platform {
        Platform::Windows => (vec![folder("AppData").or_else(|| folder("APPDATA"))], "%AppData% is not set"),
        Platform::MacOs => {
            let sops = folder("XDG_CONFIG_HOME").or_else(|| home("Library/Application Support"));
            (vec![sops, home(".config")], "neither XDG_CONFIG_HOME nor HOME is set")
        }
        Platform::Other => {
            let sops = folder("XDG_CONFIG_HOME").or_else(|| home(".config"));
            (vec![sops], "neither XDG_CONFIG_HOME nor HOME is set")
        }
    };
    let mut paths: Vec<PathBuf> = Vec::new();
    for folder in settings.into_iter().flatten() {
        let path = folder.join("sops").join("age").join("keys.txt");
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    if paths.is_empty() { Err(unset.to_owned()) } else { Ok(paths) }
}

fn read_key_file(path: &Path) -> std::io::Result<SecretText> {
    let mut file = File::open(path)?.take(MAX_KEY_FILE_LEN);
    SecretText::read_from(&mut file, 4096)
}

/// The limit that age sets for files of identities.
pub(super) const MAX_KEY_FILE_LEN: u64 = 16 << 20;

fn run_key_command(env: &Env, name: &str, recipient: &str) -> Result<SecretText, String> {
    let line = env.text(name).ok_or(NOT_TEXT)?;
    let words = shlex::split(line).ok_or("a quote is not closed")?;
    let (program, arguments) = words.split_first().ok_or("it is empty")?;
    // No shell sees the line, and only the snapshot's variables are passed on.
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(env.iter())
        .env(RECIPIENT, recipient)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot run {program:?}: {error}"))?;
    let mut stdout = child.stdout.take().expect("stdout was piped").take(MAX_KEY_FILE_LEN);
    let text = SecretText::read_from(&mut stdout, 4096);
    // Closed before waiting, so that a command with too much to say ends rather than hangs.
    drop(stdout);
    let status = child.wait().map_err(|error| format!("cannot wait for {program:?}: {error}"))?;
    if !status.success() {
        return Err(format!("{program:?} failed: {status}"));
    }
    text.map_err(|error| format!("cannot read the output of {program:?}: {error}"))
}
