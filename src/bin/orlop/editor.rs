//! Editor.
use crate::error::CommandError;
use std::ffi::OsString;
pub(crate) const WIPER: &str = "__wipe";
pub(crate) fn wipe_when_told(_: &[OsString]) -> Result<u8, CommandError> {
    Ok(0)
}
