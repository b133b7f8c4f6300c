//! Legacy.
use crate::args::LegacyForm;
use crate::context::Context;
use crate::error::CommandError;
pub(crate) fn run(_: &Context, _: LegacyForm) -> Result<(), CommandError> {
    Err(CommandError::not_yet("legacy"))
}
