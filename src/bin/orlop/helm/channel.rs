//! Ways to hand a text to another program that leave it in memory.
//!
//! On Linux each text is put into a sealed memfd, on macOS into a pipe. Where neither exists,
//! [`Channel::hand_over`] refuses: there is no way through a file, and there will not be one.

use std::ffi::OsString;
use std::io;

use orlop::SecretText;

/// The platform's way of handing over a text.
pub(crate) struct Channel;

/// A text that waits for a child process; it is gone when the last process that holds it ends.
pub(crate) struct Handle {
    #[cfg(any(target_os = "linux", target_vendor = "apple"))]
    descriptor: std::os::fd::OwnedFd,
    path: OsString,
}

/// Why a text could not be handed over.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ChannelError {
    /// The operating system refused a step.
    #[error("cannot {step}")]
    #[cfg_attr(
        not(any(target_os = "linux", target_vendor = "apple")),
        expect(dead_code, reason = "for platforms with a channel")
    )]
    System {
        /// What was tried.
        step: &'static str,
        /// Its answer.
        source: io::Error,
    },
    /// There is no channel on this platform that stays in memory.
    #[error("{platform} has no way to hand a text to helm that stays in memory")]
    #[cfg_attr(
        any(target_os = "linux", target_vendor = "apple"),
        expect(dead_code, reason = "for other platforms")
    )]
    Unsupported {
        /// The operating system's name.
        platform: &'static str,
    },
}

impl Channel {
    /// Whether one handle serves any number of readers; otherwise each reading needs a handle of its own.
    pub(crate) const SERVES_MANY: bool = !cfg!(target_vendor = "apple");

    /// Puts `text` where a child process can read it under [`Handle::path`].
    pub(crate) fn hand_over(text: SecretText) -> Result<Handle, ChannelError> {
        platform::hand_over(text)
    }
}

impl Handle {
    /// The name to give to the child.
    pub(crate) fn path(&self) -> OsString {
        self.path.clone()
    }

    /// Lets every process started from now on inherit the text: to be called last before the start.
    pub(crate) fn let_children_inherit(&self) -> Result<(), ChannelError> {
        #[cfg(any(target_os = "linux", target_vendor = "apple"))]
        rustix::io::fcntl_setfd(&self.descriptor, rustix::io::FdFlags::empty())
            .map_err(|error| failed("pass a descriptor on", error))?;
        Ok(())
    }
}

#[cfg(any(target_os = "linux", target_vendor = "apple"))]
fn failed(step: &'static str, error: rustix::io::Errno) -> ChannelError {
    ChannelError::System { step, source: error.into() }
}

/// Gives the file behind `descriptor` a number that children do not use for their own files.
///
/// A Go program that starts another one puts its own copies right above the standard streams' and
/// `ExtraFiles`' numbers, so a low number could be overwritten on the way from helm to its plugins.
#[cfg(any(target_os = "linux", target_vendor = "apple"))]
fn with_high_number(descriptor: std::os::fd::OwnedFd) -> Result<std::os::fd::OwnedFd, ChannelError> {
    use rustix::io::{Errno, fcntl_dupfd_cloexec};
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    const LOWEST: std::os::fd::RawFd = 200;
    const ENOUGH: u64 = 4096;
    let step = "give a descriptor a number above 200";
    match fcntl_dupfd_cloexec(&descriptor, LOWEST) {
        // The limit on open files is in the way: move it as far as is needed and allowed.
        Err(Errno::INVAL | Errno::MFILE) => {
            let limit = getrlimit(Resource::Nofile);
            let raised = limit.maximum.map_or(ENOUGH, |maximum| maximum.min(ENOUGH));
            setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum: limit.maximum })
                .map_err(|error| failed("raise the limit on open files", error))?;
            fcntl_dupfd_cloexec(&descriptor, LOWEST).map_err(|error| failed(step, error))
        }
        result => result.map_err(|error| failed(step, error)),
    }
}

#[cfg(target_os = "linux")]
use memfd as platform;
#[cfg(target_vendor = "apple")]
use pipe as platform;

#[cfg(target_os = "linux")]
mod memfd {
    use std::fs::File;
    use std::io::Write as _;
    use std::os::fd::{AsRawFd as _, OwnedFd};

    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
    use rustix::io::Errno;

    use super::{ChannelError, Handle, SecretText, failed, with_high_number};

    /// Writes the text into a file of its own that has no name, and seals it.
    ///
    /// Opening `/proc/self/fd/N` makes a new open file at offset 0, so helm and the programs it starts
    /// may read as often as they like; the seals see to it that they all read the same.
    pub(super) fn hand_over(text: SecretText) -> Result<Handle, ChannelError> {
        let mut file = File::from(create()?);
        file.write_all(text.expose())
            .map_err(|source| ChannelError::System { step: "write to a memfd", source })?;
        let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
        fcntl_add_seals(&file, seals).map_err(|error| failed("seal a memfd", error))?;
        let descriptor = with_high_number(OwnedFd::from(file))?;
        let path = format!("/proc/self/fd/{}", descriptor.as_raw_fd()).into();
        Ok(Handle { descriptor, path })
    }

    fn create() -> Result<OwnedFd, ChannelError> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        match memfd_create("orlop", flags | MemfdFlags::NOEXEC_SEAL) {
            // Before Linux 6.3 the flag is unknown.
            Err(Errno::INVAL) => memfd_create("orlop", flags),
            result => result,
        }
        .map_err(|error| failed("create a memfd", error))
    }
}

#[cfg(any(target_vendor = "apple", all(test, target_os = "linux")))]
mod pipe {
    use std::fs::File;
    use std::io::Write as _;
    use std::os::fd::AsRawFd as _;

    use rustix::io::{FdFlags, fcntl_setfd};

    use super::{ChannelError, Handle, SecretText, failed, with_high_number};

    /// Feeds the text into a pipe, which serves a single reading.
    ///
    /// The feeding thread ends when all is read or nobody is left to read; this process must live until then.
    pub(super) fn hand_over(text: SecretText) -> Result<Handle, ChannelError> {
        let (reader, writer) = rustix::pipe::pipe().map_err(|error| failed("create a pipe", error))?;
        for end in [&reader, &writer] {
            fcntl_setfd(end, FdFlags::CLOEXEC).map_err(|error| failed("keep a pipe private", error))?;
        }
        let descriptor = with_high_number(reader)?;
        let path = format!("/dev/fd/{}", descriptor.as_raw_fd()).into();
        std::thread::Builder::new()
            .spawn(move || {
                // A reader that went away has its own reasons and reports them itself.
                let _ = File::from(writer).write_all(text.expose());
            })
            .map_err(|source| ChannelError::System { step: "start a thread", source })?;
        Ok(Handle { descriptor, path })
    }
}

#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
mod platform {
    use super::{ChannelError, Handle, SecretText};

    pub(super) fn hand_over(_text: SecretText) -> Result<Handle, ChannelError> {
        Err(ChannelError::Unsupported { platform: std::env::consts::OS })
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::io::{Read as _, Write as _};
    use std::os::fd::AsRawFd as _;
    use std::process::Command;

    use rustix::fs::{SealFlags, fcntl_get_seals, ftruncate};

    use super::*;

    fn handle(text: &str) -> Handle {
        Channel::hand_over(SecretText::copy_of(text.as_bytes())).unwrap()
    }

    #[test]
    fn a_text_can_be_read_any_number_of_times_from_its_start() {
        let handle = handle("password: harbour");
        for _ in 0..3 {
            assert_eq!(fs::read(handle.path()).unwrap(), b"password: harbour");
        }
    }

    #[test]
    fn two_readers_do_not_share_an_offset() {
        let handle = handle("0123456789");
        let mut first = fs::File::open(handle.path()).unwrap();
        let mut half = [0; 5];
        first.read_exact(&mut half).unwrap();
        assert_eq!(fs::read_to_string(handle.path()).unwrap(), "0123456789");
        let mut rest = String::new();
        first.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "56789");
    }

    #[test]
    fn nobody_can_change_a_text_once_it_is_handed_over() {
        let handle = handle("sealed");
        let denied = rustix::io::Errno::PERM.raw_os_error();
        let mut file = OpenOptions::new().write(true).open(handle.path()).unwrap();
        assert_eq!(file.write(b"x").unwrap_err().raw_os_error(), Some(denied));
        assert_eq!(ftruncate(&handle.descriptor, 1).unwrap_err().raw_os_error(), denied);
        assert_eq!(ftruncate(&handle.descriptor, 100).unwrap_err().raw_os_error(), denied);
        let seals = fcntl_get_seals(&handle.descriptor).unwrap();
        assert!(
            seals.contains(SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE),
            "{seals:?}"
        );
        assert_eq!(fs::read(handle.path()).unwrap(), b"sealed");
    }

    #[test]
    fn descriptors_are_numbered_from_200_up() {
        let handles: Vec<Handle> = (0..3).map(|_| handle("x")).collect();
        for handle in &handles {
            assert!(handle.descriptor.as_raw_fd() >= 200);
            assert_eq!(handle.path(), format!("/proc/self/fd/{}", handle.descriptor.as_raw_fd()).as_str());
        }
    }

    #[test]
    fn a_text_is_in_no_named_file() {
        let handle = handle("x");
        let target = fs::read_link(handle.path()).unwrap();
        assert_eq!(target.to_str(), Some("/memfd:orlop (deleted)"));
    }

    #[test]
    fn a_child_inherits_a_text_only_when_told() {
        let handle = handle("for the child");
        let cat = || Command::new("cat").arg(handle.path()).output().unwrap();
        assert!(!cat().status.success());
        handle.let_children_inherit().unwrap();
        assert_eq!(cat().stdout, b"for the child");
    }

    #[test]
    fn a_text_larger_than_a_pipe_arrives_whole() {
        let text = "0123456789abcdef".repeat(100_000);
        assert_eq!(fs::read_to_string(handle(&text).path()).unwrap(), text);
    }

    #[test]
    fn a_pipe_serves_one_child_with_a_text_larger_than_its_buffer() {
        let text = "0123456789abcdef".repeat(20_000);
        let handle = pipe::hand_over(SecretText::copy_of(text.as_bytes())).unwrap();
        assert!(handle.path().to_str().unwrap().starts_with("/dev/fd/2"));
        handle.let_children_inherit().unwrap();
        let output = Command::new("cat").arg(handle.path()).output().unwrap();
        assert_eq!(output.stdout, text.as_bytes());
    }
}
