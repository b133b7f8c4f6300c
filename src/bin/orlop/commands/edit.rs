//! `orlop edit`.
use crate::args::Edit;
use crate::context::Context;
use crate::error::CommandError;
pub(crate) fn run(_: &Context, _: Edit) -> Result<(), CommandError> {
    Err(CommandError::not_yet("edit"))
}
