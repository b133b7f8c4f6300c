//! `orlop set`.
use crate::args::Set;
use crate::context::Context;
use crate::error::CommandError;
pub(crate) fn run(_: &Context, _: Set) -> Result<(), CommandError> {
    Err(CommandError::not_yet("set"))
}
