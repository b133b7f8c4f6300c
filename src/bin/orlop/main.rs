//! orlop: keeps secrets in git and hands them to Helm without ever putting them on a disk.

#[cfg(unix)]
mod agent;
mod args;
mod argv;
mod child;
mod commands;
mod context;
mod editor;
mod error;
mod helm;
mod io;
mod json;
mod prompts;
mod rules;
mod scratch;
mod ui;

use std::process::ExitCode;

fn main() -> ExitCode {
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
