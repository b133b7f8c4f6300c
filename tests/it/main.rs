//! The suite that needs the built binary, one module a subject.

#[cfg(feature = "peers")]
mod edits;
#[cfg(feature = "peers")]
mod generate;
#[cfg(feature = "peers")]
mod helm;
#[cfg(feature = "peers")]
mod interop;
#[cfg(feature = "peers")]
mod kube;
mod round_trip;
mod support;
