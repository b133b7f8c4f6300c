//! The manual: what orlop does with a file, and what it keeps from whom.

#[doc = include_str!("format.md")]
pub mod format {}

#[doc = include_str!("threats.md")]
pub mod threats {}

#[doc = include_str!("interop.md")]
pub mod interop {}
