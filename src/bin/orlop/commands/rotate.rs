//! `orlop rotate`.
use crate::args::Rotate;
use crate::context::Context;
use crate::error::CommandError;
pub(crate) fn run(_: &Context, _: Rotate) -> Result<(), CommandError> {
    Err(CommandError::not_yet("rotate"))
}
