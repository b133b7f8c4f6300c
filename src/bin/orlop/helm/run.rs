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

/// What the first thread of a process has too: room for files that are nested as deep as they may be.
const STACK_SIZE: usize = 8 << 20;

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
            // A thread that cannot be had leaves its work to the others.
            let _ = thread::Builder::new().stack_size(STACK_SIZE).spawn_scoped(scope, work);
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

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::collections::HashSet;
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::{Child, Output, Stdio};

    use tempfile::TempDir;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("no key fits")]
    struct NoKey;

    /// Opens files that begin with `sealed:`, and only those.
    fn open(path: &Path, _: Use) -> Result<Found, NoKey> {
        let text = fs::read_to_string(path).unwrap();
        match text.strip_prefix("sealed:") {
            Some("no key") => Err(NoKey),
            Some(text) => Ok(Found::Opened(SecretText::copy_of(text.as_bytes()))),
            None => Ok(Found::Plain),
        }
    }

    fn fake_helm() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/bin/helm")
    }

    fn surroundings(helm: &Path) -> Surroundings {
        Surroundings {
            wanted: Some(helm.into()),
            parent: None,
            search: None,
            depth: None,
            this_program: None,
        }
    }

    fn folder(files: &[(&str, &str)]) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    fn program(folder: &Path, name: &str) -> PathBuf {
        let path = folder.join(name);
        fs::write(&path, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// Not a test by itself: [`start_wrapper`] runs it in a process of its own, which becomes helm.
    #[test]
    #[ignore = "becomes another program"]
    fn wrapper_process() {
        let Some(words) = std::env::var_os("WRAPPER_WORDS") else { return };
        let words = words.to_str().unwrap().split('\n').map(OsString::from).collect();
        let open_in_the_dark = |path: &Path, purpose: Use| {
            let dumpable = rustix::process::dumpable_behavior().unwrap();
            assert_eq!(dumpable, rustix::process::DumpableBehavior::NotDumpable);
            assert_eq!(rustix::process::getrlimit(rustix::process::Resource::Core).current, Some(0));
            open(path, purpose)
        };
        let error = run(words, &Surroundings::of_this_process(), open_in_the_dark).unwrap_err();
        panic!("{error}");
    }

    fn start_wrapper(folder: &Path, words: &[&str], variables: &[(&str, &str)]) -> Child {
        let test = format!("{}::wrapper_process", module_path!().split_once("::").unwrap().1);
        Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--nocapture", &test])
            .current_dir(folder)
            .env("WRAPPER_WORDS", words.join("\n"))
            .env("HELM_SECRETS_HELM_PATH", fake_helm())
            .env_remove(GUARD)
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    fn wrapper(folder: &Path, words: &[&str], variables: &[(&str, &str)]) -> (String, Output) {
        let output = start_wrapper(folder, words, variables).wait_with_output().unwrap();
        (String::from_utf8(output.stdout.clone()).unwrap(), output)
    }

    fn lines<'text>(text: &'text str, start: &str) -> Vec<&'text str> {
        text.lines().filter_map(|line| line.strip_prefix(start)).collect()
    }

    #[test]
    fn helm_reads_plaintext_from_memory_and_plain_files_by_their_name() {
        let folder = folder(&[("a.yaml", "sealed:a: 1"), ("b.yaml", "b: 2"), ("c.txt", "sealed:sea")]);
        let words = ["template", "r", "c", "-fa.yaml,b.yaml", "--set-file", "k=c.txt", "-f", "gone.yaml"];
        let (text, output) = wrapper(folder.path(), &words, &[]);
        assert!(output.status.success(), "{output:?}");
        let seen = lines(&text, "word ");
        assert_eq!(&seen[..3], ["template", "r", "c"]);
        assert_eq!(&seen[6..], ["-f", "gone.yaml"]);
        let first = seen[3].strip_prefix("-f").unwrap().strip_suffix(",b.yaml").unwrap();
        let second = seen[5].strip_prefix("k=").unwrap();
        assert!(
            text.contains(&format!("begin first {second}\nsea\nend\nbegin second {second}\nsea\nend\n")),
            "{text}"
        );
        assert_ne!(first, second);
        for path in [first, second] {
            let number: u32 = path.strip_prefix("/proc/self/fd/").unwrap().parse().unwrap();
            assert!(number >= 200);
        }
        assert!(!text.contains("word a: 1"));
    }

    #[test]
    fn helm_inherits_each_text_under_one_number_only() {
        let folder = folder(&[("a.yaml", "sealed:a: 1"), ("b.yaml", "sealed:b: 2")]);
        let (text, _) = wrapper(folder.path(), &["lint", "-f", "a.yaml", "-f", "b.yaml"], &[]);
        // Besides these there are the standard streams and what the test's own parents left open.
        let open: Vec<&str> =
            lines(&text, "open ").into_iter().filter(|line| line.contains("memfd")).collect();
        assert_eq!(open, ["200 /memfd:orlop (deleted)", "201 /memfd:orlop (deleted)"], "{text}");
    }

    #[test]
    fn the_wrapper_process_becomes_helm() {
        let folder = folder(&[("a.yaml", "sealed:a: 1")]);
        let child = start_wrapper(folder.path(), &["lint", "-f", "a.yaml"], &[("FAKE_HELM_EXIT", "7")]);
        let pid = child.id().to_string();
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(7));
        assert_eq!(lines(&text, "pid "), [pid.as_str()]);
        assert_eq!(lines(&text, "guard "), ["1"]);
    }

    #[test]
    fn a_signal_reaches_helm_and_is_its_end() {
        let folder = folder(&[("a.yaml", "sealed:a: 1")]);
        let sleeper = folder.path().join("sleeper");
        fs::write(&sleeper, "#!/bin/sh\necho ready\nexec sleep 60\n").unwrap();
        fs::set_permissions(&sleeper, fs::Permissions::from_mode(0o755)).unwrap();
        let variables = [("HELM_SECRETS_HELM_PATH", sleeper.to_str().unwrap())];
        let mut child = start_wrapper(folder.path(), &["lint", "-f", "a.yaml"], &variables);
        let mut ready = String::new();
        let mut stdout = io::BufReader::new(child.stdout.take().unwrap());
        while !ready.contains("ready") {
            assert_ne!(io::BufRead::read_line(&mut stdout, &mut ready).unwrap(), 0, "{ready}");
        }
        let pid = rustix::process::Pid::from_raw(child.id().cast_signed()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(15));
    }

    #[test]
    fn core_dumps_are_off_before_a_file_is_opened_and_stay_off_in_helm() {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        // Otherwise there would be nothing to see where the limit starts at 0.
        let limit = getrlimit(Resource::Core);
        setrlimit(Resource::Core, Rlimit { current: limit.maximum, ..limit }).unwrap();
        let folder = folder(&[("a.yaml", "sealed:a: 1")]);
        let (with_values, _) = wrapper(folder.path(), &["lint", "-f", "a.yaml"], &[]);
        assert_eq!(lines(&with_values, "core "), ["0"]);
        let (without, _) = wrapper(folder.path(), &["list"], &[]);
        assert_ne!(lines(&without, "core "), ["0"]);
    }

    #[test]
    fn a_file_that_cannot_be_opened_stops_the_run_before_helm_starts() {
        let folder =
            folder(&[("a.yaml", "sealed:a: 1"), ("b.yaml", "sealed:no key"), ("c.yaml", "sealed:no key")]);
        let (text, output) = wrapper(folder.path(), &["lint", "-f", "a.yaml,b.yaml,c.yaml"], &[]);
        assert!(!output.status.success());
        assert!(!text.contains("word "), "{text}");
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(message.contains("cannot open b.yaml, c.yaml"), "{message}");
    }

    #[test]
    fn each_file_is_opened_once_by_whatever_name() {
        let folder = folder(&[("a.yaml", "sealed:a: 1"), ("b.yaml", "sealed:b: 2")]);
        let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        symlink(at("a.yaml"), at("link.yaml")).unwrap();
        let words = [
            "lint".to_owned(),
            "-f".to_owned(),
            [at("a.yaml"), at("b.yaml"), at("./a.yaml"), at("link.yaml"), at("a.yaml")].join(","),
            "--set-file".to_owned(),
            format!("k={}", at("a.yaml")),
        ];
        let plan = Plan::read(words.map(OsString::from).to_vec());
        assert_eq!(plan.mentions().count(), 6);
        let files = DistinctFiles::of(&plan);
        let opened = Mutex::new(Vec::new());
        let stand_ins = open_all(&files, |path, purpose| {
            opened.lock().unwrap().push(path.to_owned());
            open(path, purpose)
        })
        .ok()
        .unwrap();
        assert_eq!(stand_ins.len(), 2);
        let opened = opened.into_inner().unwrap();
        assert_eq!(opened.len(), 2);
        let names: HashSet<_> = opened.iter().map(|path| path.file_name().unwrap()).collect();
        assert_eq!(names, HashSet::from(["a.yaml".as_ref(), "b.yaml".as_ref()]));
    }

    #[test]
    fn a_file_named_twice_is_handed_over_once() {
        let folder = folder(&[("a.yaml", "sealed:a: 1")]);
        let (text, _) = wrapper(folder.path(), &["lint", "-f", "a.yaml", "-f", "./a.yaml"], &[]);
        assert_eq!(lines(&text, "word "), ["lint", "-f", "/proc/self/fd/200", "-f", "/proc/self/fd/200"]);
    }

    #[test]
    fn a_fifo_is_left_for_helm_to_read() {
        let folder = folder(&[]);
        let fifo = folder.path().join("fifo.yaml");
        assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        let plan = Plan::read(vec!["lint".into(), "-f".into(), fifo.into()]);
        assert!(DistinctFiles::of(&plan).list.is_empty());
    }

    #[test]
    fn the_next_helm_on_path_is_found_and_never_this_program() {
        let (one, two, three) = (folder(&[]), folder(&[]), folder(&[("helm", "no program")]));
        let this_program = program(one.path(), "orlop");
        symlink(&this_program, one.path().join("helm")).unwrap();
        let real = program(two.path(), "helm");
        let search = std::env::join_paths([Path::new(""), three.path(), one.path(), two.path()]).unwrap();
        let mut surroundings = Surroundings {
            wanted: None,
            parent: None,
            search: Some(search),
            depth: None,
            this_program: Some(this_program.clone()),
        };
        let found = |surroundings: &Surroundings| find_helm::<NoKey>(surroundings).ok();
        assert_eq!(found(&surroundings), Some(real.clone()));

        // HELM_BIN counts if it is absolute and not this program.
        let parent = program(two.path(), "helm-above");
        surroundings.parent = Some(parent.clone().into());
        assert_eq!(found(&surroundings), Some(parent));
        for useless in [OsString::from("helm"), one.path().join("helm").into(), "/nowhere/helm".into()] {
            surroundings.parent = Some(useless);
            assert_eq!(found(&surroundings), Some(real.clone()));
        }

        // The user's choice wins, as a path or as a name on PATH; a wrong one is an error.
        let chosen = program(two.path(), "helm4.3");
        for wanted in [OsString::from("helm4.3"), chosen.clone().into()] {
            surroundings.wanted = Some(wanted);
            assert_eq!(found(&surroundings), Some(chosen.clone()));
        }
        for wrong in [OsString::from("helm5"), this_program.into(), three.path().join("helm").into()] {
            surroundings.wanted = Some(wrong);
            assert!(matches!(find_helm::<NoKey>(&surroundings), Err(HelmError::WantedHelm { .. })));
        }
        surroundings.wanted = None;
        surroundings.search = Some(one.path().into());
        assert!(matches!(find_helm::<NoKey>(&surroundings), Err(HelmError::NoHelm)));
    }

    #[test]
    fn a_helm_that_calls_orlop_again_and_again_is_stopped() {
        let mut surroundings = surroundings(&fake_helm());
        for (above, expected) in
            [(None, Some(1)), (Some("3"), Some(4)), (Some("junk"), Some(1)), (Some("10"), None)]
        {
            surroundings.depth = above.map(OsString::from);
            assert_eq!(depth::<NoKey>(&surroundings).ok(), expected);
        }
    }
}
