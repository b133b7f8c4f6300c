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
    SecretText::read_from(&mut io::stdin().lock(), 0).map_err(|error| CommandError::reading("stdin", &error))
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
    pub(crate) fn is_unchanged(&self) -> bool {
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
    pub(crate) fn replace(self, text: &SecretText) -> Result<bool, CommandError> {
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
    let known = [Errno::NOTSUP, Errno::OPNOTSUPP, Errno::NOLCK, Errno::NOSYS, Errno::INVAL];
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
    let folder = match target.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
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
    /// Its name for the time being.
    path: Option<PathBuf>,
}

impl NewFile {
    /// A file in `folder` that is going to be `target`; nobody else reads it when it `is_private`.
    fn in_folder(folder: &Path, target: &Path, is_private: bool) -> io::Result<Self> {
        let name = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, if is_private { 0o600 } else { 0o666 });
        for attempt in 0..100 {
            let path = folder.join(format!(".{name}.orlop-{}-{attempt}", std::process::id()));
            match options.open(&path) {
                Ok(file) => return Ok(Self { file, path: Some(path) }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    fn take_the_place_of(mut self, target: &Path) -> io::Result<()> {
        if let Some(path) = &self.path {
            fs::rename(path, target)?;
            self.path = None;
        }
        Ok(())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            let _ = fs::remove_file(path);
        }
    }
}
