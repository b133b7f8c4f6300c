//! A plain text shown to an editor, in a file that no disk ever sees and that is gone when this process is.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use orlop::{Env, SecretText};

use crate::context::io_reason;
use crate::error::{CommandError, Kind};
use crate::io as files;

/// The word that makes this program the process that wipes a session's folder.
///
/// It is started beside every session, for a signal may end the session at any time, also one that cannot be
/// caught: when the session is gone its end of a pipe is closed, and the wiper does what is left to do.
pub(crate) const WIPER: &str = "__wipe-edit-folder";

/// What every session's folder is called, and what the wiper checks before it removes anything.
const FOLDER_PREFIX: &str = "orlop-edit-";

/// The variable that names another folder for sessions, whatever it is on.
const FOLDER_VARIABLE: &str = "ORLOP_EDIT_TMPDIR";

/// A text in a private file, and the right to edit it.
pub(crate) struct EditSession {
    folder: PathBuf,
    file: PathBuf,
    wiper: Option<Child>,
}

impl EditSession {
    /// Puts `text` into a file called `name` in a private folder in memory.
    pub(crate) fn begin(name: &OsStr, text: &SecretText, env: &Env) -> Result<Self, CommandError> {
        let folder = new_folder(env)?;
        let file = folder.join(name);
        let mut session = Self { folder, file, wiper: None };
        let failed = |error: io::Error| CommandError::writing("the temporary file for the editor", &error);
        session.wiper = Some(start_wiper(&session.folder).map_err(failed)?);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(&session.file).and_then(|mut file| file.write_all(text.expose())).map_err(failed)?;
        Ok(session)
    }

    /// Runs the user's editor until it ends.
    pub(crate) fn run_editor(&self, env: &Env) -> Result<(), CommandError> {
        let failed = |reason: String| {
            CommandError::new(Kind::NoEditorFound, format!("Could not run editor: {reason}"))
                .hint("name one in SOPS_EDITOR or EDITOR")
        };
        let words = editor(env).map_err(failed)?;
        let (program, arguments) = words.split_first().expect("an editor is never no word");
        let status = Command::new(program).args(arguments).arg(&self.file).status();
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => {
                Err(failed(format!("{} ended with {status}; nothing was written", program.display())))
            }
            Err(error) => Err(failed(format!("{}: {}", program.display(), io_reason(&error)))),
        }
    }

    /// The text as the editor left it.
    pub(crate) fn text(&self) -> Result<SecretText, CommandError> {
        files::read(&self.file)
    }
}

impl Drop for EditSession {
    fn drop(&mut self) {
        wipe(&self.folder);
        if let Some(mut wiper) = self.wiper.take() {
            drop(wiper.stdin.take());
            let _ = wiper.wait();
        }
    }
}

/// The program to edit with, and its arguments.
fn editor(env: &Env) -> Result<Vec<OsString>, String> {
    for variable in ["SOPS_EDITOR", "EDITOR"] {
        if let Some(line) = env.non_empty(variable) {
            let line = line.to_str().ok_or_else(|| format!("{variable} is not UTF-8"))?;
            let words =
                shlex::split(line).ok_or_else(|| format!("{variable} has a quote that is not closed"))?;
            if words.is_empty() {
                return Err(format!("{variable} names no program"));
            }
            return Ok(words.into_iter().map(OsString::from).collect());
        }
    }
    let folders: Vec<PathBuf> =
        env.var("PATH").map(|path| std::env::split_paths(path).collect()).unwrap_or_default();
    ["vim", "nano", "vi"]
        .iter()
        .find_map(|name| {
            folders
                .iter()
                .filter(|folder| folder.is_absolute())
                .map(|folder| folder.join(name))
                .find(|path| path.is_file())
        })
        .map(|path| vec![path.into_os_string()])
        .ok_or_else(|| {
            "neither SOPS_EDITOR nor EDITOR is set, and there is no vim, nano or vi on PATH".to_owned()
        })
}

/// Makes a folder for one session where nothing reaches a disk.
fn new_folder(env: &Env) -> Result<PathBuf, CommandError> {
    let cannot = |error: io::Error, place: &Path| {
        CommandError::writing(format_args!("to {}", place.display()), &error)
    };
    if let Some(place) = env.non_empty(FOLDER_VARIABLE).map(PathBuf::from) {
        return private_folder(&place).map_err(|error| cannot(error, &place));
    }
    let runtime = env.non_empty("XDG_RUNTIME_DIR").map(PathBuf::from);
    let places = runtime.into_iter().chain([PathBuf::from("/dev/shm")]);
    let mut last = None;
    for place in places.filter(|place| is_in_memory(place)) {
        match private_folder(&place) {
            Ok(folder) => return Ok(folder),
            Err(error) => last = Some(cannot(error, &place)),
        }
    }
    let refused = "an editor needs a file, and there is no place for one that is in memory only \
                   (XDG_RUNTIME_DIR or /dev/shm on a tmpfs)";
    Err(last.unwrap_or_else(|| CommandError::new(Kind::CouldNotWriteOutputFile, refused)).hint(format!(
        "mount a tmpfs, or name a folder that may hold the plaintext for the time being: {FOLDER_VARIABLE}=/path"
    )))
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
    fn the_editor_is_the_users_split_into_words() {
        let chosen = |variables: &[(&str, &str)]| editor(&Env::from_iter(variables.iter().copied()));
        let words = |line: &[&str]| Ok(line.iter().map(OsString::from).collect::<Vec<_>>());
        assert_eq!(
            chosen(&[("SOPS_EDITOR", "code -w 'a b'"), ("EDITOR", "vi")]),
            words(&["code", "-w", "a b"])
        );
        assert_eq!(chosen(&[("SOPS_EDITOR", ""), ("EDITOR", "vi")]), words(&["vi"]));
        assert!(chosen(&[("EDITOR", "vi 'x")]).is_err());
        assert!(chosen(&[("PATH", "/nonexistent")]).is_err());
    }

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
