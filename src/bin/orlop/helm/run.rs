//! From the words of `orlop helm …` to a running helm.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use orlop::SecretText;

use super::args::{Mention, Plan, Use};
use super::channel::{Channel, ChannelError, Handle};

/// What was found in a file that the command line names.
pub(crate) enum Found {
    /// Nothing sealed: helm reads the file itself.
    Plain,
    /// A sealed file, and its plaintext.
    Opened(SecretText),
}

/// What the wrapper takes from its own process: variables, and which program it is.
pub(crate) struct Surroundings {
    /// `HELM_SECRETS_HELM_PATH`: the helm the user wants, a path or a name on PATH.
    pub(crate) wanted: Option<OsString>,
    /// `HELM_BIN`: the helm that started us, when we run below one.
    pub(crate) parent: Option<OsString>,
    /// `PATH`
    pub(crate) search: Option<OsString>,
    /// `ORLOP_HELM_GUARD`: how many wrappers are above this one.
    pub(crate) depth: Option<OsString>,
    /// The running program, which is never taken for helm.
    pub(crate) this_program: Option<PathBuf>,
}

impl Surroundings {
    /// Those of the running process.
    pub(crate) fn of_this_process() -> Self {
        let variable = |name| std::env::var_os(name).filter(|value: &OsString| !value.is_empty());
        Self {
            wanted: variable("HELM_SECRETS_HELM_PATH"),
            parent: variable("HELM_BIN"),
            search: variable("PATH"),
            depth: variable(GUARD),
            this_program: std::env::current_exe().ok(),
        }
    }
}

/// Why helm was not started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum HelmError<E: std::error::Error + 'static> {
    /// No helm was found.
    #[error("there is no helm on PATH besides orlop itself")]
    NoHelm,
    /// `HELM_SECRETS_HELM_PATH` leads nowhere.
    #[error("HELM_SECRETS_HELM_PATH names {path:?}, which is no program other than orlop itself")]
    WantedHelm {
        /// The value of the variable.
        path: PathBuf,
    },
    /// The helm that was found calls this program again.
    #[error("orlop and the helm it finds start each other")]
    Loop,
    /// Sealed files that could not be opened, each with its reason.
    #[error("cannot open {}", names(.failures))]
    Sealed {
        /// The files in the order of the command line.
        failures: Vec<(PathBuf, E)>,
    },
    /// Plaintext could not be handed over in memory.
    #[error("cannot hand {file:?} to helm in memory")]
    Channel {
        /// The sealed file.
        file: PathBuf,
        /// The reason.
        source: ChannelError,
    },
    /// The process could not be closed against core dumps.
    #[error("cannot turn core dumps off")]
    CoreDumps {
        /// The operating system's answer.
        source: io::Error,
    },
    /// Helm did not start.
    #[error("cannot start {helm:?}")]
    Start {
        /// The program.
        helm: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
}

fn names<E>(failures: &[(PathBuf, E)]) -> String {
    let names: Vec<String> = failures.iter().map(|(file, _)| file.display().to_string()).collect();
    names.join(", ")
}

/// Runs the real helm with `words`, in which sealed files are replaced by their plaintext in memory.
///
/// `open` reads one file; it is called once for each, from several threads. Files it calls plain, files
/// that are missing, URLs and everything that is not a regular file are left to helm. On Linux this
/// process becomes helm and nothing returns but an error; elsewhere the result is helm's exit code, 128
/// and the signal's number if a signal ended it.
pub(crate) fn run<E: std::error::Error + Send + 'static>(
    words: Vec<OsString>,
    surroundings: &Surroundings,
    open: impl Fn(&Path, Use) -> Result<Found, E> + Sync,
) -> Result<u8, HelmError<E>> {
    let depth = depth(surroundings)?;
    let helm = find_helm(surroundings)?;
    let plan = Plan::read(words);
    let files = DistinctFiles::of(&plan);
    if !files.list.is_empty() {
        forbid_core_dumps().map_err(|source| HelmError::CoreDumps { source })?;
    }
    let mut texts = open_all(&files, open)?;

    let mut handles: Vec<Handle> = Vec::new();
    let words = plan.render(|mention| {
        let Some(&index) = files.by_name.get(&(mention.file.clone(), use_of(mention))) else {
            return Ok(None);
        };
        texts[index]
            .stand_in(&mut handles)
            .map_err(|source| HelmError::Channel { file: mention.file.clone(), source })
    })?;
    drop(texts);
    for handle in &handles {
        handle
            .let_children_inherit()
            .map_err(|source| HelmError::Channel { file: PathBuf::from(handle.path()), source })?;
    }
    let mut command = Command::new(&helm);
    command.args(words).env(GUARD, depth.to_string());
    start(command, handles).map_err(|source| HelmError::Start { helm, source })
}

/// Tells a wrapper that it runs below another one, and how deep.
const GUARD: &str = "ORLOP_HELM_GUARD";

/// Nobody nests plugins that call `helm` again this deep; a script that calls orlop as its helm does.
const DEEPEST: u32 = 10;

fn depth<E: std::error::Error + 'static>(surroundings: &Surroundings) -> Result<u32, HelmError<E>> {
    let above =
        surroundings.depth.as_ref().and_then(|value| value.to_str()?.parse::<u32>().ok()).unwrap_or(0);
    if above >= DEEPEST { Err(HelmError::Loop) } else { Ok(above + 1) }
}

/// The helm the user names, else the one above us, else the first on PATH that is not this program.
fn find_helm<E: std::error::Error + 'static>(surroundings: &Surroundings) -> Result<PathBuf, HelmError<E>> {
    let this_program = surroundings.this_program.as_deref().and_then(identity);
    let is_helm = |path: &Path| is_program(path) && identity(path) != this_program;
    let on_path = |name: &Path| {
        let mut file_name = name.as_os_str().to_owned();
        if name.extension().is_none() {
            file_name.push(std::env::consts::EXE_SUFFIX);
        }
        let folders = std::env::split_paths(surroundings.search.as_ref()?);
        // An empty entry means the current folder to a shell; to us it is a mistake.
        folders
            .filter(|folder| !folder.as_os_str().is_empty())
            .map(|folder| folder.join(&file_name))
            .find(|path| is_helm(path))
    };
    if let Some(wanted) = surroundings.wanted.as_ref().map(PathBuf::from) {
        let is_bare_name = wanted.components().count() == 1 && wanted.file_name() == Some(wanted.as_os_str());
        let found =
            if is_bare_name { on_path(&wanted) } else { Some(wanted.clone()).filter(|path| is_helm(path)) };
        return found.ok_or(HelmError::WantedHelm { path: wanted });
    }
    let parent = surroundings.parent.as_ref().map(PathBuf::from);
    parent
        .filter(|path| path.is_absolute() && is_helm(path))
        .or_else(|| on_path(Path::new("helm")))
        .ok_or(HelmError::NoHelm)
}

#[cfg(unix)]
fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_program(path: &Path) -> bool {
    path.is_file()
}

/// What tells two names of one file from the names of two files.
#[cfg(unix)]
fn identity(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn identity(path: &Path) -> Option<PathBuf> {
    fs::canonicalize(path).ok()
}

/// The regular files that a plan mentions, each once however often and by whatever name it is mentioned.
struct DistinctFiles {
    list: Vec<(PathBuf, Use)>,
    by_name: HashMap<(PathBuf, Use), usize>,
}

impl DistinctFiles {
    fn of(plan: &Plan) -> Self {
        let mut by_identity = HashMap::new();
        let mut files = Self { list: Vec::new(), by_name: HashMap::new() };
        for mention in plan.mentions() {
            let name = (mention.file.clone(), use_of(mention));
            // Only regular files can be looked at without taking something away from helm: a FIFO or
            // a terminal gives its bytes once.
            if files.by_name.contains_key(&name)
                || !fs::metadata(&name.0).is_ok_and(|file: Metadata| file.is_file())
            {
                continue;
            }
            let Some(identity) = identity(&name.0) else { continue };
            let index = *by_identity.entry((identity, name.1)).or_insert_with(|| {
                files.list.push(name.clone());
                files.list.len() - 1
            });
            files.by_name.insert(name, index);
        }
        files
    }
}

/// What helm does with the file, as far as it makes a difference: one whose name says YAML is YAML in any case.
fn use_of(mention: &Mention) -> Use {
    let extension = mention.file.extension().and_then(|extension| extension.to_str());
    if matches!(extension, Some("yaml" | "yml")) { Use::Values } else { mention.purpose }
}

/// What helm gets in place of one file.
enum StandIn {
    /// The file itself.
    Nothing,
    Text(SecretText),
    /// A handle that serves every reading.
    Shared(OsString),
}

impl StandIn {
    /// The name to put into the command line, `None` to leave the file's own; new handles go to `handles`.
    fn stand_in(&mut self, handles: &mut Vec<Handle>) -> Result<Option<OsString>, ChannelError> {
        let text = match self {
            Self::Nothing => return Ok(None),
            Self::Shared(path) => return Ok(Some(path.clone())),
            Self::Text(text) if Channel::SERVES_MANY => std::mem::take(text),
            // A pipe gives its text to one reader, so each mention gets its own.
            Self::Text(text) => SecretText::copy_of(text.expose()),
        };
        let handle = Channel::hand_over(text)?;
        let path = handle.path();
        handles.push(handle);
        if Channel::SERVES_MANY {
            *self = Self::Shared(path.clone());
        }
        Ok(Some(path))
    }
}

/// Opens every file, as many at a time as there are processors; one failure is enough to stop helm.
fn open_all<E: std::error::Error + Send + 'static>(
    files: &DistinctFiles,
    open: impl Fn(&Path, Use) -> Result<Found, E> + Sync,
) -> Result<Vec<StandIn>, HelmError<E>> {
    let count = files.list.len();
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::with_capacity(count));
    let work = || {
        while let Some((file, purpose)) = files.list.get(next.fetch_add(1, Ordering::Relaxed)) {
            let result = open(file, *purpose);
            results.lock().expect("no thread panics while it holds the lock").push((file, *purpose, result));
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from).min(count);
    thread::scope(|scope| {
        // The current thread works too, so a single file costs no thread at all.
        for _ in 1..threads {
            scope.spawn(work);
        }
        work();
    });

    let mut stand_ins: Vec<StandIn> = Vec::with_capacity(count);
    stand_ins.resize_with(count, || StandIn::Nothing);
    let mut failures = Vec::new();
    for (file, purpose, result) in results.into_inner().expect("all threads have ended without a panic") {
        let index = files.by_name[&(file.clone(), purpose)];
        match result {
            Ok(Found::Plain) => {}
            Ok(Found::Opened(text)) => stand_ins[index] = StandIn::Text(text),
            Err(error) => failures.push((index, file.clone(), error)),
        }
    }
    if failures.is_empty() {
        return Ok(stand_ins);
    }
    failures.sort_by_key(|(index, ..)| *index);
    Err(HelmError::Sealed { failures: failures.into_iter().map(|(_, file, error)| (file, error)).collect() })
}

/// Closes this process against core dumps and other users' eyes, and helm against core dumps.
///
/// The limit is inherited, which is wanted: helm's memory will hold the plaintext. The dumpable flag is
/// not; it protects the time until helm takes over.
fn forbid_core_dumps() -> io::Result<()> {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, setrlimit};
        setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    }
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    }
    Ok(())
}

/// Becomes helm, so that signals, terminal and exit status are helm's own.
#[cfg(target_os = "linux")]
fn start(mut command: Command, handles: Vec<Handle>) -> io::Result<u8> {
    use std::os::unix::process::CommandExt as _;
    let error = command.exec();
    drop(handles);
    Err(error)
}

/// Runs helm beside this process, whose threads feed the pipes.
#[cfg(not(target_os = "linux"))]
fn start(mut command: Command, handles: Vec<Handle>) -> io::Result<u8> {
    let mut helm = command.spawn()?;
    // Our reading ends must go, or a feeding thread would wait for a helm that has ended.
    drop(handles);
    let status = helm.wait()?;
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return Ok(128u8.saturating_add(u8::try_from(signal).unwrap_or(127)));
    }
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}
