//! `orlop unset`.
use crate::args::Unset;
use crate::context::Context;
use crate::error::CommandError;
pub(crate) fn run(_: &Context, _: Unset) -> Result<(), CommandError> {
    Err(CommandError::not_yet("unset"))
}
