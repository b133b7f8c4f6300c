//! What a command takes from its process: the name it was called by, the environment, the working directory.

use std::ffi::OsString;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use orlop::audit::{AuditConfig, EventLog};
use orlop::keyring::{DecryptionOrder, KeyService};
use orlop::store::{Format, Store, Style};
use orlop::{Config, Env, Keyring, SecretText, Session};

use crate::args::{Globals, Services};
use crate::error::{CommandError, Kind};
use crate::ui;

/// The name of the program in `argv[0]`, which decides what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name {
    /// The whole tool.
    Orlop,
    /// A stand-in for sops.
    Sops,
    /// The real helm with decryption in front.
    Helm,
}

impl Name {
    /// The name in the first of `words`.
    pub(crate) fn of_words(words: &[OsString]) -> Self {
        let name = words.first().map(PathBuf::from).unwrap_or_default();
        match name.file_stem().and_then(|name| name.to_str()) {
            Some("sops") => Name::Sops,
            Some("helm") => Name::Helm,
            _ => Name::Orlop,
        }
    }

    /// The name as messages begin with it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Name::Sops => "sops",
            Name::Orlop | Name::Helm => "orlop",
        }
    }
}

/// The surroundings of one command.
pub(crate) struct Context {
    /// What the program was called as.
    pub(crate) name: Name,
    /// The environment.
    pub(crate) env: Env,
    globals: Globals,
}

/// The environment of this process: read here, and nowhere else.
pub(crate) fn environment() -> Env {
    std::env::vars_os().collect()
}

impl Context {
    /// The surroundings of a command with the options that count for all of them.
    pub(crate) fn new(name: Name, env: Env, globals: Globals) -> Self {
        Self { name, env, globals }
    }

    /// Whether `--mac-only-encrypted` was given.
    pub(crate) fn mac_only_encrypted(&self) -> bool {
        self.globals.mac_only_encrypted
    }

    /// The config file for `file`: the one that was named, else the nearest from the file's folder upwards, else from
    /// the working directory upwards.
    ///
    /// sops looks from the working directory only, and so does its stand-in.
    pub(crate) fn config(&self, file: Option<&Path>) -> Result<Option<Config>, CommandError> {
        let path = match &self.globals.config {
            Some(path) => PathBuf::from(path),
            None => match self.find_config(file)? {
                Some(path) => path,
                None => return Ok(None),
            },
        };
        let text = std::fs::read_to_string(&path).map_err(|error| {
            let message = format!("cannot read the config file {}: {}", path.display(), io_reason(&error));
            CommandError::new(Kind::Generic, message)
        })?;
        Config::parse(&text, &absolute(&path)?).map(Some).map_err(CommandError::config)
    }

    fn find_config(&self, file: Option<&Path>) -> Result<Option<PathBuf>, CommandError> {
        let here = working_directory()?;
        let by_here = orlop::config::discover(&here);
        let file = file.filter(|_| self.name != Name::Sops).map(absolute).transpose()?;
        let by_file = file.as_deref().and_then(Path::parent).filter(|folder| *folder != here);
        let found = match by_file.map(orlop::config::discover).filter(|found| found.config.is_some()) {
            Some(found) => {
                if let (Some(used), Some(passed)) = (&found.config, &by_here.config)
                    && used != passed
                {
                    ui::note(format_args!(
                        "orlop: note: the config file is {}, which is nearer to the file than {}",
                        used.display(),
                        passed.display()
                    ));
                }
                found
            }
            None => by_here,
        };
        for ignored in &found.ignored_sops_yml {
            ui::warn_sops_yml(ignored, found.config.as_deref());
        }
        Ok(found.config)
    }

    /// How new text of `format` is laid out, and whether `--indent` asks for a file in normal form.
    ///
    /// SOPS 3.13: 0 columns stand for YAML's default; JSON takes -1 for tabs, which are its default, and 0 for none.
    pub(crate) fn style(
        &self,
        config: Option<&Config>,
        format: Format,
    ) -> Result<(Style, bool), CommandError> {
        let stores = config.map(Config::stores).unwrap_or_default();
        let asked = self.globals.indent;
        let refused = |kind, reason: &str| Err(CommandError::new(kind, reason));
        let style = match format {
            Format::Json | Format::Binary => {
                let configured =
                    if format == Format::Json { stores.json_indent } else { stores.json_binary_indent };
                match asked.unwrap_or(configured) {
                    -1 => Style { indent: 0, tabs: true },
                    columns => match usize::try_from(columns) {
                        Ok(indent) => Style { indent, tabs: false },
                        Err(_) => {
                            return refused(
                                Kind::ErrorDumpingTree,
                                "the indentation of JSON cannot be less than -1",
                            );
                        }
                    },
                }
            }
            Format::Yaml | Format::Dotenv | Format::Ini | Format::Toml => {
                match usize::try_from(asked.unwrap_or(stores.yaml_indent)) {
                    Ok(0) => Style { indent: 4, tabs: false },
                    Ok(indent) => Style { indent, tabs: false },
                    Err(_) => return refused(Kind::Generic, "the indentation of YAML cannot be negative"),
                }
            }
        };
        Ok((style, asked.is_some()))
    }

    /// The means to get at the data key of `file`, in the order that was asked for; `None` is stdin.
    pub(crate) fn keyring(
        &self,
        services: &Services,
        order: Option<&str>,
        file: Option<&Path>,
    ) -> Result<Keyring, CommandError> {
        Ok(keyring(&self.env, services, order)?.for_file(file.unwrap_or(Path::new(""))))
    }

    /// As [`Context::keyring`], with the keys tried as they stand in the file.
    pub(crate) fn keyring_in_file_order(
        &self,
        services: &Services,
        file: Option<&Path>,
    ) -> Result<Keyring, CommandError> {
        let keyring = keyring_in(&self.env, services, DecryptionOrder::of_file())?;
        Ok(keyring.for_file(file.unwrap_or(Path::new(""))))
    }
}

/// The means to get at data keys in an environment.
pub(crate) fn keyring(env: &Env, services: &Services, order: Option<&str>) -> Result<Keyring, CommandError> {
    let order = DecryptionOrder::parse(order.unwrap_or_default())
        .map_err(|error| CommandError::new(Kind::DuplicateDecryptionKeyType, error.to_string()))?;
    for name in order.unknown_names() {
        ui::warn(format_args!("--decryption-order names {name:?}, which is no key type"));
    }
    keyring_in(env, services, order)
}

fn keyring_in(env: &Env, services: &Services, order: DecryptionOrder) -> Result<Keyring, CommandError> {
    let mut asked: Vec<Box<dyn KeyService>> = Vec::new();
    if services.enable_local_keyservice {
        asked.push(Box::new(session(env)));
    }
    if !services.keyservice.is_empty() {
        asked.extend(remote_services(&services.keyservice)?);
    }
    with_audit(Keyring::with_services(asked).with_order(order), env)
}

/// Credentials of this process, with whoever sits at its terminal to ask.
pub(crate) fn session(env: &Env) -> Session {
    let session = Session::new(env.clone());
    match crate::prompts::of_process(env) {
        Some(prompts) => session.with_prompts(prompts),
        None => session,
    }
}

/// The config file of the audit log: one place for the whole machine, which no variable and no flag moves.
const AUDIT_CONFIG: &str = "/etc/sops/audit.yaml";

/// `keyring` with the logs that the machine's audit is set up with; none in most places.
///
/// sops: a file that cannot be read counts as none. Here it stops the command, as every log does that cannot be written.
fn with_audit(mut keyring: Keyring, env: &Env) -> Result<Keyring, CommandError> {
    let unusable = |reason: String| {
        let message = format!("the audit log is set up, but {AUDIT_CONFIG} cannot be used: {reason}");
        CommandError::new(Kind::CouldNotReadInputFile, message)
    };
    let text = match std::fs::read(AUDIT_CONFIG) {
        Ok(bytes) => SecretText::new(bytes),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(keyring),
        Err(error) => return Err(unusable(io_reason(&error))),
    };
    let text = std::str::from_utf8(text.expose()).map_err(|_| unusable("it is not UTF-8".to_owned()))?;
    let config = AuditConfig::parse(text).map_err(|error| unusable(error.to_string()))?;
    for log in audit_logs(&config, env)? {
        keyring = keyring.with_log(log);
    }
    Ok(keyring)
}

/// The databases of the audit; none of them is talked to yet.
#[cfg(feature = "audit-postgres")]
fn audit_logs(config: &AuditConfig, env: &Env) -> Result<Vec<Arc<dyn EventLog>>, CommandError> {
    let databases = config.postgres();
    if databases.is_empty() {
        return Ok(Vec::new());
    }
    let net = Arc::new(orlop::net::Net::default());
    let user = user_name(env)?;
    let log = |connection_string: &str| -> Result<Arc<dyn EventLog>, CommandError> {
        let log = orlop::audit::PostgresLog::new(connection_string, env, &user, net.clone());
        let log = log.map_err(|error| {
            CommandError::new(Kind::Generic, format!("the audit log cannot be written: {error}"))
                .hint(format!("the connection string is in {AUDIT_CONFIG}"))
        })?;
        Ok(Arc::new(log))
    };
    databases.into_iter().map(log).collect()
}

#[cfg(not(feature = "audit-postgres"))]
fn audit_logs(config: &AuditConfig, _: &Env) -> Result<Vec<Arc<dyn EventLog>>, CommandError> {
    match config.postgres().is_empty() {
        true => Ok(Vec::new()),
        false => Err(CommandError::new(
            Kind::Generic,
            format!("{AUDIT_CONFIG} names a PostgreSQL database, which this build cannot write to"),
        )),
    }
}

/// The name of the user who runs this, as sops writes it down: that of the password file, else of the variable.
#[cfg(all(unix, feature = "audit-postgres"))]
fn user_name(env: &Env) -> Result<String, CommandError> {
    let id = rustix::process::getuid().as_raw().to_string();
    let users = std::fs::read("/etc/passwd").unwrap_or_default();
    let users = String::from_utf8_lossy(&users);
    let listed = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        (fields.nth(1) == Some(&id)).then(|| name.to_owned())
    });
    listed.or_else(|| env.text("USER").filter(|name| !name.is_empty()).map(str::to_owned)).ok_or_else(|| {
        let message = "the audit log cannot be written: who you are cannot be told from /etc/passwd or USER";
        CommandError::new(Kind::Generic, message)
    })
}

/// The name of the user who runs this.
#[cfg(all(not(unix), feature = "audit-postgres"))]
fn user_name(env: &Env) -> Result<String, CommandError> {
    env.text("USERNAME").filter(|name| !name.is_empty()).map(str::to_owned).ok_or_else(|| {
        CommandError::new(Kind::Generic, "the audit log cannot be written: USERNAME is not set")
    })
}

/// The key services at `uris`; none of them is talked to yet.
///
/// SOPS 3.13: what is no URL is left out with a warning.
#[cfg(feature = "keyservice")]
fn remote_services(uris: &[String]) -> Result<Vec<Box<dyn KeyService>>, CommandError> {
    use orlop::keyservice::{Address, RemoteKeyService};

    let net = Arc::new(orlop::net::Net::default());
    let mut services: Vec<Box<dyn KeyService>> = Vec::new();
    for uri in uris {
        match Address::parse(uri) {
            Ok(address) => services.push(Box::new(RemoteKeyService::new(address, net.clone()))),
            Err(error) => ui::warn(format_args!("the key service {uri:?} is left out: {error}")),
        }
    }
    Ok(services)
}

#[cfg(not(feature = "keyservice"))]
fn remote_services(_: &[String]) -> Result<Vec<Box<dyn KeyService>>, CommandError> {
    let message = "this build has no key services (--keyservice, SOPS_KEYSERVICE)";
    Err(CommandError::new(Kind::Generic, message))
}

/// The store for a file: that of the type that was named, else that of its path.
///
/// sops: a type that does not exist counts as not given. For its stand-in that is every type sops does not know.
pub(crate) fn store_for(program: Name, named: Option<&str>, path: Option<&Path>) -> &'static dyn Store {
    let is_known = |format: &Format| program != Name::Sops || format.is_known_to_sops();
    let by_path = || match path {
        Some(path) => Some(Format::of_path(path)).filter(is_known).filter(|format| is_of(*format, path)),
        None => None,
    };
    let format =
        named.and_then(Format::from_name).filter(is_known).or_else(by_path).unwrap_or(Format::Binary);
    format.store()
}

/// Whether the file at `path` can be of the format that it is called. What sops makes of a `.toml` file is not TOML.
fn is_of(format: Format, path: &Path) -> bool {
    if format.is_known_to_sops() || !path.is_file() {
        return true;
    }
    let start =
        std::fs::File::open(path).and_then(|file| SecretText::read_from(&mut file.take(FIRST_BYTES), 0));
    // What cannot be read is told of by who reads it.
    start.map_or(true, |start| !orlop::store::toml::is_envelope(start.expose()))
}

/// So many bytes tell an envelope, whatever blanks stand before it.
const FIRST_BYTES: u64 = 64;

/// `path` from the root, by its text alone.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf, CommandError> {
    std::path::absolute(path).map_err(|error| {
        CommandError::new(Kind::Generic, format!("cannot tell where {} is: {error}", path.display()))
    })
}

fn working_directory() -> Result<PathBuf, CommandError> {
    std::env::current_dir().map_err(|error| {
        CommandError::new(
            Kind::Generic,
            format!("the working directory cannot be told: {}", io_reason(&error)),
        )
    })
}

/// What the operating system says, without Rust's `(os error 2)`.
pub(crate) fn io_reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    let reason = text.split(" (os error").next().unwrap_or(&text);
    let mut letters = reason.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

/// Closes this process against core dumps and other users' eyes before it holds plaintext.
pub(crate) fn forbid_core_dumps() -> Result<(), CommandError> {
    let closed = || -> std::io::Result<()> {
        #[cfg(unix)]
        {
            use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
            let maximum = getrlimit(Resource::Core).maximum;
            setrlimit(Resource::Core, Rlimit { current: Some(0), maximum })?;
        }
        #[cfg(target_os = "linux")]
        {
            use rustix::process::{DumpableBehavior, set_dumpable_behavior};
            set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
        }
        Ok(())
    };
    closed().map_err(|error| {
        CommandError::new(Kind::Generic, format!("cannot turn core dumps off: {}", io_reason(&error)))
    })
}
