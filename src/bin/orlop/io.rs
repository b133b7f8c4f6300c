//! Files read and replaced: never half written, never written over a change that somebody else made.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use orlop::SecretText;

use crate::error::{CommandError, Kind};
use crate::ui;

/// Where a command's result goes.
pub(crate) enum Sink {
    /// Standard output.
    Stdout,
    /// `--output`.
    Path(PathBuf),
    /// The file it was made from, which is held until then.
    InPlace(HeldFile),
}

impl Sink {
    /// Writes the result, completely or not at all.
    pub(crate) fn write(self, text: &SecretText) -> Result<(), CommandError> {
        match self {
            Sink::Stdout => print(text),
            Sink::Path(path) => write_file(&path, text.expose()),
            Sink::InPlace(file) => file.replace(text),
        }
    }
}

/// Writes `text` to stdout.
pub(crate) fn print(text: &SecretText) -> Result<(), CommandError> {
    ui::print_bytes(text.expose()).map_err(|error| CommandError::writing("to stdout", &error))
}

/// Reads a whole file.
pub(crate) fn read(path: &Path) -> Result<SecretText, CommandError> {
    let read = || {
        let mut file = File::open(path)?;
        let size = file.metadata()?.len();
        SecretText::read_from(&mut file, usize::try_from(size).unwrap_or(0))
    };
    read().map_err(|error| CommandError::reading(path.display(), &error))
}

/// Reads stdin to its end.
pub(crate) fn read_stdin() -> Result<SecretText, CommandError> {
    use std::io::IsTerminal as _;
    if io::stdin().is_terminal() {
        ui::note("reading from the terminal; Ctrl+D on a line of its own ends the input");
    }
    SecretText::read_from(&mut io::stdin().lock(), stdin_size())
        .map_err(|error| CommandError::reading("stdin", &error))
}

/// How much there is to read, where stdin is a file.
fn stdin_size() -> usize {
    #[cfg(unix)]
    if let Ok(stat) = rustix::fs::fstat(rustix::stdio::stdin())
        && rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file()
    {
        return usize::try_from(stat.st_size).unwrap_or(0);
    }
    0
}

/// A file that is going to be replaced: read, locked against others that do the same, and known again.
pub(crate) struct HeldFile {
    /// As the user called it.
    name: PathBuf,
    /// The file itself, behind all symbolic links.
    target: PathBuf,
    before: Fingerprint,
    /// Unlocks when it is closed.
    _lock: File,
}

/// So long another process is waited for that changes the same file.
const PATIENCE: Duration = Duration::from_secs(20);

impl HeldFile {
    /// Reads the file at `path` and holds it: whoever else wants to hold it waits until this is dropped.
    pub(crate) fn read(path: &Path) -> Result<(SecretText, Self), CommandError> {
        let failed = |error: io::Error| CommandError::reading(path.display(), &error);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let target = fs::canonicalize(path).map_err(failed)?;
            let mut file = File::open(&target).map_err(failed)?;
            if file.metadata().map_err(failed)?.is_dir() {
                return Err(failed(io::ErrorKind::IsADirectory.into()));
            }
            if !file.metadata().map_err(failed)?.is_file() {
                let message = format!("cannot change {} in place: it is not a regular file", path.display());
                return Err(CommandError::new(Kind::CouldNotWriteOutputFile, message));
            }
            if !lock(&file, deadline).map_err(failed)? {
                let message = format!("cannot change {}: another process holds it", path.display());
                return Err(CommandError::new(Kind::CouldNotWriteOutputFile, message)
                    .hint("run the command again when the other one is done"));
            }
            let before = Fingerprint::of(&file.metadata().map_err(failed)?);
            // Whoever held it has put another file in its place, and what is locked now has no name.
            if fs::metadata(&target).map(|now| Fingerprint::of(&now)).ok() != Some(before) {
                continue;
            }
            let text = SecretText::read_from(&mut file, usize::try_from(before.size).unwrap_or(0));
            let held = Self { name: path.to_owned(), target, before, _lock: file };
            return Ok((text.map_err(failed)?, held));
        }
    }

    /// Puts `text` in the place of the file, unless it is no longer the file that was read.
    pub(crate) fn replace(self, text: &SecretText) -> Result<(), CommandError> {
        if !self.is_unchanged() {
            let message =
                format!("cannot write {}: the file changed while orlop worked on it", self.name.display());
            return Err(CommandError::new(Kind::CouldNotWriteOutputFile, message)
                .hint("nothing was written; run the command again"));
        }
        replace(&self.target, text.expose()).map_err(|error| write_error(&self.name, &error))
    }

    /// Whether the file is still the one that was read.
    fn is_unchanged(&self) -> bool {
        fs::metadata(&self.target).is_ok_and(|now| Fingerprint::of(&now) == self.before)
    }

    /// Lets others hold the file; it must be taken again before it is replaced.
    pub(crate) fn let_go(self) -> KnownFile {
        KnownFile { name: self.name, before: self.before }
    }
}

/// A file that was read and is known again, but not held.
pub(crate) struct KnownFile {
    name: PathBuf,
    before: Fingerprint,
}

impl KnownFile {
    /// Puts `text` in the place of the file; `false` when it is no longer the file that was read.
    pub(crate) fn replace(&self, text: &SecretText) -> Result<bool, CommandError> {
        if fs::metadata(&self.name).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            return Ok(false);
        }
        let (_, held) = HeldFile::read(&self.name)?;
        if held.before != self.before {
            return Ok(false);
        }
        held.replace(text).map(|()| true)
    }
}

/// Writes a new file, or a new text into an old one, whatever it holds.
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> Result<(), CommandError> {
    let is_special = fs::metadata(path).is_ok_and(|file| !file.is_file() && !file.is_dir());
    let written = if is_special {
        // A FIFO, a terminal, /dev/stdout: there is nothing to replace.
        OpenOptions::new().write(true).open(path).and_then(|mut file| file.write_all(bytes))
    } else {
        target_of(path).and_then(|target| replace(&target, bytes))
    };
    written.map_err(|error| write_error(path, &error))
}

/// Makes a folder and those above it, for their owner alone, where they are missing.
pub(crate) fn create_private_folder(folder: Option<&Path>) -> io::Result<()> {
    let Some(folder) = folder.filter(|folder| !folder.as_os_str().is_empty()) else { return Ok(()) };
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(folder)
}

/// Writes a file that must not exist yet, readable by its owner only.
pub(crate) fn create_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if written.is_err() {
        let _ = fs::remove_file(path);
    }
    written
}

/// Fails early when a file could not be replaced, before somebody puts work into what is to replace it.
pub(crate) fn ensure_replaceable(path: &Path) -> Result<(), CommandError> {
    let target = target_of(path).map_err(|error| write_error(path, &error))?;
    let folder = folder_of(&target);
    let is_there = target.exists();
    ensure_writable(folder)
        .and_then(|()| if is_there { ensure_writable(&target) } else { Ok(()) })
        .map_err(|error| write_error(path, &error))
}

fn folder_of(target: &Path) -> &Path {
    match target.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn write_error(path: &Path, error: &io::Error) -> CommandError {
    let described = CommandError::writing(path.display(), error);
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::ResourceBusy => described
            .hint("files are replaced in one step, so the folder must allow new files; the old file is untouched"),
        io::ErrorKind::StorageFull => described.hint("the old file is untouched"),
        _ => described,
    }
}

/// What tells a file from the same file after somebody wrote to it.
#[derive(Clone, Copy, PartialEq)]
struct Fingerprint {
    identity: (u64, u64),
    size: u64,
    modified: Option<SystemTime>,
}

impl Fingerprint {
    #[cfg(unix)]
    fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        let identity = (metadata.dev(), metadata.ino());
        Self { identity, size: metadata.len(), modified: metadata.modified().ok() }
    }

    #[cfg(not(unix))]
    fn of(metadata: &Metadata) -> Self {
        Self { identity: (0, 0), size: metadata.len(), modified: metadata.modified().ok() }
    }
}

/// Locks `file` for this process; `false` when another one keeps it for too long.
fn lock(file: &File, deadline: Instant) -> io::Result<bool> {
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(fs::TryLockError::WouldBlock) if Instant::now() > deadline => return Ok(false),
            Err(fs::TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(2)),
            // Some network filesystems have no locks; the look before the replacement still counts.
            Err(fs::TryLockError::Error(error)) if is_no_lock(&error) => return Ok(true),
            Err(fs::TryLockError::Error(error)) => return Err(error),
        }
    }
}

#[cfg(unix)]
fn is_no_lock(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let known = [Errno::NOTSUP, Errno::OPNOTSUPP, Errno::NOLCK, Errno::NOSYS, Errno::INVAL, Errno::BADF];
    Errno::from_io_error(error).is_some_and(|error| known.contains(&error))
}

#[cfg(not(unix))]
fn is_no_lock(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Unsupported
}

/// The file that `path` leads to through symbolic links, also when it does not exist yet.
fn target_of(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..40 {
        match fs::read_link(&path) {
            Ok(next) => path = path.parent().unwrap_or(Path::new("")).join(next),
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::other("too many symbolic links"))
}

/// Puts a file with `bytes` in the place of `target`, in one step that a crash leaves done or not done.
fn replace(target: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = folder_of(target);
    let old = match fs::metadata(target) {
        Ok(old) if old.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
        Ok(old) => Some(old),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    if old.is_some() {
        // A file that its owner made read-only stays so, though its folder would allow the replacement.
        ensure_writable(target)?;
    }
    let mut new = NewFile::in_folder(folder, target, old.is_some())?;
    new.file.write_all(bytes)?;
    if let Some(old) = &old {
        keep_owner_and_mode(&new.file, old)?;
    }
    new.file.sync_all()?;
    new.take_the_place_of(target)?;
    // The new name is on the disk only when its folder is. Some filesystems cannot do that; the file is there.
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
    Ok(())
}

#[cfg(unix)]
fn ensure_writable(path: &Path) -> io::Result<()> {
    Ok(rustix::fs::access(path, rustix::fs::Access::WRITE_OK)?)
}

#[cfg(not(unix))]
fn ensure_writable(path: &Path) -> io::Result<()> {
    match fs::metadata(path)?.permissions().readonly() {
        true => Err(io::ErrorKind::PermissionDenied.into()),
        false => Ok(()),
    }
}

#[cfg(unix)]
fn keep_owner_and_mode(file: &File, old: &Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
    let new = file.metadata()?;
    if (new.uid(), new.gid()) != (old.uid(), old.gid())
        && fchown(file, Some(old.uid()), Some(old.gid())).is_err()
    {
        // Only root gives files away; the group may still be one of the user's.
        let _ = fchown(file, None, Some(old.gid()));
    }
    file.set_permissions(fs::Permissions::from_mode(old.mode() & 0o7777))
}

#[cfg(not(unix))]
fn keep_owner_and_mode(_: &File, _: &Metadata) -> io::Result<()> {
    Ok(())
}

/// A file that has no place yet, and vanishes unless it is given one.
struct NewFile {
    file: File,
    /// A name that nobody uses, in the folder of the target.
    path: PathBuf,
    /// Whether the file has that name. Without one it vanishes even when this process is killed.
    is_named: bool,
}

impl NewFile {
    /// A file in `folder` that is going to be `target`; nobody else reads it when it `is_private`.
    fn in_folder(folder: &Path, target: &Path, is_private: bool) -> io::Result<Self> {
        let mode = if is_private { 0o600 } else { 0o666 };
        let name = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let start = format!(".{name}.orlop-");
        remove_orphans(folder, &start);
        let path = |attempt: u32| folder.join(format!("{start}{}-{attempt}", std::process::id()));
        if let Some(file) = nameless_file(folder, mode) {
            return Ok(Self { file, path: path(0), is_named: false });
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
        for attempt in 0..100 {
            match options.open(path(attempt)) {
                Ok(file) => return Ok(Self { file, path: path(attempt), is_named: true }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    fn take_the_place_of(mut self, target: &Path) -> io::Result<()> {
        if !self.is_named {
            // Only a name can replace another one.
            name_file(&self.file, &self.path)?;
            self.is_named = true;
        }
        fs::rename(&self.path, target)?;
        self.is_named = false;
        Ok(())
    }
}

/// Removes what a process left that was killed in the instant between naming its new file and putting it in place.
/// It is ciphertext, but in the way.
fn remove_orphans(folder: &Path, start: &str) {
    let process_of = |name: &str| name.strip_prefix(start)?.split('-').next()?.parse::<u32>().ok();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let is_orphan =
            entry.file_name().to_str().and_then(process_of).is_some_and(|process| !is_alive(process));
        if is_orphan {
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(target_os = "linux")]
fn is_alive(process: u32) -> bool {
    Path::new("/proc").join(process.to_string()).exists()
}

/// Where processes cannot be asked after, every file may still be in use.
#[cfg(not(target_os = "linux"))]
fn is_alive(_: u32) -> bool {
    true
}

/// A file in `folder` without a name, where there is such a thing.
#[cfg(target_os = "linux")]
fn nameless_file(folder: &Path, mode: u32) -> Option<File> {
    use rustix::fs::{Mode, OFlags};
    if !Path::new("/proc/self/fd").exists() {
        return None;
    }
    let flags = OFlags::WRONLY | OFlags::TMPFILE | OFlags::CLOEXEC;
    rustix::fs::open(folder, flags, Mode::from_raw_mode(mode)).ok().map(File::from)
}

#[cfg(not(target_os = "linux"))]
fn nameless_file(_: &Path, _: u32) -> Option<File> {
    None
}

/// Gives a name to a file that has none; a file left over from a process of the same number makes way.
#[cfg(target_os = "linux")]
fn name_file(file: &File, path: &Path) -> io::Result<()> {
    use rustix::fs::{AtFlags, CWD, linkat};
    use std::os::fd::AsRawFd as _;
    let from = format!("/proc/self/fd/{}", file.as_raw_fd());
    let link = || linkat(CWD, from.as_str(), CWD, path, AtFlags::SYMLINK_FOLLOW);
    match link() {
        Err(rustix::io::Errno::EXIST) => {
            fs::remove_file(path)?;
            Ok(link()?)
        }
        result => Ok(result?),
    }
}

#[cfg(not(target_os = "linux"))]
fn name_file(_: &File, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if self.is_named {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    use super::*;

    fn folder_with(name: &str, text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        (folder, path)
    }

    fn text(path: &Path) -> String {
        fs::read_to_string(path).unwrap()
    }

    fn new_text() -> SecretText {
        SecretText::copy_of(b"new")
    }

    #[test]
    fn a_replaced_file_is_another_file_with_the_mode_of_the_old_one_and_nothing_beside_it() {
        let (folder, path) = folder_with("a.yaml", "old");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let old = fs::metadata(&path).unwrap().ino();
        let mut reader = File::open(&path).unwrap();
        let (read, held) = HeldFile::read(&path).unwrap();
        assert_eq!(read.expose(), b"old");
        held.replace(&new_text()).unwrap();
        assert_eq!(text(&path), "new");
        assert_eq!(io::read_to_string(&mut reader).unwrap(), "old", "who reads it sees it whole");
        assert_ne!(fs::metadata(&path).unwrap().ino(), old);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o640);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_named_temporary_file_is_gone_whether_the_replacement_works_or_not() {
        let (folder, path) = folder_with("a.yaml", "old");
        for succeeds in [true, false] {
            let mut new = NewFile {
                file: File::create(folder.path().join(".x")).unwrap(),
                path: folder.path().join(".x"),
                is_named: true,
            };
            new.file.write_all(b"new").unwrap();
            let target = if succeeds { path.clone() } else { folder.path().join("missing/a.yaml") };
            assert_eq!(new.take_the_place_of(&target).is_ok(), succeeds);
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        }
        assert_eq!(text(&path), "new");
    }

    #[test]
    fn a_symbolic_link_stays_and_its_target_is_replaced() {
        let (folder, path) = folder_with("real.yaml", "old");
        fs::create_dir(folder.path().join("links")).unwrap();
        let link = folder.path().join("links/link.yaml");
        symlink("../real.yaml", &link).unwrap();
        HeldFile::read(&link).unwrap().1.replace(&new_text()).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(text(&path), "new");
        let dangling = folder.path().join("links/dangling.yaml");
        symlink("../made.yaml", &dangling).unwrap();
        write_file(&dangling, b"made").unwrap();
        assert_eq!(text(&folder.path().join("made.yaml")), "made");
    }

    #[test]
    fn a_file_that_changed_since_it_was_read_is_not_replaced() {
        let (_folder, path) = folder_with("a.yaml", "old");
        let (_, held) = HeldFile::read(&path).unwrap();
        fs::write(&path, "theirs, longer").unwrap();
        assert_eq!(held.replace(&new_text()).unwrap_err().kind, Kind::CouldNotWriteOutputFile);
        assert_eq!(text(&path), "theirs, longer");
        let (_, held) = HeldFile::read(&path).unwrap();
        let known = held.let_go();
        fs::write(&path, "theirs again, and longer").unwrap();
        assert!(!known.replace(&new_text()).unwrap());
        assert_eq!(text(&path), "theirs again, and longer");
    }

    #[test]
    fn a_device_is_written_to_and_not_replaced() {
        write_file(Path::new("/dev/null"), b"text").unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
        assert_eq!(HeldFile::read(Path::new("/dev/null")).err().unwrap().kind, Kind::CouldNotWriteOutputFile);
    }

    #[test]
    fn a_private_file_is_new_and_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.txt");
        create_private(&path, b"key").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(create_private(&path, b"other").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(text(&path), "key");
    }
}
