//! `orlop helm …`: the real helm, with sealed values files opened in memory.

use std::ffi::OsString;
use std::path::Path;

use crate::helm::{self, Found, HelmError, Surroundings, Use};

/// Hands the command line over to helm; `open` looks into one file and opens it if it is sealed.
///
/// Helm's words are not parsed with the rest of orlop's command line: they are helm's own, in any encoding.
/// On Linux only an error comes back, elsewhere also helm's exit code.
pub(crate) fn run<E: std::error::Error + Send + 'static>(
    words: Vec<OsString>,
    open: impl Fn(&Path, Use) -> Result<Found, E> + Sync,
) -> Result<u8, HelmError<E>> {
    helm::run(words, &Surroundings::of_this_process(), open)
}
