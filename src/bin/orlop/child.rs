//! Programs that are started and waited for: signals reach them, and the terminal is as it was when they end.

use std::ffi::{CStr, OsStr, OsString};
use std::fmt;
use std::io;
use std::process::{Command, Stdio};

use orlop::{Env, SecretText};

use crate::error::CommandError;
use crate::scratch::Folder;

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ended {
    /// Its exit code, unless a signal ended it.
    pub(crate) code: Option<i32>,
    /// The signal that ended it.
    pub(crate) signal: Option<i32>,
    /// The first signal that this process was sent while it waited.
    pub(crate) interrupted: Option<i32>,
}

impl fmt::Display for Ended {
    /// As sops says it: `exit status 3`, `signal: …`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code, self.signal) {
            (Some(code), _) => write!(f, "exit status {code}"),
            (None, Some(signal)) => write!(f, "signal: {signal}"),
            (None, None) => f.write_str("an unknown status"),
        }
    }
}

impl Ended {
    /// Ends this process by the signal that it was sent and that ended the program, so that whoever sent it sees that.
    pub(crate) fn follow(self) {
        #[cfg(unix)]
        if let (Some(signal), true) = (self.signal, self.signal == self.interrupted) {
            let _ = signal_hook::low_level::emulate_default_handler(signal);
        }
    }
}

/// Variables for a program's environment, which may be secrets.
#[derive(Default)]
pub(crate) struct Variables(Vec<Variable>);

/// `name=value` and a zero byte.
struct Variable {
    text: SecretText,
    name_len: usize,
}

impl AsRef<CStr> for Variable {
    fn as_ref(&self) -> &CStr {
        CStr::from_bytes_with_nul(self.text.expose()).unwrap_or(c"")
    }
}

impl Variable {
    fn name(&self) -> &[u8] {
        &self.text.expose()[..self.name_len]
    }

    fn value(&self) -> &[u8] {
        &self.text.expose()[self.name_len + 1..self.text.len() - 1]
    }
}

impl Variables {
    /// Those of this process.
    pub(crate) fn of(env: &Env) -> Self {
        let mut variables = Self::default();
        for (name, value) in env.iter() {
            // A name is in the snapshot once.
            variables.push(name.as_encoded_bytes(), value.as_encoded_bytes());
        }
        variables
    }

    /// Sets one, in the place of another of that name. Neither part holds a zero byte.
    pub(crate) fn set(&mut self, name: &[u8], value: &[u8]) {
        self.0.retain(|variable| variable.name() != name);
        self.push(name, value);
    }

    fn push(&mut self, name: &[u8], value: &[u8]) {
        let mut text = SecretText::with_capacity(name.len() + value.len() + 2);
        for part in [name, b"=", value, b"\0"] {
            text.push(part);
        }
        self.0.push(Variable { text, name_len: name.len() });
    }

    /// Sets several.
    pub(crate) fn extend<'v>(&mut self, variables: impl IntoIterator<Item = (&'static str, &'v OsStr)>) {
        for (name, value) in variables {
            self.set(name.as_bytes(), value.as_encoded_bytes());
        }
    }
}

/// A line for the shell, and the environment it runs in.
pub(crate) struct Shell {
    pub(crate) command: OsString,
    pub(crate) variables: Variables,
}

impl Shell {
    /// The shell.
    pub(crate) const PROGRAM: &'static str = if cfg!(unix) { "/bin/sh" } else { "cmd.exe" };

    /// Runs the line until it ends. The variables are wiped once the program has them.
    #[cfg(unix)]
    pub(crate) fn run(self) -> io::Result<Ended> {
        let watch = Watch::begin()?;
        let process = unix::spawn(&self.command, &self.variables.0)?;
        drop(self);
        watch.wait_for(process)
    }

    /// Runs the line until it ends.
    #[cfg(not(unix))]
    pub(crate) fn run(self) -> io::Result<Ended> {
        run(&mut self.command())
    }

    /// Starts the line without an input and an output. What is in `folder` stays until it has ended.
    pub(crate) fn start_in_background(self, folder: Option<Folder>) -> io::Result<()> {
        let mut command = self.command();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        match folder {
            Some(folder) => folder.leave_to(|| command.spawn().map(drop)),
            None => command.spawn().map(drop),
        }
    }

    /// Makes this process the shell; comes back when that fails.
    pub(crate) fn replace_this_process(self) -> io::Error {
        #[cfg(unix)]
        return std::os::unix::process::CommandExt::exec(&mut self.command());
        #[cfg(not(unix))]
        io::Error::other("--same-process is not possible on this system")
    }

    fn command(&self) -> Command {
        let mut command = Command::new(Self::PROGRAM);
        command.arg(if cfg!(unix) { "-c" } else { "/C" }).arg(&self.command).env_clear();
        for variable in &self.variables.0 {
            command.env(os_str(variable.name()), os_str(variable.value()));
        }
        command
    }
}

#[cfg(unix)]
fn os_str(bytes: &[u8]) -> &OsStr {
    std::os::unix::ffi::OsStrExt::from_bytes(bytes)
}

#[cfg(not(unix))]
fn os_str(bytes: &[u8]) -> &OsStr {
    OsStr::new(std::str::from_utf8(bytes).unwrap_or_default())
}

/// A user of this system to run a command as.
pub(crate) struct User {
    #[cfg(unix)]
    entry: nix::unistd::User,
}

impl User {
    /// The user with this name.
    #[cfg(unix)]
    pub(crate) fn named(name: &str) -> Result<Self, CommandError> {
        match nix::unistd::User::from_name(name) {
            Ok(Some(entry)) => Ok(Self { entry }),
            Ok(None) => Err(CommandError::usage(format!("--user: there is no user {name:?}"))),
            Err(error) => {
                Err(CommandError::usage(format!("--user: cannot look {name:?} up: {}", error.desc())))
            }
        }
    }

    /// The user with this name.
    #[cfg(not(unix))]
    pub(crate) fn named(_: &str) -> Result<Self, CommandError> {
        Err(CommandError::usage("--user is not possible on this system"))
    }

    /// What tells programs who they run as.
    #[cfg(unix)]
    pub(crate) fn variables(&self) -> [(&'static str, &OsStr); 3] {
        let name = OsStr::new(&self.entry.name);
        [("HOME", self.entry.dir.as_os_str()), ("USER", name), ("LOGNAME", name)]
    }

    /// What tells programs who they run as.
    #[cfg(not(unix))]
    pub(crate) fn variables(&self) -> [(&'static str, &OsStr); 0] {
        []
    }

    /// Makes this process run as the user, with the user's groups and for good.
    #[cfg(unix)]
    pub(crate) fn become_it(&self) -> Result<(), CommandError> {
        let entry = &self.entry;
        let switched = || -> nix::Result<()> {
            #[cfg(not(target_vendor = "apple"))]
            {
                let name = std::ffi::CString::new(entry.name.as_str()).unwrap_or_default();
                nix::unistd::setgroups(&nix::unistd::getgrouplist(&name, entry.gid)?)?;
            }
            nix::unistd::setgid(entry.gid)?;
            nix::unistd::setuid(entry.uid)
        };
        switched().map_err(|error| {
            CommandError::usage(format!("--user: cannot become {:?}: {}", entry.name, error.desc()))
                .hint("only root can run commands as somebody else")
        })
    }

    /// Makes this process run as the user.
    #[cfg(not(unix))]
    pub(crate) fn become_it(&self) -> Result<(), CommandError> {
        Ok(())
    }
}

/// Runs a program in this terminal until it ends.
#[cfg(unix)]
pub(crate) fn run(command: &mut Command) -> io::Result<Ended> {
    let watch = Watch::begin()?;
    let child = command.spawn()?;
    watch.wait_for(child.id())
}

/// Runs a program in this terminal until it ends.
#[cfg(not(unix))]
pub(crate) fn run(command: &mut Command) -> io::Result<Ended> {
    let status = command.status()?;
    Ok(Ended { code: status.code(), signal: None, interrupted: None })
}

#[cfg(unix)]
use unix::Watch;

#[cfg(unix)]
mod unix {
    use std::ffi::{CString, OsStr};
    use std::io;
    use std::os::unix::ffi::OsStrExt as _;
    use std::sync::Mutex;
    use std::thread::Scope;
    use std::time::{Duration, Instant};

    use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawn};
    use nix::sys::signal::SigSet;
    use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, waitpid};
    use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
    use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
    use signal_hook::iterator::SignalsInfo;
    use signal_hook::iterator::exfiltrator::WithRawSiginfo;

    use super::{Ended, Variable};

    /// How long a signal may take to reach this process when another one has died of it.
    const HEARING: Duration = Duration::from_millis(100);

    /// The time in which signals are meant for the program that is waited for.
    ///
    /// It begins before the program is started, so that no signal ends this process and leaves the program alone.
    pub(crate) struct Watch {
        signals: SignalsInfo<WithRawSiginfo>,
        terminal: Option<Termios>,
    }

    impl Watch {
        pub(crate) fn begin() -> io::Result<Self> {
            let ignored = ignored_signals();
            // What is ignored here is ignored by the program too, as behind a shell's `&` or nohup.
            let wanted = [SIGINT, SIGQUIT, SIGTERM, SIGHUP].into_iter();
            let wanted = wanted.filter(|signal| ignored & (1 << (signal - 1)) == 0);
            Ok(Self { signals: SignalsInfo::new(wanted)?, terminal: tcgetattr(io::stdin()).ok() })
        }

        /// Waits for the child with this process id.
        pub(crate) fn wait_for(self, process: u32) -> io::Result<Ended> {
            let Self { mut signals, terminal } = self;
            let pid = i32::try_from(process).ok().and_then(Pid::from_raw);
            let pid = pid.ok_or_else(|| io::Error::other("the system gave a process no number"))?;
            let handle = signals.handle();
            let interrupted = Mutex::new(None);
            let status = std::thread::scope(|scope: &Scope<'_, '_>| {
                scope.spawn(|| {
                    for info in signals.forever() {
                        let signal = info.si_signo;
                        interrupted.lock().expect("it is held for an instant").get_or_insert(signal);
                        // What the terminal sends it sends to all programs in front of it.
                        let is_from_terminal = info.si_code > 0;
                        if let Some(signal) = Signal::from_named_raw(signal).filter(|_| !is_from_terminal) {
                            let _ = kill_process(pid, signal);
                        }
                    }
                });
                let status = wait(pid);
                let signal = status.as_ref().ok().and_then(|status| status.terminating_signal());
                if signal.is_some_and(|signal| matches!(signal, SIGINT | SIGQUIT)) {
                    // The terminal sent it to both, and this process may hear of it a moment later.
                    let until = Instant::now() + HEARING;
                    while interrupted.lock().expect("it is held for an instant").is_none()
                        && Instant::now() < until
                    {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                }
                handle.close();
                status
            });
            if let Some(terminal) = terminal {
                restore(&terminal);
            }
            let status = status?;
            Ok(Ended {
                code: status.exit_status(),
                signal: status.terminating_signal(),
                interrupted: interrupted.into_inner().expect("the thread that holds it has ended"),
            })
        }
    }

    /// Starts a line in the shell with nothing but `variables` in its environment.
    ///
    /// Not with the standard library, which makes copies of the variables and does not wipe them.
    pub(super) fn spawn(command: &OsStr, variables: &[Variable]) -> io::Result<u32> {
        let command = CString::new(command.as_bytes())?;
        let actions = PosixSpawnFileActions::init()?;
        let mut attributes = PosixSpawnAttr::init()?;
        // This process ignores broken pipes, other programs rely on them.
        let mut as_usual = SigSet::empty();
        as_usual.add(nix::sys::signal::Signal::SIGPIPE);
        attributes.set_sigdefault(&as_usual)?;
        attributes.set_flags(PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF)?;
        let words = [c"/bin/sh", c"-c", &command];
        let process = posix_spawn(c"/bin/sh", &actions, &attributes, &words, variables)?;
        u32::try_from(process.as_raw()).map_err(io::Error::other)
    }

    fn wait(pid: Pid) -> io::Result<WaitStatus> {
        loop {
            match waitpid(Some(pid), WaitOptions::empty()) {
                Ok(Some((_, status))) if status.stopped() || status.continued() => {}
                Ok(Some((_, status))) => return Ok(status),
                Ok(None) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Gives the terminal back as it was, unless it is so already or somebody else's now.
    fn restore(before: &Termios) {
        let stdin = io::stdin();
        let is_ours =
            rustix::termios::tcgetpgrp(&stdin).is_ok_and(|group| group == rustix::process::getpgrp());
        let is_changed = tcgetattr(&stdin).is_ok_and(|now| {
            (now.local_modes, now.input_modes, now.output_modes)
                != (before.local_modes, before.input_modes, before.output_modes)
        });
        if is_ours && is_changed {
            let _ = tcsetattr(&stdin, OptionalActions::Now, before);
        }
    }

    /// The signals that this process ignores, as bits from that of signal 1.
    #[cfg(target_os = "linux")]
    fn ignored_signals() -> u64 {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
        let field = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        field.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok()).unwrap_or(0)
    }

    #[cfg(not(target_os = "linux"))]
    fn ignored_signals() -> u64 {
        0
    }
}
