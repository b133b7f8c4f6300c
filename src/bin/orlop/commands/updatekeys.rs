//! `orlop updatekeys`.
use crate::args::Updatekeys;
use crate::context::Context;
use crate::error::CommandError;
pub(crate) fn run(_: &Context, _: Updatekeys) -> Result<(), CommandError> {
    Err(CommandError::not_yet("updatekeys"))
}
