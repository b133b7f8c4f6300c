//! Asks the person at the terminal: on /dev/tty, so that stdin and stdout stay what they are, or by gpg-agent.

use std::sync::Arc;

use orlop::Env;
use orlop::prompts::Prompts;

/// Who can be asked in this process.
#[cfg(unix)]
pub(crate) fn of_process(env: &Env) -> Option<Arc<dyn Prompts>> {
    Some(Arc::new(unix::Person::new(env.clone())))
}

/// Nobody: consoles of Windows are not asked on yet.
#[cfg(not(unix))]
pub(crate) fn of_process(_env: &Env) -> Option<Arc<dyn Prompts>> {
    None
}

#[cfg(unix)]
mod unix {
    use std::fs::File;
    use std::io::{self, Read as _, Write as _};
    use std::sync::{Mutex, MutexGuard, PoisonError};

    use orlop::prompts::{PassphraseRequest, PromptError, Prompts};
    use orlop::{Env, SecretText};
    use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};

    use crate::agent::{self, AgentError};
    use crate::context::io_reason;

    /// Whoever sits at the terminal of this process.
    pub(super) struct Person {
        env: Env,
        /// One question at a time.
        turn: Mutex<()>,
    }

    impl Person {
        pub(super) fn new(env: Env) -> Self {
            Self { env, turn: Mutex::new(()) }
        }

        fn turn(&self) -> MutexGuard<'_, ()> {
            self.turn.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    impl Prompts for Person {
        fn show(&self, message: &str) {
            if let Ok(mut tty) = open() {
                // Nobody to see it is no reason to stop.
                let _ = writeln!(tty, "{message}");
            }
        }

        fn confirm(&self, question: &str, yes: &str, no: Option<&str>) -> Result<bool, PromptError> {
            let _turn = self.turn();
            let mut tty = open()?;
            let choices = match no {
                Some(no) => format!("{question} (1 for {yes:?}, 2 for {no:?}) "),
                None => format!("{question} (Enter for {yes:?}) "),
            };
            loop {
                let answer = read_shown(&mut tty, &choices)?;
                match (answer.trim(), no) {
                    ("", None) | ("1", Some(_)) => return Ok(true),
                    ("2", Some(_)) => return Ok(false),
                    _ => {}
                }
            }
        }

        fn ask(&self, question: &str) -> Result<String, PromptError> {
            let _turn = self.turn();
            read_shown(&mut open()?, &format!("{question} "))
        }

        fn ask_passphrase(&self, request: &PassphraseRequest<'_>) -> Result<SecretText, PromptError> {
            let _turn = self.turn();
            if let Some(cache_id) = request.cache_id {
                // sops: an agent that answers is asked, and nobody else.
                match agent::get_passphrase(&self.env, cache_id, request.question) {
                    Ok(passphrase) => return Ok(passphrase),
                    Err(AgentError::Cancelled) => return Err(PromptError::Cancelled),
                    Err(AgentError::Absent) => {}
                    // An agent that cannot ask here, for want of a pinentry or a display: the terminal may do.
                    Err(AgentError::Failed(reason)) => match open() {
                        Ok(_) => {}
                        Err(_) => return Err(PromptError::Failed { reason }),
                    },
                }
            }
            read_hidden(&mut open()?, request.question)
        }

        fn forget_passphrase(&self, request: &PassphraseRequest<'_>) {
            if let Some(cache_id) = request.cache_id {
                agent::clear_passphrase(&self.env, cache_id);
            }
        }
    }

    fn open() -> Result<File, PromptError> {
        File::options().read(true).write(true).open("/dev/tty").map_err(|_| PromptError::Nobody)
    }

    fn failed(error: io::Error) -> PromptError {
        PromptError::Failed { reason: format!("the terminal: {}", io_reason(&error)) }
    }

    /// A line that the terminal shows as it is typed.
    fn read_shown(tty: &mut File, question: &str) -> Result<String, PromptError> {
        tty.write_all(question.as_bytes()).map_err(failed)?;
        let mut line = Vec::new();
        loop {
            let mut byte = [0];
            match tty.read(&mut byte).map_err(failed)? {
                0 => return Err(PromptError::Cancelled),
                _ if byte[0] == b'\n' => break,
                _ => line.push(byte[0]),
            }
        }
        String::from_utf8(line).map_err(|_| PromptError::Failed { reason: "that is not UTF-8".to_owned() })
    }

    /// Puts the terminal back as it was, however the question ended.
    struct Quiet<'t> {
        tty: &'t File,
        before: Termios,
    }

    impl<'t> Quiet<'t> {
        /// Nothing typed is shown, and Ctrl+C is a letter like any other: no signal can leave the terminal mute.
        fn new(tty: &'t File) -> io::Result<Self> {
            let before = tcgetattr(tty)?;
            let mut quiet = before.clone();
            quiet.local_modes &=
                !(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG | LocalModes::IEXTEN);
            quiet.special_codes[SpecialCodeIndex::VMIN] = 1;
            quiet.special_codes[SpecialCodeIndex::VTIME] = 0;
            tcsetattr(tty, OptionalActions::Drain, &quiet)?;
            Ok(Self { tty, before })
        }
    }

    impl Drop for Quiet<'_> {
        fn drop(&mut self) {
            let _ = tcsetattr(self.tty, OptionalActions::Drain, &self.before);
        }
    }

    /// A line that nobody sees.
    fn read_hidden(tty: &mut File, question: &str) -> Result<SecretText, PromptError> {
        let mut out = tty.try_clone().map_err(failed)?;
        let quiet = Quiet::new(tty).map_err(failed)?;
        let answer = match out.write_all(format!("{question} ").as_bytes()) {
            Ok(()) => read_line(quiet.tty),
            Err(error) => Err(failed(error)),
        };
        drop(quiet);
        let _ = out.write_all(b"\n");
        answer
    }

    const CTRL_C: u8 = 3;
    const CTRL_D: u8 = 4;
    const CTRL_H: u8 = 8;
    const CTRL_U: u8 = 21;
    const CTRL_BACKSLASH: u8 = 28;
    const DELETE: u8 = 127;

    fn read_line(mut tty: &File) -> Result<SecretText, PromptError> {
        let mut line = SecretText::with_capacity(256);
        let mut byte = [0];
        loop {
            if tty.read(&mut byte).map_err(failed)? == 0 {
                return Err(PromptError::Cancelled);
            }
            match byte[0] {
                b'\n' | b'\r' => return Ok(line),
                CTRL_C | CTRL_BACKSLASH => return Err(PromptError::Cancelled),
                CTRL_D if line.is_empty() => return Err(PromptError::Cancelled),
                CTRL_D => return Ok(line),
                CTRL_U => line.truncate(0),
                CTRL_H | DELETE => {
                    let bytes = line.expose();
                    let is_start = |byte: &u8| byte & 0xc0 != 0x80;
                    line.truncate(bytes.iter().rposition(is_start).unwrap_or(0));
                }
                _ => line.push(&byte),
            }
        }
    }
}
