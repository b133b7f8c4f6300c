//! orlop: keeps secrets in git and hands them to Helm without ever putting them on a disk.

mod args;
mod argv;
mod commands;
mod context;
mod editor;
mod error;
mod helm;
mod io;
mod json;
mod rules;
mod ui;

use std::process::ExitCode;

/// Room for files that are nested as deep as they may be: more than the first thread of a process has.
const STACK_SIZE: usize = 64 << 20;

fn main() -> ExitCode {
    match std::thread::Builder::new().stack_size(STACK_SIZE).spawn(run) {
        Ok(thread) => thread.join().unwrap_or(ExitCode::FAILURE),
        // Where memory is that short, files are not nested that deep.
        Err(_) => run(),
    }
}

fn run() -> ExitCode {
    let words: Vec<_> = std::env::args_os().collect();
    let called_as = context::Name::of_words(&words);
    match commands::run(called_as, words) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            ui::show_error(called_as, &error);
            ExitCode::from(error.kind.exit_code())
        }
    }
}
