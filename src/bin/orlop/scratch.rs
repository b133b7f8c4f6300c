//! Folders for plaintext that a program insists on reading from a file: in memory only, and gone when this process is.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use orlop::{Env, SecretText};

use crate::error::{CommandError, Kind};

/// The word that makes this program the process that wipes a session's folder.
///
/// It is started beside every session, for a signal may end the session at any time, also one that cannot be
/// caught: when the session is gone its end of a pipe is closed, and the wiper does what is left to do.
pub(crate) const WIPER: &str = "__wipe-edit-folder";

/// What every session's folder is called, and what the wiper checks before it removes anything.
const FOLDER_PREFIX: &str = "orlop-edit-";

/// The variable that names another folder for sessions, whatever it is on.
const FOLDER_VARIABLE: &str = "ORLOP_EDIT_TMPDIR";

/// A private folder that is wiped when it is dropped, or else by the wiper.
pub(crate) struct Folder {
    path: PathBuf,
    wiper: Option<Child>,
}

impl Folder {
    /// A folder that no disk ever sees.
    pub(crate) fn in_memory(env: &Env) -> Result<Self, CommandError> {
        Self::watched(new_folder(env)?)
    }

    /// A folder for things that hold no data: in memory if there is a place, else where temporary files are.
    pub(crate) fn anywhere(env: &Env) -> Result<Self, CommandError> {
        let path = new_folder(env).or_else(|_| {
            let place = env.non_empty("TMPDIR").map_or_else(|| PathBuf::from("/tmp"), PathBuf::from);
            private_folder(&place).map_err(|error| cannot_write(&error, &place))
        })?;
        Self::watched(path)
    }

    fn watched(path: PathBuf) -> Result<Self, CommandError> {
        let mut folder = Self { path, wiper: None };
        folder.wiper = Some(start_wiper(&folder.path).map_err(|error| cannot_write(&error, &folder.path))?);
        Ok(folder)
    }

    /// The path of `name` in this folder; folders that the name has are made.
    pub(crate) fn place_for(&self, name: &OsStr) -> io::Result<PathBuf> {
        let path = self.path.join(name);
        crate::io::create_private_folder(path.parent())?;
        Ok(path)
    }

    /// Puts `text` into a new file called `name`.
    pub(crate) fn write(&self, name: &OsStr, text: &SecretText) -> io::Result<PathBuf> {
        let path = self.place_for(name)?;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(&path)?.write_all(text.expose())?;
        Ok(path)
    }
}

impl Folder {
    /// Leaves the folder to the program that `start` starts: it is wiped when that has ended.
    ///
    /// The program keeps the pipe open that the wiper listens to.
    pub(crate) fn leave_to(mut self, start: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        #[cfg(unix)]
        if let Some(pipe) = self.wiper.as_ref().and_then(|wiper| wiper.stdin.as_ref()) {
            rustix::io::fcntl_setfd(pipe, rustix::io::FdFlags::empty())?;
        }
        start()?;
        if let Some(wiper) = self.wiper.take() {
            drop(wiper);
            // Nothing is left to do for this process.
            self.path = PathBuf::new();
        }
        Ok(())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        wipe(&self.path);
        if let Some(mut wiper) = self.wiper.take() {
            drop(wiper.stdin.take());
            let _ = wiper.wait();
        }
    }
}

/// A FIFO that gives a text to one reader.
#[cfg(unix)]
pub(crate) struct Fifo {
    path: PathBuf,
    writer: Option<std::thread::JoinHandle<()>>,
}

#[cfg(unix)]
impl Fifo {
    /// Whether this system has such a thing.
    pub(crate) const EXISTS: bool = true;

    /// Makes a FIFO at `path` and waits, beside all else, for somebody who reads `text` from it.
    pub(crate) fn feed(path: PathBuf, text: SecretText) -> io::Result<Self> {
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRUSR | nix::sys::stat::Mode::S_IWUSR)?;
        let place = path.clone();
        let writer = std::thread::Builder::new().spawn(move || {
            // Whoever stops reading has read enough.
            let _ =
                OpenOptions::new().write(true).open(place).and_then(|mut fifo| fifo.write_all(text.expose()));
        })?;
        Ok(Self { path, writer: Some(writer) })
    }

    /// Its path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(unix)]
impl Drop for Fifo {
    fn drop(&mut self) {
        use std::os::unix::fs::OpenOptionsExt as _;
        // If nobody has read, the writer still waits for a reader: one that comes and goes.
        let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let reader = OpenOptions::new().read(true).custom_flags(flags).open(&self.path);
        if reader.is_ok() {
            drop(reader);
            // It ends at once, and wipes its text, unless somebody still reads.
            let writer = self.writer.take();
            for _ in 0..50 {
                if writer.as_ref().is_none_or(std::thread::JoinHandle::is_finished) {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        }
    }
}

/// There are no FIFOs here.
#[cfg(not(unix))]
pub(crate) struct Fifo(std::convert::Infallible);

#[cfg(not(unix))]
impl Fifo {
    pub(crate) const EXISTS: bool = false;

    pub(crate) fn feed(_: PathBuf, _: SecretText) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn path(&self) -> &Path {
        match self.0 {}
    }
}

/// Makes a folder for one session where nothing reaches a disk.
fn new_folder(env: &Env) -> Result<PathBuf, CommandError> {
    if let Some(place) = env.non_empty(FOLDER_VARIABLE).map(PathBuf::from) {
        return private_folder(&place).map_err(|error| cannot_write(&error, &place));
    }
    let runtime = env.non_empty("XDG_RUNTIME_DIR").map(PathBuf::from);
    let places = runtime.into_iter().chain([PathBuf::from("/dev/shm")]);
    let mut last = None;
    for place in places.filter(|place| is_in_memory(place)) {
        match private_folder(&place) {
            Ok(folder) => return Ok(folder),
            Err(error) => last = Some(cannot_write(&error, &place)),
        }
    }
    let refused = "a file is needed, and there is no place for one that is in memory only \
                   (XDG_RUNTIME_DIR or /dev/shm on a tmpfs)";
    Err(last.unwrap_or_else(|| CommandError::new(Kind::CouldNotWriteOutputFile, refused)).hint(format!(
        "mount a tmpfs, or name a folder that may hold the plaintext for the time being: {FOLDER_VARIABLE}=/path"
    )))
}

fn cannot_write(error: &io::Error, place: &Path) -> CommandError {
    CommandError::writing(format_args!("to {}", place.display()), error)
}

fn private_folder(place: &Path) -> io::Result<PathBuf> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let folder = place.join(format!("{FOLDER_PREFIX}{:016x}", u64::from_ne_bytes(random)));
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(false).create(&folder)?;
    Ok(folder)
}

/// Whether `place` is on a filesystem that has no disk.
#[cfg(target_os = "linux")]
fn is_in_memory(place: &Path) -> bool {
    const TMPFS: i64 = 0x0102_1994;
    const RAMFS: i64 = 0x8584_58f6;
    rustix::fs::statfs(place).is_ok_and(|filesystem| {
        #[allow(clippy::unnecessary_cast, reason = "the type differs between architectures")]
        let kind = filesystem.f_type as i64;
        [TMPFS, RAMFS].contains(&kind)
    })
}

#[cfg(not(target_os = "linux"))]
fn is_in_memory(_: &Path) -> bool {
    false
}

fn start_wiper(folder: &Path) -> io::Result<Child> {
    let program = if cfg!(target_os = "linux") { "/proc/self/exe".into() } else { std::env::current_exe()? };
    let mut command = Command::new(program);
    command.arg(WIPER).arg(folder).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    command.env_clear().current_dir("/");
    // Out of reach of what the terminal sends to the session and its editor.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command.spawn()
}

/// Waits for the end of the session that started this process, then wipes its folder.
pub(crate) fn wipe_when_told(words: &[OsString]) -> Result<u8, CommandError> {
    let [folder] = words else { return Err(CommandError::usage("this is not a command")) };
    let folder = Path::new(folder);
    let is_session =
        folder.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(FOLDER_PREFIX.as_bytes()));
    if !is_session {
        return Err(CommandError::usage("this is not a command"));
    }
    let mut rest = [0; 16];
    while io::stdin().read(&mut rest).is_ok_and(|read| read > 0) {}
    wipe(folder);
    Ok(0)
}

/// Overwrites and removes everything below `folder`, and `folder` itself.
fn wipe(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => wipe(&path),
            Ok(kind) if kind.is_file() => {
                let _ = overwrite(&path);
                let _ = fs::remove_file(&path);
            }
            _ => {
                let _ = fs::remove_file(&path);
            }
        }
    }
    let _ = fs::remove_dir(folder);
}

fn overwrite(path: &Path) -> io::Result<()> {
    let mut file: File = OpenOptions::new().write(true).open(path)?;
    let len = file.metadata()?.len();
    io::copy(&mut io::repeat(0).take(len), &mut file)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wiping_leaves_nothing_and_follows_no_link() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("kept"), "kept").unwrap();
        let place = tempfile::tempdir().unwrap();
        let folder = private_folder(place.path()).unwrap();
        fs::create_dir(folder.join("below")).unwrap();
        fs::write(folder.join("below/.file.swp"), "secret").unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(outside.path(), folder.join("link")).unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(outside.path().join("kept"), folder.join("file-link")).unwrap();
        wipe(&folder);
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
        assert_eq!(fs::read_to_string(outside.path().join("kept")).unwrap(), "kept");
    }

    #[test]
    fn the_wiper_wipes_only_folders_of_sessions() {
        let place = tempfile::tempdir().unwrap();
        assert!(wipe_when_told(&[place.path().into()]).is_err());
        assert!(place.path().exists());
    }
}
